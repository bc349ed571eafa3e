# SPDX-License-Identifier: Apache-2.0
"""Nova through python-novaclient, as the service user: guests' servers belong to the service
project.
"""

import base64
import binascii
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from keystoneauth1 import session as keystone_session
from novaclient import client as nova_client
from novaclient import exceptions as nova_exceptions
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import cloud_config, session
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.domain import compute, exceptions
from trove_upgrade.domain.compute import ServerStatus

Version = tuple[int, int]

#: From here on a rebuild takes user data; before, files are injected.  Source: Nova api-ref,
#: "Rebuild Server".
USER_DATA_SINCE: Version = (2, 57)
#: From here on a rebuild re-images a root disk that is a volume.  Source: Nova api-ref,
#: microversion 2.93.
VOLUME_BACKED_SINCE: Version = (2, 93)
#: What every Nova has.
_FIRST: Version = (2, 1)
#: The last one that shows no user data.  Source: Nova api-ref, "Show Server Details".
_WITHOUT_USER_DATA: Version = (2, 2)
#: Last one with injected files.
_FILES_UNTIL: Version = (2, 56)

#: Shown where the policy os-extended-server-attributes lets the login see it; null: there is none.
_USER_DATA = 'OS-EXT-SRV-ATTR:user_data'
_REBUILD_ACTION = 'rebuild'
_REBUILD_EVENT = 'compute_rebuild_instance'
#: Nova's answers below 500 that say "not now" and nothing about the request itself.
_NOT_NOW = frozenset({408, 409, 413, 425, 429})
_UNAUTHORIZED = 401
#: User data, or a part of it, in a message: Nova repeats a value that its schema refuses.  Ids are
#: shorter, or have other characters.
_ENCODED = re.compile(r'[A-Za-z0-9+/]{40,}={0,2}')

_COMPUTE_UP = {'UP': True, 'MAINTENANCE': True, 'DOWN': False}


def parse_version(text: str | None) -> Version:
    """Parse a microversion, e.g. (2, 93); what cannot be read is (2, 1), which every Nova has."""
    major, _, minor = (text or '2.1').partition('.')
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (2, 1)


