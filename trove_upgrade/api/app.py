# SPDX-License-Identifier: Apache-2.0
"""Entry points of paste: the application alone, and the filter for Trove's pipeline.  Composes;
imported by the entry points alone.

Alone, a request passes, in this order (etc/trove-upgrade/api-paste.ini):

1. `root` (here): /healthcheck, /openapi.json and the version documents are answered without a
   token; /v1.0 goes into the pipeline.
2. request_id (here): the id that logs and answers carry, in both headers that clients know.
3. error_form: errors of all that follows, and is not ours, get the form of ours.
4. http_proxy_to_wsgi: before a link is made, the address becomes the one that the client used.
   `root` has one of its own before the version documents, which do not come this way.
5. authtoken: finds the caller.  Nothing behind it sees a request without a valid token.
6. api (here): routes, policy, body.  The bound of a body is enforced here and not by a middleware,
   so that a 413 has Trove's form; nothing before it reads bodies.

Nothing here chooses a threading model: the filter lives in Trove's process, and the choice of that
process stands.  No thread is started before the first request, and a forked process makes its own
connections, so a server may fork after loading.
"""

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import webob
from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_middleware import healthcheck, http_proxy_to_wsgi
from oslo_middleware import request_id as oslo_request_id

from trove_upgrade import conf as our_conf
from trove_upgrade.api import application, error_form, errors, policies, service_heartbeat
from trove_upgrade.api.backup_filter import BackupFilter
from trove_upgrade.api.call import VERSION_PATH, json_response
from trove_upgrade.api.filter import Inner, UpgradeFilter
from trove_upgrade.api.handlers import versions as version_documents
from trove_upgrade.api.routes import DESCRIPTION
from trove_upgrade.api.services import GuestWithoutAgent, Services, Settings
from trove_upgrade.clients import nova_list, session
from trove_upgrade.clients.glance import Glance
from trove_upgrade.db import engine, faults, installation, repositories, services
from trove_upgrade.db.service_heartbeat import ImpatientRegistry, ServiceHeartbeat
from trove_upgrade.domain import exceptions, logs, versions
from trove_upgrade.rpc import taskmanager

LOG = logs.get_logger(__name__)

#: The API in OpenAPI, without a token.
OPENAPI_PATH = '/openapi.json'


