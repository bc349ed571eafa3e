# SPDX-License-Identifier: Apache-2.0
"""The server as the process of a container: it starts and ends with it, and answers on a socket
that the host sees, too.
"""

import os
import pathlib
import socket as sockets
from collections.abc import Callable

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import connection, option_groups, server
from trove_upgrade.guestagent.datastores.mysql_family.container import credentials, definition
from trove_upgrade.guestagent.datastores.mysql_family.container.names import (
    DATABASE,
    DEFAULT_SOCKET,
    SOCKET_DIRECTORY,
)
from trove_upgrade.guestagent.datastores.mysql_family.container.record import Record
from trove_upgrade.guestagent.machine import service as service_module
from trove_upgrade.guestagent.machine.containers.answers import Container
from trove_upgrade.guestagent.machine.containers.engine import Engine
from trove_upgrade.guestagent.machine.progress import Progress

_POLL_SECONDS = 0.1
#: Clients wait for a start.
_START_POLL_SECONDS = 0.05
_LOG_LINES = 15
_REACHABLE_SECONDS = 60
#: The engine kills what has not ended by then; its own ten seconds are too few for a server that
#: writes its pages.
STOP_SECONDS = 300
_GREETING_BYTES = 5


#: Opens a TCP connection to an address within so many seconds; OSError where that is not possible.
Reach = Callable[[tuple[str, int], float], sockets.socket]


