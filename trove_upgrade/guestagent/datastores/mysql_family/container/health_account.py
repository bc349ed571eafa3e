# SPDX-License-Identifier: Apache-2.0
"""Accounts of the health check that an image's entrypoint makes at a start: with
MARIADB_AUTO_UPGRADE, where the data has no file for them.

They have the name below at three hosts, and one password.  An account of the customer's with that
name is given this password, too. Trove waits for the health check, which reads the file, and lists
every account with another host than localhost.

Sources: the entrypoint and healthcheck.sh of MariaDB's container images (docker_mariadb_upgrade,
create_healthcheck_users); Trove 26, guestagent/datastore/mariadb/service.py (HEALTHCHECK,
_extra_envs) and mysql_common/service.py (list_users).
"""

import configparser
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.guestagent.machine import durable, untrusted_files

LOG = logs.get_logger(__name__)

FILE = '.my-healthcheck.cnf'
_USER = 'healthcheck'
_LOCAL, _LISTED = 'localhost', ('127.0.0.1', '::1')
_PROGRAM = 'healthcheck.sh'
_FILE_BYTES = 64 << 10


class HealthAccount:
    """Remembers at the stop which of these accounts were there, on this root disk and over the
    stash on the next one.
    """

    def __init__(self, path: pathlib.Path, data_directory: pathlib.Path) -> None:
        self.path = path
        self._file = data_directory / FILE

    def remember(self, users: Iterable[str]) -> None:
        """Remember the account durably, before this returns. `users`: names of all accounts, as a
        fingerprint has them.
        """
        names = set(users)
        hosts = [host for host in (_LOCAL, *_LISTED) if f'{_USER}@{host}' in names]
        durable.make_directory(self.path.parent, 0o700)
        durable.write_json(self.path, {'hosts': hosts})

    def may_be_made(self, health_check: Mapping[str, Any] | None) -> bool:
        """Return whether the entrypoint may make them at the next start of a container with this
        health check.

        True, too, where nothing was remembered: the container is then as Trove's agent makes it.
        """
        hosts = self._hosts()
        if hosts is None or self.are_made():
            return True
        return not hosts and _reads_file(health_check)

    def are_made(self) -> bool:
        """Return whether the data has the file for them: an entrypoint makes none then."""
        return self._file.is_file()

    def drop_listed(self, session: connection.Session) -> None:
        """Drop those that Trove would list, if none was there before: the one at localhost does for
        the health check.

        All stay where the check comes by TCP alone and the server resolves no names.  A second call
        is safe.
        """
        if self._hosts() != []:
            return
        try:
            made = _made(session)
            if made and not (self._comes_by_tcp() and _resolves_no_names(session)):
                session.rows('SET SESSION sql_log_bin = 0')
                for host in made:
                    session.rows(f"DROP USER {_USER}@'{host}'")
        except connection.SessionError as error:
            LOG.warning('Accounts %s of the image stay in the list of users: %s', _USER, error)

    def _comes_by_tcp(self) -> bool:
        """Tell, by the client's options in the file, whether the check comes by TCP: without that
        option the check uses the socket, where its host is localhost.
        """
        parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
        try:
            with untrusted_files.directory(self._file.parent) as directory:
                owner = untrusted_files.owner_of(self._file.parent)
                content = untrusted_files.read(self._file.name, owner, _FILE_BYTES, below=directory)
            parser.read_string(content.decode('utf-8', 'replace'))
        except (OSError, configparser.Error):
            return True
        found = [parser.get(section, 'protocol', fallback=None) for section in parser.sections()]
        return any((protocol or '').strip().lower() == 'tcp' for protocol in found)

    def _hosts(self) -> Sequence[str] | None:
        """Hosts of the accounts that were there; None where nothing was remembered."""
        try:
            return [str(host) for host in durable.read_json(self.path)['hosts']]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            LOG.warning('%s cannot be read: %s', self.path, error)
            return None


def _resolves_no_names(session: connection.Session) -> bool:
    return bool(int(session.rows('SELECT @@global.skip_name_resolve')[0][0]))


def _made(session: connection.Session) -> list[str]:
    """Return the hosts, of those that Trove lists, with an account that has the password of the one
    at localhost.
    """
    found = session.rows(
        f"SELECT Host, authentication_string FROM mysql.user WHERE User = '{_USER}'"
    )
    secrets = {str(host): secret for host, secret in found}
    shared = secrets.get(_LOCAL)
    return [host for host in _LISTED if shared and secrets.get(host) == shared]


def _reads_file(health_check: Mapping[str, Any] | None) -> bool:
    words = [str(word) for word in (health_check or {}).get('Test') or ()]
    return any(FILE in word or _PROGRAM in word for word in words)