class Nova:
    """Implements `domain.ports.Compute`.  Safe to share between threads."""

    def __init__(
        self,
        make_client: Callable[[str], Any],
        *,
        max_microversion: Version,
        make_post_client: Callable[[str, float], Any] | None = None,
    ) -> None:
        """`make_client` makes a python-novaclient client for a microversion such as '2.93'.

        :param make_post_client: makes one for a single rebuild, which ends at a moment of the
            monotonic clock; None: the others serve for it.
        """
        self._make_client = make_client
        self._make_post_client = make_post_client or (lambda version, _: make_client(version))
        self._wanted = max_microversion
        self._lock = threading.Lock()
        self._negotiated: Version | None = None
        self._clients: dict[Version, Any] = {}

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Make a client with `[service_credentials]`; no request is sent yet."""
        options = conf[our_conf.GROUP]
        shared = session.from_conf(conf, timeout_seconds=options.compute_timeout)

        def make_post_client(version: str, ends_at: float) -> Any:
            return _factory(conf, lambda: session.OneTry(shared, ends_at))(version)

        return cls(
            _factory(conf, lambda: shared),
            max_microversion=parse_version(options.compute_max_microversion),
            make_post_client=make_post_client,
        )

    def server(self, server_id: str) -> compute.Server:
        """The server now, as a microversion shows it that has no user data.

        :raises ServerNotFound: Nova has no such server.
        :raises ComputeUnavailable: no answer in time.
        """
        server: compute.Server = _translated(
            f'server {server_id}',
            lambda: as_server(self._client(_WITHOUT_USER_DATA).servers.get(server_id)),
            server_id,
        )
        return server

    def server_with_user_data(self, server_id: str) -> compute.Server:
        """The server now, whole.  Raises as `server`."""
        server: compute.Server = self._ask(
            f'server {server_id}',
            lambda client: as_server(client.servers.get(server_id)),
            server_id,
        )
        return server

    def flavor_id(self, server_id: str) -> str | None:
        """Return the flavor's id, by an old microversion: from 2.47 on a server has its flavor's
        sizes instead of its id. Raises as `server`.
        """
        flavor_id: str | None = _translated(
            f'server {server_id}',
            lambda: self._client(_FIRST).servers.get(server_id).flavor.get('id'),
            server_id,
        )
        return flavor_id

    def max_microversion(self) -> Version:
        """Return the lower of what is wanted and what Nova has.  Raises as `server`."""
        return self._version()

    def describe(self, server_id: str) -> compute.ServerDescription:
        """Return what Nova could refuse a rebuild for.  Raises as `server`."""
        server, compute_up = self._ask(
            f'server {server_id}',
            lambda client: _server_and_host(client.servers.get(server_id)),
            server_id,
        )
        return compute.ServerDescription(
            server=server,
            compute_up=compute_up,
            max_microversion=self._version(),
            metadata_quota=self._metadata_quota(),
        )

    def rebuild(
        self,
        server: compute.Server,
        image_id: str,
        marker: str,
        user_data: bytes | None,
        *,
        ends_at: float,
    ) -> None:
        """Ask for a rebuild before `ends_at`; every other entry of the metadata is sent again,
        because Nova replaces all of it.

        :raises RebuildRefused: a definite no.
        :raises RebuildConflict: not now.
        :raises ComputeUnavailable: unknown whether accepted.
        """
        version = self._version()
        metadata = {**server.metadata, compute.MARKER_KEY: marker}
        more: dict[str, Any] = {}
        if version >= USER_DATA_SINCE:
            more['userdata'] = user_data
        elif user_data is not None:
            version, more['files'] = _FILES_UNTIL, cloud_config.files(user_data)
        try:
            client = self._make_post_client(f'{version[0]}.{version[1]}', ends_at)
            session.asked(
                lambda: client.servers.rebuild(server.id, image_id, meta=metadata, **more)
            )
        except nova_exceptions.ClientException as error:
            raise _rebuild_error(server.id, error) from error
        except session.UNAVAILABLE as error:
            raise exceptions.ComputeUnavailable(
                what=f'a rebuild of server {server.id}', found=error
            ) from error

    def rebuild_result(self, server: compute.Server) -> compute.RebuildResult:
        """Judge the rebuild by the last `rebuild` action's own event with the server's status:
        neither proves it alone (cloud-facts, 11).
        """
        if server.status == ServerStatus.ERROR:
            return compute.RebuildResult.ERROR
        if server.status != ServerStatus.ACTIVE or server.task_state is not None:
            return compute.RebuildResult.RUNNING
        request_id = self._ask(
            f'actions of server {server.id}',
            lambda client: _last_rebuild(client.instance_action.list(server.id)),
            server.id,
        )
        if request_id is None:
            return compute.RebuildResult.RUNNING
        result: compute.RebuildResult = self._ask(
            f'action {request_id} of server {server.id}',
            lambda client: _result_of(client.instance_action.get(server.id, request_id)),
            server.id,
        )
        return result

    def _metadata_quota(self) -> int | None:
        quota = self._ask(
            'the limits of the service project',
            lambda client: {limit.name: limit.value for limit in client.limits.get().absolute}.get(
                'maxServerMeta'
            ),
        )
        return None if quota is None or quota < 0 else int(quota)

    def _version(self) -> Version:
        """The lower of what is wanted and what Nova has; asked once per process."""
        with self._lock:
            negotiated = self._negotiated
        if negotiated is None:
            current = _translated('its versions', self._newest)
            negotiated = min(self._wanted, parse_version(getattr(current, 'version', None)))
            with self._lock:
                self._negotiated = negotiated
        return negotiated

    def _newest(self) -> Any:
        return self._make_client('2.1').versions.get_current()

    def _client(self, version: Version) -> Any:
        with self._lock:
            if version not in self._clients:
                self._clients[version] = self._make_client(f'{version[0]}.{version[1]}')
            return self._clients[version]

    def _ask(self, what: str, ask: Callable[[Any], Any], server_id: str = '') -> Any:
        version = self._version()
        return _translated(what, lambda: ask(self._client(version)), server_id)


def client_factory(conf: cfg.ConfigOpts, *, timeout_seconds: float) -> Callable[[str], Any]:
    """Makes python-novaclient clients that share one session."""
    shared = session.from_conf(conf, timeout_seconds=timeout_seconds)
    return _factory(conf, lambda: shared)


def _factory(
    conf: cfg.ConfigOpts, of_session: Callable[[], keystone_session.Session]
) -> Callable[[str], Any]:
    options = conf[our_conf.GROUP]
    given = conf[compute_conf.CREDENTIALS_GROUP]

    def make(microversion: str) -> Any:
        return nova_client.Client(
            microversion,
            session=of_session(),
            region_name=given.region_name,
            endpoint_type=given.interface,
            service_type=options.compute_service_type,
            endpoint_override=options.compute_endpoint_override,
        )

    return make


def as_server(raw: Any) -> compute.Server:
    """python-novaclient's server as the domain sees it."""
    flavor: Mapping[str, Any] = raw.flavor
    image = getattr(raw, 'image', None) or {}
    fault = getattr(raw, 'fault', None) or {}
    return compute.Server(
        id=raw.id,
        name=raw.name,
        status=raw.status,
        task_state=getattr(raw, 'OS-EXT-STS:task_state', None),
        image_id=image.get('id'),
        locked=bool(getattr(raw, 'locked', False)),
        metadata=dict(raw.metadata),
        user_data=_decoded(getattr(raw, _USER_DATA, None)),
        shows_user_data=hasattr(raw, _USER_DATA),
        fault=fault.get('message'),
        flavor_ram_mb=int(flavor.get('ram', 0)),
        flavor_disk_gb=int(flavor.get('disk', 0)),
        host=getattr(raw, 'OS-EXT-SRV-ATTR:host', None),
        addresses=as_addresses(raw.addresses),
        volume_backed=not image,
        nic_count=_nic_count(raw.addresses),
        project_id=getattr(raw, 'tenant_id', None) or '',
        nics=as_nics(raw.addresses),
    )


