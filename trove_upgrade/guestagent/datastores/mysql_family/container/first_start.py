# SPDX-License-Identifier: Apache-2.0
"""The first start of the new server in a container, to which no client comes, and the opening.

Where nothing has to be told to the server's program besides, the container is the final one
already, closed by its network (`closed_network`), and is opened as it runs.  Else it is one without
a network and with arguments of ours, and opening makes another one.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.guestagent.datastores.mysql_family import option_files, restart_reasons
from trove_upgrade.guestagent.datastores.mysql_family.container import closed_network, definition
from trove_upgrade.guestagent.datastores.mysql_family.container.creation import Creation
from trove_upgrade.guestagent.datastores.mysql_family.container.names import DATABASE, FIRST_START
from trove_upgrade.guestagent.datastores.mysql_family.container.record import Record
from trove_upgrade.guestagent.datastores.mysql_family.container.server import ContainerServer
from trove_upgrade.guestagent.datastores.mysql_family.restart_reasons import Restart
from trove_upgrade.guestagent.machine import listing
from trove_upgrade.guestagent.machine.containers.answers import Container
from trove_upgrade.guestagent.machine.containers.engine import Engine

LOG = logs.get_logger(__name__)
#: Files in which a server keeps from where it replicates: one for each connection.
_REPLICATION_FILES = 'master*.info'
_ANOTHER = 'The database is opened by another start of its server: %s'


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstStart:
    """Means to start the new server without clients, and to let them in."""

    engine: Engine
    server: ContainerServer
    creation: Creation
    closed: closed_network.ClosedNetwork
    data_directory: pathlib.Path
    #: of the database engine: whether it takes all of its configuration while it runs
    may_be_opened: bool

    def run(self, record: Record, arguments: Sequence[str]) -> None:
        """Run the server so that no client comes to it; `arguments` isolate one that is not to be
        opened as it runs.

        :raises StepFailed: it does not start.
        """
        if self.serves():
            return
        self.end(FIRST_START)
        self.end(DATABASE)
        self.closed.begin()
        reason = self._forbids(record) or self._run_closed(record)
        if reason is None or not self.is_isolated():
            return  # the caller asks `is_isolated`: a client may have come to it
        LOG.info('The database will be opened by another start of its server: %s', reason)
        self.end(FIRST_START)
        self.creation.create(
            FIRST_START,
            record,
            command=[*definition.command(record.definition), *arguments],
            network=definition.NONE,
        )
        self.server.run(FIRST_START)

    def _forbids(self, record: Record) -> Restart | None:
        """Return what forbids to start the server as clients are to meet it, before that start."""
        given = self.creation.privileges.given(record.definition)
        if not self.may_be_opened:
            return Restart.ENGINE
        if definition.own_network(given) != definition.BRIDGE:
            return Restart.NETWORK_OF_GUEST
        command = self.creation.command(record)
        if definition.reads_other_files(command, given):
            return Restart.COMMAND
        if self.creation.makes_accounts(record):
            return Restart.ENTRYPOINT
        if listing.matching(self.data_directory, _REPLICATION_FILES):
            return Restart.REPLICATION
        configuration = self.server.configuration()
        return restart_reasons.of_fixed_command(
            dataclasses.replace(
                configuration,
                options=(*configuration.options, *option_files.from_command_line(command)),
            )
        )

    def _run_closed(self, record: Record) -> Restart | None:
        """Start the final container on no network, or return why it is not to be opened so."""
        try:
            self.creation.create(FIRST_START, record, at_first=definition.NONE)
            container = self.engine.inspect(FIRST_START)
            if container is None or not closed_network.is_closed(container):
                return Restart.NETWORK
            self.server.run(FIRST_START)
        except exceptions.StepFailed as error:
            LOG.warning('The server did not start as clients are to meet it: %s', error.message)
            return Restart.START
        return self.closed.settle()

    def serves(self) -> bool:
        """Return whether a server runs so that no client comes to it, and can be gone on with."""
        container = self.engine.inspect(FIRST_START)
        return (
            container is not None
            and container.running
            and self._is_closed(container)
            and self.server.version() is not None
        )

    def _is_closed(self, container: Container) -> bool:
        if closed_network.is_final(container):
            return self.closed.holds(container)
        return closed_network.is_closed(container)

    def is_isolated(self) -> bool:
        """Ask the engine whether others have connected the container to a network."""
        container = self.engine.inspect(FIRST_START)
        return container is None or not container.running or closed_network.is_closed(container)

    def container(self) -> str:
        """Return the name of the container that the server runs in."""
        container = self.engine.inspect(FIRST_START)
        return FIRST_START if container is not None and container.running else DATABASE

    def open(self, record: Record, restart_policy: str) -> None:
        """Let clients come: to the server that runs, or to one in another container.  It has its
        restart policy before the first of them comes, and is theirs after a boot, too.

        :raises StepFailed: that one does not start.
        """
        if not self._opened_as_it_runs(restart_policy):
            self.end(FIRST_START)
            self.end(DATABASE)
            self.creation.create(DATABASE, record)
            self.engine.set_restart_policy(DATABASE, restart_policy)
            self.server.run(DATABASE)
        self.closed.forget()

    def _opened_as_it_runs(self, restart_policy: str) -> bool:
        if self.server.version() is None:
            return False
        first = self.engine.inspect(FIRST_START)
        if first is not None and not self._is_named(first):
            return False
        container = self.engine.inspect(DATABASE)
        if container is None or not container.running:
            return False
        self.engine.set_restart_policy(DATABASE, restart_policy)
        reason = self.closed.connect(container)
        if reason is not None:
            LOG.info(_ANOTHER, reason)
        return reason is None

    def _is_named(self, first: Container) -> bool:
        if not closed_network.is_final(first):
            return False
        reason = self.closed.name_it(first)
        if reason is not None:
            LOG.info(_ANOTHER, reason)
        return reason is None

    def end(self, name: str) -> None:
        """Stop a container cleanly and remove it, if it is there."""
        self.server.stop(name)
        self.engine.remove(name, force=True)
