# SPDX-License-Identifier: Apache-2.0
"""A server that is started as clients are to meet it, and that none of them reaches yet: the
guest's packet filter keeps them out, and opening is no start.

The record below /run tells that it is closed, by which rules of which filter, and how its settings
were at the start.  It outlives the agent and no boot, as the server and the rules.

A filter that cannot be used fails nothing: the server is started without a network then, and opened
by another start.
"""

import dataclasses
import pathlib
import secrets
from collections.abc import Mapping, Sequence

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.codes import Code
from trove_upgrade.guestagent.datastores.mysql_family import (
    connection,
    limits,
    restart_reasons,
    run_record,
    socket_place,
)
from trove_upgrade.guestagent.datastores.mysql_family.restart_reasons import Restart
from trove_upgrade.guestagent.datastores.mysql_family.server import Server
from trove_upgrade.guestagent.machine.packet_filter import FilterError, PacketFilter

LOG = logs.get_logger(__name__)
_NAME = 'database-closed.json'
_UNUSABLE = 'The packet filter of the guest cannot be used; the database starts without it: %s'
_LEFT = 'Rules of the packet filter may be left that keep clients from the database'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """Facts of a server that is closed, or about to be."""

    #: of the rules; empty for rules that are to be lifted, by which no server counts as closed
    token: str
    ports: Sequence[int]
    user: int
    #: the filters that have made rules; none is known before that, nor by the release before
    made_by: Sequence[str] = ()
    #: of the server right after its start; empty until it has been given its limits
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)