class ContainerServer(server.Server):
    """One database server in a container.  Nothing is remembered between calls."""

    def __init__(
        self,
        context: base.DriverContext,
        service: service_module.ServicePort,
        connect: connection.Connector,
        sleep: Callable[[float], None],
        engine: Engine,
        *,
        groups: option_groups.ServerGroups,
        start_seconds: float,
        reach: Reach,
    ) -> None:
        super().__init__(
            context, service, connect, sleep, groups=groups, start_seconds=start_seconds
        )
        self._engine = engine
        self._reach = reach

    @property
    def socket_inside(self) -> str:
        """Return the path of the server's socket as its container sees it."""
        return self.configuration().server_value('socket') or DEFAULT_SOCKET

    @property
    def socket_directory(self) -> pathlib.Path:
        """The host's side of the directory that it is in."""
        return self._context.etc.parent / SOCKET_DIRECTORY

    def session_with_credentials(
        self, timeout_seconds: float
    ) -> tuple[connection.Session, connection.Credentials]:
        """Log in as `Server` does, with the passwords that Trove's agent keeps on the volume."""
        on_host = str(self.socket_directory / pathlib.PurePosixPath(self.socket_inside).name)
        refusals = []
        for candidate in credentials.candidates(self._context.volume, on_host):
            try:
                return self._connect(candidate, timeout_seconds), candidate
            except connection.NoAnswer as error:
                refusals.append(error)
        raise connection.worst(refusals[::-1])

    def run(self, name: str) -> None:
        """Start container `name`, which exists, and wait until its server answers.  One that ends
        at once fails at once.

        :raises StepFailed: DATABASE_NOT_STARTED; the message ends with the container's last words.
        """
        self._engine.start(name)
        deadline = self._context.monotonic() + self._start_seconds
        patience = server.Patience(self._context.monotonic)
        while self.version() is None:
            container = self._engine.inspect(name)
            if container is None or not container.running or container.status == 'restarting':
                raise self._failed(name, container)
            if self._context.monotonic() > deadline:
                raise self._failed(
                    name, container, f'it gave no answer within {self._start_seconds:.0f} s'
                )
            patience.spend(self.refusal())
            self._sleep(_START_POLL_SECONDS)

    def stop(self, name: str) -> None:
        """Stop container `name` if it runs, with the time that a clean end takes."""
        container = self._engine.inspect(name)
        if container is not None and container.running:
            self._engine.stop(name, STOP_SECONDS)

    def sees_the_data(self, container: Container, proc: pathlib.Path) -> bool:
        """Return whether the data directory of the guest is the one that `container` sees; True
        where it cannot be told.
        """
        root = (
            proc / str((container.definition.get('State') or {}).get('Pid') or 'unknown') / 'root'
        )
        data = self._context.data_directory
        try:
            return (root / str(data).lstrip('/')).samefile(data)
        except OSError:  # its process can have ended meanwhile, and then `root` leads nowhere
            return not os.path.exists(root)  # noqa: PTH110 - pathlib raises for a process that ends

    def process_id(self, session: connection.Session) -> int | None:  # noqa: ARG002 - the contract has it
        """Return None. The server's own number counts in its container alone; that the container
        ends is what is waited for.
        """
        return None

    def wait_for_end(
        self,
        process_id: int | None,  # noqa: ARG002 - the contract has it
        progress: Progress,
        limit_seconds: float,
    ) -> None:
        """Wait until the container has exited, by itself and cleanly.

        :raises StepFailed: DATABASE_NOT_STOPPED; it had to be stopped, or has gone.
            SHUTDOWN_NOT_CLEAN; it says that it failed.
        """
        started = self._context.monotonic()
        while (container := self._engine.inspect(DATABASE)) is not None and container.running:
            waited = self._context.monotonic() - started
            progress(None, f'the database server is shutting down, {waited:.0f} s')
            if waited > limit_seconds:
                self._engine.stop(DATABASE, STOP_SECONDS)
                raise exceptions.StepFailed(
                    'The database server could not be shut down: its container still ran '
                    f'{limit_seconds:.0f} s after SHUTDOWN and was stopped by its engine. Look at '
                    'its log; it may need longer.',
                    Code.DATABASE_NOT_STOPPED,
                )
            self._sleep(_POLL_SECONDS)
        if container is None:
            raise exceptions.StepFailed(
                f'The database server cannot be said to have ended cleanly: container {DATABASE} '
                'has been removed meanwhile. Look who has done that.',
                Code.DATABASE_NOT_STOPPED,
            )
        if container.exit_code != 0:
            raise exceptions.StepFailed(
                f'The database server did not end cleanly: container {DATABASE} exited with code '
                f'{container.exit_code} ({self._last_words(DATABASE)}). Look at its log, start it '
                'and try again.',
                Code.SHUTDOWN_NOT_CLEAN,
            )

    def wait_for_clients_way(self, record: Record | None) -> None:
        """Wait until the server greets a client that comes over the network, by the way that
        clients take.

        The engine's health check is not waited for: it looks every ten seconds.

        :raises StepFailed: DATABASE_NOT_REACHABLE.
        """
        session = self.session()
        try:
            skip, port = session.rows('SELECT @@global.skip_networking, @@global.port')[0]
        finally:
            session.close()
        ways = definition.published(record.definition, int(port)) if record is not None else []
        if skip or not port or not ways:
            return
        address, published = ways[0]
        address = '127.0.0.1' if address in {'', '0.0.0.0', '::'} else address  # noqa: S104 - what the engine says  # nosec B104 # what the other side says: nothing listens on it
        if not self._wait_until(lambda: self._greets(address, published), _REACHABLE_SECONDS):
            reason = (
                'The database server cannot be opened for clients: it answers on its socket, '
                f'but not on {address} port {published} of the guest. Look at its '
                "bind_address, and at the rules of the engine's network."
            )
            raise exceptions.StepFailed(reason, Code.DATABASE_NOT_REACHABLE)

    def _failed(
        self, name: str, container: Container | None, found: str = ''
    ) -> exceptions.StepFailed:
        if container is None:
            found = f'container {name} has gone'
        elif not found:
            found = f'its container ended with code {container.exit_code}'
        reason = (
            f'The database server cannot be started: {found}. Mend what its log names, or use '
            f'another image. The log ends with: {self._last_words(name)}'
        )
        return exceptions.StepFailed(reason, Code.DATABASE_NOT_STARTED)

    def _last_words(self, name: str) -> str:
        try:
            lines = self._engine.logs(name, _LOG_LINES).splitlines()
        except exceptions.StepFailed as error:
            return f'(no log: {error.message})'
        return ' | '.join(line.strip() for line in lines if line.strip()) or '(it is empty)'

    def _greets(self, address: str, port: int) -> bool:
        """Return whether a server of the family speaks first, as its protocol wants: the engine's
        proxy accepts for one that is not there.

        Source: MariaDB Knowledge Base, "Connection": a packet of number 0, with protocol 10 or an
        error.
        """
        try:
            with self._reach((address, port), 1) as connected:
                connected.settimeout(5)  # it may look our name up first
                head = b''
                while len(head) < _GREETING_BYTES and (
                    piece := connected.recv(_GREETING_BYTES - len(head))
                ):
                    head += piece
        except OSError:
            return False
        return len(head) == _GREETING_BYTES and head[3] == 0 and head[4] in {10, 255}
