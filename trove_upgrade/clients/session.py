# SPDX-License-Identifier: Apache-2.0
"""The service user's session with Keystone, which every client shares."""

import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import generic
from novaclient import exceptions as nova_exceptions
from oslo_config import cfg

from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.conf import fault
from trove_upgrade.domain import exceptions

R = TypeVar('R')

#: Everything that says "no answer", "not now" or "Keystone does not let us in": nothing definite
#: about what was asked.
UNAVAILABLE = (keystone_exceptions.ClientException,)
#: The errors that the libraries document; `asked` lets them through.
_DOCUMENTED = (exceptions.TroveUpgradeError, nova_exceptions.ClientException, *UNAVAILABLE)


class CredentialsIncomplete(exceptions.TroveUpgradeError):
    """The service user cannot log in with what the configuration has."""

    code = 'SERVICE_CREDENTIALS_INCOMPLETE'
    template = (
        'Nova and Glance cannot be asked: {found}. Set in [service_credentials] auth_url, '
        "username, password and project_name of the user whose project has the guests' servers."
    )


class LibraryError(keystone_exceptions.ClientException):
    """A plain exception of a client library, as one that says "no answer".  Its text holds no
    password.
    """


#: Of the time of one try.
_CONNECT_SHARE = 0.3


class OneTry(keystone_session.Session):
    """A session for one request that changes something, with the login and the connections of
    another: that request, and a token that it needs, end at `ends_at` by the monotonic clock.

    A moment, no duration: a process that is paused before it comes here has no time left then.  A
    request that Keystone refuses is not repeated with a new token: the repetition would begin
    when the time is over.
    """

    def __init__(
        self,
        shared: keystone_session.Session,
        ends_at: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(auth=shared.auth, session=shared.session, verify=shared.verify)
        self._monotonic = monotonic
        self._ends_at = ends_at

    def request(self, url: str, method: str, **more: Any) -> Any:
        """Send a request with what is left of the time; raises ConnectTimeout where none is.

        The login and the endpoint come first, by requests of this session: what they take is not
        left for the request itself, which would else begin when the time is over.
        """
        self._find_way(more)
        left = self._ends_at - self._monotonic()
        if left <= 0:
            raise keystone_exceptions.ConnectTimeout(f'No time was left to send {method} {url}')
        # a number would hold for the connect and for the answer, each by itself
        connect = left * _CONNECT_SHARE
        more.update(allow_reauth=False, timeout=(connect, left - connect))
        return super().request(url, method, **more)

    def _find_way(self, more: Mapping[str, Any]) -> None:
        auth = more.get('auth') or self.auth
        if auth is None or more.get('authenticated') is False:
            return
        self.get_auth_headers(auth)
        if more.get('endpoint_filter') and not more.get('endpoint_override'):
            self.get_endpoint(auth, **more['endpoint_filter'])


def asked(
    ask: Callable[[], R],
    password: str | None = None,
    documented: tuple[type[Exception], ...] = (),
) -> R:
    """Return what `ask` returns: a request by keystoneauth1, python-novaclient or a library whose
    errors are in `documented`.

    Both raise plain exceptions beside their own: Exception for an option that is missing
    (keystoneauth1 5.14, identity/generic/password.py), TypeError, KeyError and ValueError for an
    answer of another form, OSError for a file of certificates.

    :raises LibraryError: one of those; nothing definite about what was asked.
    """
    try:
        return ask()
    except (*_DOCUMENTED, *documented):
        raise
    except Exception as error:
        text = ' '.join(str(error).split())
        if password:
            text = text.replace(password, '***')
        raise LibraryError(
            f'{type(error).__name__}: {text}' if text else type(error).__name__
        ) from error


def missing(conf: cfg.ConfigOpts) -> list[str]:
    """Options of `[service_credentials]` that a login needs and that are not set.

    :raises ConfigurationInvalid: one cannot be read.
    """
    compute_conf.register_credentials(conf)
    given = conf[compute_conf.CREDENTIALS_GROUP]
    try:
        absent = [name for name in ('auth_url', 'username', 'password') if not given[name]]
        has_project = given.project_id or given.project_name
        for option in compute_conf.CREDENTIALS_OPTS:
            given[option.dest]  # a value of a wrong form is found when it is read
    except cfg.Error as error:
        raise fault.ConfigurationInvalid(
            found=f'[{compute_conf.CREDENTIALS_GROUP}]: {fault.describe(error)}'
        ) from error
    return absent if has_project else [*absent, 'project_name']


def require(conf: cfg.ConfigOpts) -> None:
    """Refuse a service user that cannot log in.

    :raises CredentialsIncomplete: an option is missing, or the file of certificates cannot be used.
    :raises ConfigurationInvalid: one cannot be read.
    """
    absent = missing(conf)
    if absent:
        raise CredentialsIncomplete(
            found=f'{", ".join(absent)} {"are" if len(absent) > 1 else "is"} not set'
        )
    cafile = conf[compute_conf.CREDENTIALS_GROUP].cafile
    if cafile and not conf[compute_conf.CREDENTIALS_GROUP].insecure:  # each request would fail
        try:
            ssl.create_default_context(cafile=cafile)
        except OSError as error:  # ssl.SSLError is one
            raise CredentialsIncomplete(
                found=f'cafile {cafile} holds no certificates that can be read ({error})'
            ) from error


def from_conf(conf: cfg.ConfigOpts, *, timeout_seconds: float) -> keystone_session.Session:
    """A session of `[service_credentials]`.  Asks for a token at the first request, and again when
    it has run out.

    `timeout_seconds` bounds the connect and, each by itself, the waits for data.  Safe to share
    between threads.
    """
    compute_conf.register_credentials(conf)
    given = conf[compute_conf.CREDENTIALS_GROUP]
    auth = generic.Password(
        auth_url=given.auth_url,
        username=given.username,
        password=given.password,
        user_domain_name=given.user_domain_name,
        project_id=given.project_id,
        project_name=None if given.project_id else given.project_name,
        project_domain_name=None if given.project_id else given.project_domain_name,
    )
    verify: bool | str = False if given.insecure else (given.cafile or True)
    return keystone_session.Session(auth=auth, verify=verify, timeout=timeout_seconds)