class ClosedServer:
    """The closing of one server, which runs as a service of the guest."""

    def __init__(
        self,
        server: Server,
        packets: PacketFilter | None,
        run: pathlib.Path,
        root: pathlib.Path,
    ) -> None:
        """`packets`: None where opening is to be a start; `root` is that of the guest."""
        self._server = server
        self._packets = packets
        self._path = run / _NAME
        self._root = root
        #: of rules that were made again in the life of this agent: the guest has something that
        #: removes them
        self._renewed: str | None = None
        #: of a trial in the life of this agent
        self._is_usable = True

    def try_out(self, user: int) -> None:
        """Make rules and lift them while there is a way back: a filter that cannot be used is known
        then, and none is asked for later that could not be opened again.

        :raises StepFailed: rules have been made, and cannot be lifted.
        """
        if self._packets is None or self.is_recorded():
            return
        token = secrets.token_hex(16)
        made_by: list[str] = []
        try:
            made_by.append(self._packets.close(token, [restart_reasons.DEFAULT_PORT], user))
            self._is_usable = self._packets.is_closed(token, made_by)
        except FilterError as error:
            self._is_usable = False
            LOG.warning(_UNUSABLE, error)
        try:
            self._packets.open(made_by)
        except FilterError as error:
            raise _not_lifted(error) from error

    def close(self, user: int) -> Restart | None:
        """Put the rules in force, before the server is started; or return why it must not be.

        :raises StepFailed: the record cannot be written.
        """
        if self._packets is None or not self._is_usable or self.is_recorded():
            return Restart.FILTER
        if self._renewed is not None:
            return Restart.FILTER_LOST
        configuration = self._server.configuration()
        reason = restart_reasons.of_configuration(configuration)
        reason = reason or restart_reasons.of_socket(configuration, self._root)
        if reason is not None:
            return reason
        ports = sorted(restart_reasons.ports(configuration))
        record = Record(token=secrets.token_hex(16), ports=ports, user=user)
        self._write(record)  # first: rules without one are lifted by the agent's next start alone
        try:
            made_by = self._packets.close(record.token, ports, user)
        except FilterError as error:
            LOG.warning(_UNUSABLE, error)
            self.forget_if_it_can()
            return Restart.FILTER
        self._write(dataclasses.replace(record, made_by=[made_by]))
        return None

    def settle(self) -> Restart | None:
        """Look by the server's own word whether it may be opened as it runs; then take the
        customer's limits away for as long as it is closed.
        """
        record = self._read()
        session, _ = self._server.require_session()
        try:
            settings = limits.shown(session)
            reason = self._found(session, record, settings)
            if reason is not None or record is None:
                return reason or Restart.FILTER_LOST
            limits.take_away(session, settings)
        except connection.SessionError as error:
            LOG.info('The settings of the database cannot be changed: %s', error.message)
            return Restart.SETTINGS
        finally:
            session.close()
        self._write(dataclasses.replace(record, settings=settings))
        return None

    def _found(
        self, session: connection.Session, record: Record | None, settings: Mapping[str, str]
    ) -> Restart | None:
        listens = {int(settings.get(name) or 0) for name in ('port', 'extra_port')}
        if record is None or not self._is_in_force(record):
            return Restart.FILTER_LOST
        if not listens <= {0, *record.ports}:
            return Restart.PORTS
        if not socket_place.is_closed(settings.get('socket', ''), self._root):
            return Restart.SOCKET
        return limits.acting(session, settings)

    def holds(self) -> bool:
        """Return whether the server that runs is one that was closed and settled."""
        record = self._read()
        return record is not None and bool(record.settings) and self._is_in_force(record)

    def is_recorded(self) -> bool:
        """Return whether a server was started so; it need not run."""
        return self._path.exists()

    def is_lost(self) -> bool:
        """Return whether a server was started behind rules that are not all in force since."""
        record = self._read()
        if record is not None and not record.token:
            return False  # what was behind them has ended, or was being opened
        return self.is_recorded() and (record is None or not self._is_in_force(record))

    def renew(self) -> None:
        """Put the rules in force again where they have been lost.  They are others then, and the
        opening is a start: a client may have come meanwhile.  Rules without a record are lifted.
        """
        if self._packets is None:
            return
        if not self.is_recorded():
            self._lift_left(self._packets)
            return
        record = self._read()
        if record is None or not record.token or self._is_in_force(record):
            return
        if self._renewed is not None and self._packets.is_closed(self._renewed):
            return
        LOG.warning('The rules that keep clients from the database were lost; they are made again')
        self._renewed = secrets.token_hex(16)
        try:
            made_by = self._packets.close(self._renewed, record.ports, record.user)
        except FilterError as error:
            LOG.warning('They cannot be made: %s', error)
            return
        self._write(dataclasses.replace(record, made_by=sorted({*record.made_by, made_by})))

    def _lift_left(self, packets: PacketFilter) -> None:
        """Lift what a list of rules has brought back that was saved while a server was closed."""
        try:
            packets.lift_left()
        except FilterError as error:
            LOG.warning('%s: %s', _LEFT, error)

    def open(self) -> Restart | None:
        """Give the settings back, look that they are those of the start, and lift the rules; or
        return why only a start will do.

        :raises StepFailed: the rules cannot be lifted.
        """
        record = self._read()
        if record is None or not record.settings:
            return Restart.FILTER_LOST
        if record.token and not self._is_in_force(record):
            return Restart.FILTER_LOST
        session, _ = self._server.require_session()
        try:
            reason = self._give_back(session, record)
        except connection.SessionError as error:
            LOG.info('The settings of the database cannot be given back: %s', error.message)
            return Restart.SETTINGS
        finally:
            session.close()
        if reason is None:
            self._lift(dataclasses.replace(record, token=''))
        return reason

    def _give_back(self, session: connection.Session, record: Record) -> Restart | None:
        reason = limits.give_back(session, record.settings)
        if reason is not None:
            return reason
        if restart_reasons.has_events_on(self._server.configuration()):
            limits.set_global(session, 'event_scheduler', 'ON')
        return None

    def forget(self) -> None:
        """Lift the rules behind which no server runs any more, then remove the record.

        :raises StepFailed: the rules may still be there; the record stays, and tells so.
        """
        record = self._read()
        self._lift(record and dataclasses.replace(record, token='', settings={}))

    def forget_if_it_can(self) -> None:
        """Do as `forget`; rules that stay hinder the opening alone, which tries again."""
        try:
            self.forget()
        except exceptions.StepFailed as error:
            LOG.warning('%s: %s', _LEFT, error.message)

    def _lift(self, record: Record | None) -> None:
        """Lift the rules; `record`, which goes with them, tells till then that they are to go: an
        agent that starts in between makes none of them again.
        """
        if self._packets is not None and self.is_recorded():
            if record is not None:
                self._write(record)
            try:
                self._packets.open(() if record is None else record.made_by)
            except FilterError as error:
                raise _not_lifted(error) from error
        self._path.unlink(missing_ok=True)

    def _is_in_force(self, record: Record) -> bool:
        return (
            self._packets is not None
            and bool(record.token)
            and self._packets.is_closed(record.token, record.made_by)
        )

    def _write(self, record: Record) -> None:
        run_record.write(self._path, record)

    def _read(self) -> Record | None:
        return run_record.read(self._path, Record)


def _not_lifted(error: FilterError) -> exceptions.StepFailed:
    reason = (
        'The database cannot be opened for clients: the rules of the packet filter that keep them '
        f'away cannot be removed ({error}). Remove them, or mend what it names, and try again.'
    )
    return exceptions.StepFailed(reason, Code.DATABASE_NOT_REACHABLE)