class ServicesOfProcess:
    """Makes the services at a process' first request, so that no
    connection is shared over a fork.
    """

    def __init__(self, make: Callable[[], Services]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: tuple[int, Services] | None = None

    def __call__(self) -> Services:
        """The services of this process."""
        made = self._made
        if made is not None and made[0] == os.getpid():
            return made[1]
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = (os.getpid(), self._make())
            return self._made[1]


def settings_of(conf: cfg.ConfigOpts, *, beside_trove: bool) -> Settings:
    """The options that are read with each request."""
    options = conf.trove_upgrade
    return Settings(
        guest_without_agent=(
            GuestWithoutAgent(options.guest_without_agent) if beside_trove else None
        ),
        guest_silence_seconds=options.guest_silence_seconds,
        page_size=options.page_size,
        max_body_bytes=options.max_body_bytes,
        public_endpoint=options.public_endpoint,
        region=options.region_name,
        rolls_back=options.rollback_on_failure,
        longest_hold_seconds=options.longest_hold,
    )


def new_services(conf: cfg.ConfigOpts, *, beside_trove: bool) -> Services:
    """Make what the handlers need from configuration; it connects at first use. Beside Trove
    nothing is shown that Nova knows.

    :raises DatabaseRefused: the configured database is none that a service may use.
    :raises TrovesDatabase: it is a real Trove's, and this is the API alone, which knows nothing of
    Trove's agents and quotas.
    :raises PolicyInvalid: the policy file cannot be used.
    """
    engine.require_server_database(conf, 'The API')
    repos = repositories.Repositories.from_conf(conf, waits_for_server=False)
    if not beside_trove:
        installation.refuse_troves(
            installation.table_names(repos.database), 'The API alone', installation.USE_FILTER
        )
    enforcer = policies.new_enforcer(conf)
    policies.load(enforcer)
    return Services(
        repos=repos,
        taskmanager=taskmanager.TaskManagerAPI.from_conf(conf),
        servers=None if beside_trove else nova_list.NovaDirectory.from_conf(conf),
        rules=versions.Rules.load(conf.trove_upgrade.version_rules_file),
        enforcer=enforcer,
        settings=settings_of(conf, beside_trove=beside_trove),
        # the options of a login are none that Trove's process needs
        images=_images(our_conf.of_same_files(conf) if beside_trove else conf),
    )


def _images(conf: cfg.ConfigOpts) -> Glance | None:
    """Glance, which is asked for versions that have image tags alone; None: without credentials."""
    try:
        session.require(conf)
    except exceptions.TroveUpgradeError as error:
        LOG.info(
            'The drift of versions that have image tags alone is not known, as Glance is not '
            'asked: %s: %s',
            error.code,
            error.message,
        )
        return None
    return Glance.from_conf(conf, timeout_seconds=conf.trove_upgrade.server_list_timeout)


def app_factory(_global_conf: Mapping[str, str], **_local_conf: str) -> application.Application:
    """The API behind authtoken, alone.

    :raises DatabaseRefused: the configured database is none that a service may use.
    :raises RulesError: the operator's version rules cannot be read.
    :raises PolicyInvalid: the policy file cannot be used.
    """
    conf = cfg.CONF
    our_conf.register_opts(conf)
    faults.log_once()
    engine.require_server_database(conf, 'The API')
    versions.Rules.load(conf.trove_upgrade.version_rules_file)  # now, not with the first request
    policies.load(policies.new_enforcer(conf))
    _warn_of_credentials(conf)
    return application.Application(
        ServicesOfProcess(lambda: new_services(conf, beside_trove=False))
    )


def _warn_of_credentials(conf: cfg.ConfigOpts) -> None:
    """Lists of instances ask Nova as the service user, and do without its answer."""
    try:
        session.require(conf)
    except exceptions.TroveUpgradeError as error:
        LOG.warning(
            (
                'Instances are shown as the database has them, without the addresses and states of '
                'their servers: %s: %s'
            ),
            error.code,
            error.message,
        )


def alive(inner: Inner, conf: cfg.ConfigOpts, binary: str) -> service_heartbeat.WithHeartbeats:
    """`inner`, registered in upgrade_services as `binary` until the process ends."""
    signs = service_heartbeat.ProcessHeartbeats(
        lambda: ServiceHeartbeat(ImpatientRegistry(conf), binary),
        conf.trove_upgrade.service_report_interval,
        uwsgi=service_heartbeat.find_uwsgi(),
    )
    atexit.register(signs.stop)  # first: a signal may come at any time
    signs.start()
    return service_heartbeat.WithHeartbeats(inner, signs)


def filter_factory(_global_conf: Mapping[str, str], **_local_conf: str) -> Callable[[Inner], Inner]:
    """The filter, to stand directly before Trove's own extensions and application.  Reads
    `[trove_upgrade]` of Trove's configuration.

    A database that we cannot use fails the requests that are ours, not the loading of Trove's API.

    :raises RulesError: the operator's version rules cannot be read.
    """
    conf = cfg.CONF
    our_conf.register_opts(conf)
    faults.log_once()
    versions.Rules.load(conf.trove_upgrade.version_rules_file)
    made = ServicesOfProcess(lambda: new_services(conf, beside_trove=True))
    ours = application.Application(made)

    def max_body_bytes() -> int:
        return int(conf.trove_upgrade.max_body_bytes)

    return lambda inner: alive(
        UpgradeFilter(BackupFilter(inner, made, max_body_bytes), ours, max_body_bytes),
        conf,
        services.FILTER,
    )


class RequestId(oslo_request_id.RequestId):
    """The request's id in both headers: the released client reads the second one alone."""

    compat_headers = ['x-compute-request-id']


def request_id_factory(
    global_conf: Mapping[str, str], **local_conf: str
) -> Callable[[Inner], RequestId]:
    """Return the filter of requests' ids to paste."""
    return RequestId.factory(dict(global_conf), **local_conf)


def error_form_factory(
    _global_conf: Mapping[str, str], **_local_conf: str
) -> Callable[[Inner], error_form.ErrorForm]:
    """Return the filter of the errors' form to paste."""
    return error_form.ErrorForm


class Root:
    """Routes without a token, and the way into the pipeline."""

    def __init__(self, pipeline: Inner, health: Inner, conf: cfg.ConfigOpts) -> None:
        self._pipeline = pipeline
        self._health = health
        self._conf = conf
        self._documents = http_proxy_to_wsgi.HTTPProxyToWSGI(self._show_document, conf)

    def __call__(
        self, environ: application.Environ, start_response: application.StartResponse
    ) -> Iterable[bytes]:
        path = environ.get('PATH_INFO', '')
        if path == '/healthcheck':
            return self._health(environ, start_response)
        if path in {'', '/', VERSION_PATH, f'{VERSION_PATH}/', OPENAPI_PATH}:
            return self._documents(environ, start_response)
        if path.startswith(f'{VERSION_PATH}/'):
            environ['SCRIPT_NAME'] = environ.get('SCRIPT_NAME', '') + VERSION_PATH
            environ['PATH_INFO'] = path.removeprefix(VERSION_PATH)
            return self._pipeline(environ, start_response)
        missing = errors.NoSuchResource(path=ascii(path)[1:-1])
        return errors.response_to(missing, oslo_context.generate_request_id())(
            environ, start_response
        )

    def _show_document(
        self, environ: application.Environ, start_response: application.StartResponse
    ) -> Iterable[bytes]:
        request, public = webob.Request(environ), self._conf.trove_upgrade.public_endpoint
        if request.path_info == OPENAPI_PATH:
            document = DESCRIPTION.document(public or request.application_url)
            return json_response(200, document)(environ, start_response)
        return version_documents.documents(request, public)(environ, start_response)


def root_factory(loader: Any, _global_conf: Mapping[str, str], **local_conf: str) -> Root:
    """Paste's composite: `pipeline` and `healthcheck` name the two sections."""
    our_conf.register_opts(cfg.CONF)
    return Root(
        loader.get_app(local_conf['pipeline']), loader.get_app(local_conf['healthcheck']), cfg.CONF
    )


def healthcheck_factory(
    global_conf: Mapping[str, str], **local_conf: str
) -> healthcheck.Healthcheck:
    """The health check of oslo.middleware as an application of its own."""
    return healthcheck.Healthcheck.app_factory(dict(global_conf), **local_conf)