def _server_and_host(raw: Any) -> tuple[compute.Server, bool | None]:
    return as_server(raw), _COMPUTE_UP.get(getattr(raw, 'host_status', '') or '')


def _last_rebuild(actions: Iterable[Any]) -> str | None:
    """The request that asked for it."""
    rebuilds = [action for action in actions if action.action == _REBUILD_ACTION]
    return str(max(rebuilds, key=lambda action: action.start_time).request_id) if rebuilds else None


def _result_of(action: Any) -> compute.RebuildResult:
    results = [(event['event'], event['result']) for event in getattr(action, 'events', None) or []]
    if (_REBUILD_EVENT, 'Success') in results:
        return compute.RebuildResult.SUCCESS
    if action.message or any(result == 'Error' for _, result in results):
        return compute.RebuildResult.NOTHING_HAPPENED
    return compute.RebuildResult.RUNNING


def as_addresses(networks: Mapping[str, Any]) -> tuple[compute.Address, ...]:
    """A floating address is what users outside can reach: Trove calls it public, any other
    private.
    """
    return tuple(
        compute.Address(
            address=entry['addr'],
            network=name,
            type='public' if entry.get('OS-EXT-IPS:type') == 'floating' else 'private',
        )
        for name, entries in networks.items()
        for entry in entries
    )


def as_nics(networks: Mapping[str, Any]) -> tuple[compute.ShownNic, ...]:
    """Fixed addresses, where Nova shows the hardware addresses with them."""
    return tuple(
        compute.ShownNic(entry['OS-EXT-IPS-MAC:mac_addr'], entry['addr'])
        for entries in networks.values()
        for entry in entries
        if entry.get('OS-EXT-IPS-MAC:mac_addr') and entry.get('OS-EXT-IPS:type') != 'floating'
    )


def _nic_count(networks: Mapping[str, Any]) -> int | None:
    """Floating addresses carry the hardware address of the port that they lead to."""
    cards = {
        entry.get('OS-EXT-IPS-MAC:mac_addr') for entries in networks.values() for entry in entries
    }
    return len(cards) if cards and None not in cards else None


def _decoded(user_data: str | None) -> bytes | None:
    if user_data is None:
        return None
    try:
        return base64.b64decode(user_data, validate=False)
    except binascii.Error:
        return user_data.encode()


def _translated(what: str, ask: Callable[[], Any], server_id: str = '') -> Any:
    """Run a reading request.  404 of a server is definite; everything else is asked again."""
    try:
        return session.asked(ask)
    except nova_exceptions.NotFound as error:
        if server_id:
            raise exceptions.ServerNotFound(server_id=server_id) from error
        raise exceptions.ComputeUnavailable(what=what, found=error) from error
    except (nova_exceptions.ClientException, *session.UNAVAILABLE) as error:
        raise exceptions.ComputeUnavailable(what=what, found=error) from error


def _rebuild_error(
    server_id: str, error: nova_exceptions.ClientException
) -> exceptions.TroveUpgradeError:
    code = int(error.code or 0)
    # the error of ours, and the log of its cause, have these words
    error.message = _ENCODED.sub('***', str(error.message))
    if code in _NOT_NOW:
        return exceptions.RebuildConflict(server_id=server_id, found=error)
    if 400 <= code < 500 and code != _UNAUTHORIZED:
        return exceptions.RebuildRefused(server_id=server_id, found=error)
    return exceptions.ComputeUnavailable(what=f'a rebuild of server {server_id}', found=error)
