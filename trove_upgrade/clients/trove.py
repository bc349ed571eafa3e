# SPDX-License-Identifier: Apache-2.0
"""The database API through keystoneauth1: openstacksdk's proxy knows no upgrade, no backups, and
takes the first page of a list for all of it.

The project in an address must be the token's, for an administrator too, who reaches instances of
every project under it by their ids.  Source: trove/common/auth.py, TenantBasedAuth, and
trove/db/models.py, find_by (Trove 26).
"""

import functools
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

from keystoneauth1 import adapter as ksa_adapter
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import session
from trove_upgrade.clients import trove_forms as forms
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.domain import database_service as domain
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.printable import cut

R = TypeVar('R')
_Json = Mapping[str, Any]

_SERVICE = 'database'
#: Answers below 500 that tell nothing definite about what was asked, or that this login may not.
_NOT_NOW = frozenset({401, 403, 408, 425, 429})
_NOT_FOUND, _NO_METHOD, _OVER_LIMIT, _TOO_MANY, _NOT_IMPLEMENTED = 404, 405, 413, 429, 501
#: Answers of a collection that this service, or this datastore, does not have.
_NO_RESOURCE = frozenset({_NOT_FOUND, _NO_METHOD, _NOT_IMPLEMENTED})
#: Trove counts requests per minute, answers 413 above that, and tells how long to wait.
#: Source: trove/common/wsgi.py, OverLimitFault.
_TOO_OFTEN = (_OVER_LIMIT, _TOO_MANY)
_RETRIES = 4
_LONGEST = 1000  #: characters of a sentence of the service


