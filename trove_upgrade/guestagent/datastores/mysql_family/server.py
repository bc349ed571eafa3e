# SPDX-License-Identifier: Apache-2.0
"""The server as a whole: its configuration files, whether it answers, starting it by its service,
waiting for its end.
"""

import contextlib
import dataclasses
import pathlib
import socket
from collections.abc import Callable, Sequence

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    connection,
    option_files,
    option_groups,
    persisted,
    socket_place,
)
from trove_upgrade.guestagent.machine import durable, listing, untrusted_files
from trove_upgrade.guestagent.machine import service as service_module
from trove_upgrade.guestagent.machine.progress import Progress
from trove_upgrade.waiting import wait_until

_LOG_TAIL_LINES = 15
_LOG_TAIL_BYTES = 1 << 16
_LOGS_IN_DATA = 20
_NUMBER_BYTES = 32
_POLL_SECONDS = 0.1
_SHORT_SECONDS = 15
_REFUSED_SECONDS = 10


class Patience:
    """Patience with a server that refuses the agent: while it starts it may do so for a moment, and
    afterwards it never stops.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: float | None = None

    def spend(self, refusal: connection.LoginRefused | None) -> None:
        """Count the time of refusals; None, an answer, ends it.

        :raises StepFailed: DATABASE_LOGIN_REFUSED; it has been refusing for too long.
        """
        if refusal is None:
            self._since = None
            return
        self._since = self._monotonic() if self._since is None else self._since
        if self._monotonic() - self._since > _REFUSED_SECONDS:
            raise exceptions.StepFailed(refusal.message, refusal.code) from refusal


class Server:
    """One database server of this guest.  Nothing is remembered between calls: the world is looked
    at anew.
    """

    def __init__(
        self,
        context: base.DriverContext,
        service: service_module.ServicePort,
        connect: connection.Connector,
        sleep: Callable[[float], None],
        *,
        groups: option_groups.ServerGroups,
        start_seconds: float,
    ) -> None:
        """`groups` are those of option files that its dialect reads."""
        self._context = context
        self._service = service
        self._connect = connect
        self._sleep = sleep
        self._groups = groups
        self._start_seconds = start_seconds

    @property
    def client_file(self) -> pathlib.Path:
        """Path of root's own client file."""
        return self._context.etc.parent / 'root' / '.my.cnf'

    @property
    def arguments_file(self) -> pathlib.Path:
        """Return what our database service adds to the server's command line, one argument per
        line.
        """
        return self._context.run / 'database-args'

    def told_socket(self) -> str | None:
        """Return where the server was told to have its socket; None where it was not."""
        try:
            return socket_place.told(self.arguments_file.read_text().splitlines())
        except FileNotFoundError:
            return None

    def configuration(self) -> option_files.Configuration:
        """The option files that a server of this root disk reads, now, and what it has been told to
        keep in its data directory.
        """
        found = option_files.read_all(
            (self._context.etc / 'my.cnf', self._context.etc / 'mysql' / 'my.cnf'), self._groups
        )
        return dataclasses.replace(
            found, options=found.options + persisted.options(self._context.data_directory)
        )

    def session(self, timeout_seconds: float = _SHORT_SECONDS) -> connection.Session:
        """Log in by one of the known ways.

        :raises NoAnswer: by none of the ways in.
        """
        return self.session_with_credentials(timeout_seconds)[0]

    def session_with_credentials(
        self, timeout_seconds: float
    ) -> tuple[connection.Session, connection.Credentials]:
        """The first way in that works, and which it was.

        :raises NoAnswer: none does.
        """
        refusals = []
        ways = connection.candidates(self.configuration(), self.client_file, self.told_socket())
        for credentials in ways:
            try:
                return self._connect(credentials, timeout_seconds), credentials
            except connection.NoAnswer as error:
                refusals.append(error)
        raise connection.worst(refusals)

    def require_session(
        self, timeout_seconds: float = _SHORT_SECONDS
    ) -> tuple[connection.Session, connection.Credentials]:
        """Return the first way in that works, and which it was.

        :raises StepFailed: DATABASE_NOT_RUNNING; nothing answers where a server must run.
        """
        try:
            return self.session_with_credentials(timeout_seconds)
        except connection.NoAnswer as error:
            raise exceptions.StepFailed(error.message, error.code) from error

    def version(self) -> str | None:
        """Return what the running server says; None if none answers."""
        try:
            session = self.session()
        except connection.NoAnswer:
            return None
        try:
            return str(session.rows('SELECT VERSION()')[0][0])
        except connection.SessionError:
            return None
        finally:
            session.close()

    def start(self, name: str, arguments: Sequence[str] = ()) -> None:
        """Start service `name` and wait until the server answers on its socket.

        :raises StepFailed: DATABASE_NOT_STARTED; the message ends with the server's own last words.
        """
        if arguments:
            durable.make_directory(self.arguments_file.parent)
            durable.write(
                self.arguments_file, ''.join(f'{argument}\n' for argument in arguments).encode()
            )
        else:
            self.arguments_file.unlink(missing_ok=True)
        try:
            self._service.start(name)
        except exceptions.StepFailed as error:
            raise self._not_started(error.message) from error
        deadline = self._context.monotonic() + self._start_seconds
        patience = Patience(self._context.monotonic)
        while self.version() is None:
            if not self._service.status(name):
                raise self._not_started(f'service {name} has ended')
            if self._context.monotonic() > deadline:
                raise self._not_started(f'no answer within {self._start_seconds:.0f} s')
            patience.spend(self.refusal())
            self._sleep(_POLL_SECONDS)

    def refusal(self) -> connection.LoginRefused | None:
        """Return why a server that answers lets none of the agent's users in; None where it does,
        or where none answers.
        """
        try:
            self.session().close()
        except connection.LoginRefused as error:
            return error
        except connection.NoAnswer:
            return None
        return None

    def stop(self, name: str) -> None:
        """Stop service `name` if it runs.

        :raises StepFailed: it did not stop.
        """
        if self._service.status(name):
            self._service.stop(name)

    def wait_for_tcp(self) -> None:
        """Wait until the server takes connections over the network, if its configuration wants
        that.

        :raises StepFailed: DATABASE_NOT_REACHABLE.
        """
        session = self.session()
        try:
            skip, port, bind = session.rows(
                'SELECT @@global.skip_networking, @@global.port, @@global.bind_address'
            )[0]
        finally:
            session.close()
        if skip or not port:
            return
        address = str(bind or '').split(',')[0].strip()
        if address in {'', '*', '0.0.0.0', '::'}:  # noqa: S104 - what the server says, not what we listen on  # nosec B104 # what the other side says: nothing listens on it
            address = '127.0.0.1'
        if not self._wait_until(lambda: _accepts(address, int(port)), _SHORT_SECONDS):
            reason = (
                'The database server cannot be opened for clients: it answers on its socket, '
                f'but not on {address} port {port}. Look at its bind_address and its error log.'
            )
            raise exceptions.StepFailed(reason, Code.DATABASE_NOT_REACHABLE)

    def _wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        return wait_until(
            condition,
            seconds,
            monotonic=self._context.monotonic,
            sleep=self._sleep,
            interval_seconds=_POLL_SECONDS,
        )

    def process_id(self, session: connection.Session) -> int | None:
        """Return the process id of the server that `session` talks to; None where its pid file
        cannot be read.
        """
        path = pathlib.Path(str(session.rows('SELECT @@global.pid_file')[0][0]))
        if not path.is_absolute():
            path = pathlib.Path(str(session.rows('SELECT @@global.datadir')[0][0])) / path
        try:  # its directory is the server's, and the locks are held: nothing may make us wait
            return int(
                untrusted_files.read(
                    path, untrusted_files.owner_of(self._context.data_directory), _NUMBER_BYTES
                )
            )
        except (OSError, ValueError):
            return None

    def wait_for_end(
        self, process_id: int | None, progress: Progress, limit_seconds: float
    ) -> None:
        """Wait until the server's process has gone.

        :raises StepFailed: DATABASE_NOT_STOPPED; it still runs.
        """
        started = self._context.monotonic()
        while self._still_there(process_id):
            waited = self._context.monotonic() - started
            progress(None, f'the database server is shutting down, {waited:.0f} s')
            if waited > limit_seconds:
                reason = (
                    'The database server cannot be stopped cleanly: process '
                    f'{process_id or "unknown"} still runs {limit_seconds:.0f} s after SHUTDOWN. '
                    'Look at its error log; it may need longer.'
                )
                raise exceptions.StepFailed(reason, Code.DATABASE_NOT_STOPPED)
            self._sleep(_POLL_SECONDS)

    def _still_there(self, process_id: int | None) -> bool:
        if process_id is None:
            return self.version() is not None
        try:
            # A child of a test, or of a careless init, that has ended but was not waited for is no
            # server any more.
            state = (
                pathlib.Path(f'/proc/{process_id}/stat').read_text().rpartition(')')[2].split()[0]
            )
        except OSError:
            return False
        return state not in {'Z', 'X'}

    def log_tail(self) -> str:
        """The last lines of the newest error log that the server's own user has written, or ''."""
        named = self.configuration().value(
            'log-error', (*self._groups.names, 'mysqld_safe', 'mariadbd-safe')
        )
        root = self._context.etc.parent
        places = [
            root / 'var/log/mysql/error.log',
            root / 'var/log/mysqld.log',
            *listing.matching(self._context.data_directory, '*.err')[:_LOGS_IN_DATA],
        ]
        if named:
            path = pathlib.Path(named)
            places.append(path if path.is_absolute() else self._context.data_directory / path)
        ends = []
        for path in places:
            # no log there, or none of the server's: its text would be another user's
            with contextlib.suppress(OSError):
                ends.append(
                    untrusted_files.read_end(
                        path,
                        untrusted_files.owner_of(self._context.data_directory),
                        _LOG_TAIL_BYTES,
                    )
                )
        newest = max(ends, default=(0, b''))[1]
        return ' | '.join(newest.decode('utf-8', 'replace').splitlines()[-_LOG_TAIL_LINES:])

    def _not_started(self, found: str) -> exceptions.StepFailed:
        reason = (
            f'The database server cannot be started: {found}. Mend what its error log names. '
            f'The log ends with: {self.log_tail() or "(no error log found)"}'
        )
        return exceptions.StepFailed(reason, Code.DATABASE_NOT_STARTED)


def _accepts(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
