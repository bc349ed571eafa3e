# SPDX-License-Identifier: Apache-2.0
"""A container that is made as clients are to meet it, and is on no network until it is opened.

When it is made the engine puts it on `none`, in the place of the network that its definition names:
its ports are published nowhere, and the one way to its server is the directory of its socket.
Opening takes it off `none` and puts it on its own network, which publishes its ports; the server
goes on.  An engine keeps on which networks a container is, over its own end and a boot.

Sources: moby, daemon/container_operations.go of 20.10 to 29 (updateContainerNetworkSettings,
updateNetworkSettings, DisconnectFromNetwork, ConnectToNetwork).  Measured with 20.10 and 26.1.

The record below /run has the settings of the server's start.  It outlives the agent and no boot, as
the container's run.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.datastores.mysql_family import connection, limits, run_record
from trove_upgrade.guestagent.datastores.mysql_family.container import definition
from trove_upgrade.guestagent.datastores.mysql_family.container.names import DATABASE, FIRST_START
from trove_upgrade.guestagent.datastores.mysql_family.restart_reasons import Restart
from trove_upgrade.guestagent.datastores.mysql_family.server import Server
from trove_upgrade.guestagent.machine.containers.answers import Container
from trove_upgrade.guestagent.machine.containers.engine import Engine
from trove_upgrade.guestagent.machine.containers.errors import EngineError

LOG = logs.get_logger(__name__)
_NAME = 'database-container-closed.json'
_NOT_OPENED = 'Container %s cannot be opened as it runs: %s'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """Facts of a container that is closed, or about to be."""

    run: str = ''  #: of the container; empty until its server has no limits of the customer's
    #: of the server right after its start
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)


def is_closed(container: Container) -> bool:
    """Return whether it is on no network, and has been on none since it was made: one that is
    taken off another is on nothing at all, not on `none` again.
    """
    return definition.networks(container.definition) == {definition.NONE}


def _run_of(container: Container) -> str:
    """Return what no other run of any container has."""
    state = container.definition.get('State') or {}
    return f'{container.id} {state.get("StartedAt")}'


def is_final(container: Container) -> bool:
    """Return whether it is defined as clients are to meet it: with a network."""
    return definition.network(container.definition) != definition.NONE


class ClosedNetwork:
    """The closing of the container of a first start, and its opening."""

    def __init__(self, engine: Engine, server: Server, run: pathlib.Path) -> None:
        self._engine = engine
        self._server = server
        self._path = run / _NAME

    def begin(self) -> None:
        """Record that a container of a first start will be there: an agent that starts then looks
        at its networks.

        :raises OSError: the record cannot be written.
        """
        run_record.write(self._path, Record())

    def settle(self) -> Restart | None:
        """Look by the server's own word whether it may be opened as it runs; then take the
        customer's limits away for as long as it is closed.
        """
        container = self._engine.inspect(FIRST_START)
        if container is None or not is_closed(container):
            return Restart.NETWORK_LOST
        session, _ = self._server.require_session()
        try:
            settings = limits.shown(session)
            reason = limits.acting(session, settings)
            if reason is not None:
                return reason
            limits.take_away(session, settings)
        except connection.SessionError as error:
            LOG.info('The settings of the database cannot be changed: %s', error.message)
            return Restart.SETTINGS
        finally:
            session.close()
        run_record.write(self._path, Record(run=_run_of(container), settings=settings))
        return None

    def holds(self, container: Container) -> bool:
        """Return whether it is one that is closed, and whose server was settled."""
        record = run_record.read(self._path, Record)
        return (
            record is not None
            and record.run == _run_of(container)
            and bool(record.settings)
            and is_closed(container)
        )

    def renew(self) -> None:
        """Take a container of a first start off the networks to which others have connected it.
        What they did is told by where it is then: on nothing, and not on `none`.
        """
        if not self._path.exists():
            return
        container = self._engine.inspect(FIRST_START)
        if container is None or not container.running:
            return
        for network in sorted(definition.networks(container.definition) - {definition.NONE}):
            LOG.warning(
                'Container %s was connected to network %s; it is taken off', FIRST_START, network
            )
            self._engine.disconnect(FIRST_START, network)

    def name_it(self, first: Container) -> Restart | None:
        """Give the settings back, look that they are those of the start, and give the container
        the name by which clients know it; or return why only a start will do.
        """
        record = run_record.read(self._path, Record)
        if record is None or not self.holds(first):
            return Restart.NETWORK_LOST
        session, _ = self._server.require_session()
        try:
            reason = limits.give_back(session, record.settings)
        except connection.SessionError as error:
            LOG.info('The settings of the database cannot be given back: %s', error.message)
            return Restart.SETTINGS
        finally:
            session.close()
        if reason is not None:
            return reason
        try:
            self._engine.rename(FIRST_START, DATABASE)
        except EngineError as error:
            LOG.warning(_NOT_OPENED, FIRST_START, error.message)
            return Restart.NETWORK
        return None

    def connect(self, container: Container) -> Restart | None:
        """Put the container with the final name on its own network, from wherever a call before
        this one has come to; or return why another one has to be made.
        """
        own = definition.own_network(container.definition)
        if definition.networks(container.definition) == {own}:
            return None
        try:
            if definition.NONE in definition.networks(container.definition):
                self._engine.disconnect(DATABASE, definition.NONE)
            if own not in definition.networks(container.definition):
                self._engine.connect(DATABASE, own)
        except EngineError as error:
            LOG.warning(_NOT_OPENED, DATABASE, error.message)
            return Restart.NETWORK
        opened = self._engine.inspect(DATABASE)
        if (
            opened is None
            or definition.networks(opened.definition) != {own}
            or not definition.publishes_all(opened.definition)
        ):
            LOG.warning('Container %s was connected to %s, and is not published', DATABASE, own)
            return Restart.NETWORK
        return None

    def forget(self) -> None:
        """Remove the record: no container is closed any more."""
        self._path.unlink(missing_ok=True)