class Trove:
    """Implements `domain.database_service.DatabaseService`."""

    def __init__(self, make_adapter: Callable[[], Any]) -> None:
        """`make_adapter` makes keystoneauth1's adapter, at the first request."""
        self._make_adapter = make_adapter

    @functools.cached_property
    def _adapter(self) -> Any:
        return self._make_adapter()

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Make a client with `[service_credentials]`; no request is sent yet."""

        def make() -> Any:
            shared = session.from_conf(conf, timeout_seconds=conf[our_conf.GROUP].compute_timeout)
            given = conf[compute_conf.CREDENTIALS_GROUP]
            return _adapter(
                shared,
                service_type=_SERVICE,
                interface=given.interface,
                region_name=given.region_name,
            )

        return cls(make)

    @classmethod
    def of_cloud(cls, region: Any) -> Self:
        """Make a client with a cloud of `clouds.region`; no request is sent yet."""
        return cls(
            lambda: _adapter(
                region.get_session(),
                service_type=region.get_service_type(_SERVICE),
                service_name=region.get_service_name(_SERVICE),
                interface=region.get_interface(_SERVICE),
                region_name=region.get_region_name(_SERVICE),
                endpoint_override=region.get_endpoint(_SERVICE),
            )
        )

    def instance(self, instance_id: str) -> domain.DatabaseInstance:
        """Return an instance now.

        :raises InstanceNotFound: there is none.
        """
        try:
            return self._read(
                f'instance {instance_id}',
                f'/instances/{_quoted(instance_id)}',
                lambda found: forms.instance(found['instance']),
            )
        except domain.DatabaseServiceRefused as error:
            if error.status == _NOT_FOUND:
                raise exceptions.InstanceNotFound(instance_id=instance_id) from error
            raise

    def instances(self) -> tuple[domain.DatabaseInstance, ...]:
        """Return all instances of the project of the login, as a list has them."""
        return self._list('the instances of its project', '/instances', 'instances', forms.instance)

    def version(self, version_id: str) -> domain.OfferedVersion:
        """Return a version of any datastore by its id."""
        return self._read(
            f'datastore version {version_id}',
            f'/datastores/versions/{_quoted(version_id)}',
            lambda found: forms.version(found['version']),
        )

    def upgrade(self, instance_id: str, version_id: str) -> None:
        """Ask for an upgrade; done when it is accepted."""
        self._send(
            f'the upgrade of instance {instance_id}',
            'PATCH',
            f'/instances/{_quoted(instance_id)}',
            json={'instance': {'datastore_version': version_id}},
        )

    def backups(self, instance_id: str) -> tuple[domain.ShownBackup, ...]:
        """Return all backups of an instance.

        :raises InstanceNotFound: there is no such instance.
        :raises NotOffered: the service has none.
        """
        what = f'the backups of instance {instance_id}'
        path = f'/instances/{_quoted(instance_id)}/backups'
        return self._of_instance(
            instance_id, what, lambda: self._list(what, path, 'backups', forms.backup)
        )

    def backup(self, backup_id: str) -> domain.ShownBackup:
        """Return a backup."""
        return self._read(
            f'backup {backup_id}',
            f'/backups/{_quoted(backup_id)}',
            lambda found: forms.backup(found['backup']),
        )

    def users(self, instance_id: str) -> tuple[domain.DatabaseUser, ...]:
        """Return all users of an instance's database.  Raises as `backups`."""
        what = f'the users of instance {instance_id}'
        path = _users(instance_id)
        return self._of_instance(
            instance_id, what, lambda: self._list(what, path, 'users', forms.user)
        )

    def create_user(self, instance_id: str, name: str, password: str) -> None:
        """Make a user; done when it is accepted, and made later.  Raises as `backups`."""
        what = f'user {name} of instance {instance_id}'
        wanted = {'users': [{'name': name, 'password': password}]}
        self._of_instance(
            instance_id,
            what,
            # its body holds a password
            lambda: self._send(what, 'POST', _users(instance_id), json=wanted, log=False),
        )

    def drop_user(self, instance_id: str, name: str) -> None:
        """Drop a user, which is done later; one that is not there is no error."""
        self._unless_gone(
            f'the removal of user {name} of instance {instance_id}',
            'DELETE',
            f'{_users(instance_id)}/{_quoted(name)}',
        )

    def create_instance(self, wanted: domain.NewInstance) -> domain.DatabaseInstance:
        """Make an instance; it serves later.

        :raises NotOffered: this service makes none.
        """
        what = f'a new instance {wanted.name}'
        try:
            answer = self._send(
                what,
                'POST',
                '/instances',
                json=forms.to_be_made(wanted),
                log=False,  # Trove's answer may hold a password
                retriable_status_codes=[_TOO_MANY],  # 413 is a quota's, too, which does not pass
            )
        except domain.DatabaseServiceRefused as error:
            if error.status == _NO_METHOD:
                raise domain.NotOffered(what=what, status=error.status) from error
            raise
        return self._parsed(what, lambda: forms.instance(answer.json()['instance']))

    def delete_instance(self, instance_id: str) -> None:
        """Delete an instance, which is done later; one that is gone is no error.

        :raises DatabaseServiceRefused: with status 422 while Trove builds it.
        """
        self._unless_gone(
            f'the deletion of instance {instance_id}',
            'DELETE',
            f'/instances/{_quoted(instance_id)}',
        )

    def reset_status(self, instance_id: str) -> None:
        """Let Trove take an instance for one that it does not work on; one that is gone is no
        error.
        """
        self._unless_gone(
            f'the reset of instance {instance_id}',
            'POST',
            f'/instances/{_quoted(instance_id)}/action',
            json={'reset_status': {}},
        )

    def _of_instance(self, instance_id: str, what: str, ask: Callable[[], R]) -> R:
        """Return the answer of a collection below an instance.  A 404 of it is the instance's where
        that is not there.
        """
        try:
            return ask()
        except domain.DatabaseServiceRefused as error:
            if error.status not in _NO_RESOURCE:
                raise
            self.instance(instance_id)
            raise domain.NotOffered(what=what, status=error.status) from error

    def _unless_gone(self, what: str, method: str, path: str, **options: Any) -> None:
        try:
            self._send(what, method, path, **options)
        except domain.DatabaseServiceRefused as error:
            if error.status != _NOT_FOUND:
                raise

    def _read(self, what: str, path: str, read: Callable[[_Json], R]) -> R:
        answer = self._send(what, 'GET', path)
        return self._parsed(what, lambda: read(answer.json()))

    def _list(self, what: str, path: str, key: str, read: Callable[[_Json], R]) -> tuple[R, ...]:
        return tuple(entry for page in self._pages(what, path, key, read) for entry in page)

    def _pages(
        self, what: str, path: str, key: str, read: Callable[[_Json], R]
    ) -> Iterator[list[R]]:
        markers: list[str] = []
        while True:
            answer = self._send(what, 'GET', path, params={'marker': markers[-1:]})

            def parse(answer: Any = answer) -> tuple[list[R], str | None]:
                page = answer.json()
                return [read(entry) for entry in page[key]], forms.next_marker(page)

            found, marker = self._parsed(what, parse)
            yield found
            if marker is None:
                return
            if marker in markers:
                raise domain.DatabaseServiceUnavailable(
                    what=what, found=f'its pages do not end: {marker} comes twice'
                )
            markers.append(marker)

    @staticmethod
    def _parsed(what: str, parse: Callable[[], R]) -> R:
        """Return an answer that has come; one of another form is no answer."""
        try:
            return session.asked(parse)
        except session.UNAVAILABLE as error:
            raise domain.DatabaseServiceUnavailable(
                what=what, found=f'its answer has another form ({_words(error)})'
            ) from error

    def _send(self, what: str, method: str, path: str, **options: Any) -> Any:
        """Return an answer below 400, or raise what it means."""
        try:
            answer = session.asked(
                lambda: self._adapter.request(
                    path,
                    method,
                    raise_exc=False,
                    headers={'Accept': 'application/json'},
                    **options,
                )
            )
        except session.UNAVAILABLE as error:
            raise domain.DatabaseServiceUnavailable(what=what, found=_words(error)) from error
        if answer.status_code >= 400:
            raise _meaning(what, answer)
        return answer


def _adapter(shared: Any, **place: Any) -> Any:
    return ksa_adapter.Adapter(
        shared,
        status_code_retries=_RETRIES,
        retriable_status_codes=list(_TOO_OFTEN),
        **place,
    )


def _meaning(what: str, answer: Any) -> exceptions.TroveUpgradeError:
    status = answer.status_code
    fault = _fault(answer)
    found = cut(' '.join(str(fault.get('message') or answer.reason).split()).rstrip('.'), _LONGEST)
    is_away = status >= 500 and status != _NOT_IMPLEMENTED
    is_limit = status == _OVER_LIMIT and 'Retry-After' in answer.headers
    if is_away or is_limit or status in _NOT_NOW:
        return domain.DatabaseServiceUnavailable(what=what, found=f'{found} (status {status})')
    code = fault.get('error_code')
    return domain.DatabaseServiceRefused(
        what=what, status=status, found=found, error_code=None if code is None else str(code)
    )


def _fault(answer: Any) -> _Json:
    """Return the object in an error's body.  Source: trove/common/wsgi.py, Fault."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    found = next(iter(document.values()), None) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _words(error: Exception) -> str:
    return cut(' '.join(str(error).split()).rstrip('.') or type(error).__name__, _LONGEST)


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe='')


def _users(instance_id: str) -> str:
    return f'/instances/{_quoted(instance_id)}/users'
