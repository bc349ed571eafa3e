# SPDX-License-Identifier: Apache-2.0
"""Fingerprint and shutdown in one session, so that no write falls between the two."""

import dataclasses
from collections.abc import Callable

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.guestagent.datastores.mysql_family.server import Server
from trove_upgrade.guestagent.machine.progress import Deferred, Progress

#: After one of these the next start needs crash recovery (2), or loses what is not yet merged (3).
_HASTY_SHUTDOWNS = frozenset({2, 3})
_ROUNDS = 50
_ROUND_SECONDS = 0.02


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stop:
    """Means to stop one server."""

    server: Server
    collect: Callable[[connection.Session], base.Fingerprint]
    progress: Progress
    sleep: Callable[[float], None]
    read_only: str  #: the global variable that keeps out all who are not superusers, or all
    lock_seconds: float  #: how long to wait for running statements; clients' writes wait as long
    shutdown_seconds: float  #: from SHUTDOWN to the end of the process

    def run(self) -> base.Fingerprint:
        """Returns once the process has gone.  Whatever fails before SHUTDOWN was sent leaves the
        server as it was; what the progress raises after that is raised once it has gone.

        :raises StepRefused: it cannot be locked or read; the server goes on.
        :raises StepFailed: it does not end.
        """
        try:
            session = self.server.session(timeout_seconds=0)
        except connection.NoAnswer as error:
            raise exceptions.StepRefused(error.message, error.code) from error
        try:
            self._lock(session)
            self._look_for_prepared(session)
            fingerprint = self.collect(session)
            process_id = self.server.process_id(session)
            self._shut_down(session)
        except connection.SessionError as error:
            reason = (
                'The database cannot be stopped for the upgrade: the fingerprint failed '
                f'({error.text}). It goes on as before; mend what the error says and upgrade again.'
            )
            raise exceptions.StepRefused(reason, Code.FINGERPRINT_FAILED) from error
        finally:
            session.close()
        # a server that is told to end does not turn back, and is started again only after its end
        ending = Deferred(self.progress)
        self.server.wait_for_end(process_id, ending, self.shutdown_seconds)
        ending.settle()
        return fingerprint

    def _lock(self, session: connection.Session) -> None:
        self.progress(None, 'waiting for running statements to end')
        session.rows('SET SESSION wait_timeout = 28800')
        session.rows(f'SET SESSION lock_wait_timeout = {max(1, int(self.lock_seconds))}')
        try:
            session.rows('FLUSH TABLES WITH READ LOCK')
        except connection.SessionError as error:
            if error.number != connection.LOCK_WAIT_TIMEOUT:
                raise
            reason = (
                'The database cannot be stopped for the upgrade: statements that run for long '
                f'kept it from being locked for {self.lock_seconds:.0f} s ({_busy(session)}). It '
                'goes on as before; upgrade again when they have ended.'
            )
            raise exceptions.StepRefused(reason, Code.DATABASE_BUSY) from error

    def _look_for_prepared(self, session: connection.Session) -> None:
        prepared = session.rows('XA RECOVER')
        if prepared:
            reason = (
                f'The database cannot be stopped for the upgrade: {len(prepared)} XA transactions '
                'are prepared. Commit or roll them back and upgrade again.'
            )
            raise exceptions.StepRefused(reason, Code.PREPARED_TRANSACTIONS)

    def _shut_down(self, session: connection.Session) -> None:
        """A server that shuts down ends sessions one by one; the lock ends with ours, and a session
        that waited for it could still write and be told so.  So there must be no session that
        waits, and none that may.
        """
        fast, read_only, events = session.rows(
            f'SELECT @@global.innodb_fast_shutdown, @@global.{self.read_only}, '
            '@@global.event_scheduler'
        )[0]
        self.progress(None, 'shutting the database server down')
        try:
            if int(fast) in _HASTY_SHUTDOWNS:
                session.rows('SET GLOBAL innodb_fast_shutdown = 1')
            if str(events).upper() == 'ON':
                session.rows('SET GLOBAL event_scheduler = OFF')
            session.rows(f'SET GLOBAL {self.read_only} = 1')
            self._end_other_sessions(session)
            session.rows('SHUTDOWN')
        except connection.SessionError as error:
            if error.number in connection.CONNECTION_LOST:
                return
            session.rows(f'SET GLOBAL {self.read_only} = {int(read_only)}')
            if str(events).upper() == 'ON':
                session.rows('SET GLOBAL event_scheduler = ON')
            raise

    def _end_other_sessions(self, session: connection.Session) -> None:
        """Superusers are not kept out by read_only.  What does not end within the rounds is left to
        the shutdown.
        """
        for _ in range(_ROUNDS):
            others = session.rows(
                'SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND '
                "USER <> 'system user' AND COMMAND NOT IN ('Daemon', 'Killed') AND COMMAND NOT "
                "LIKE 'Binlog Dump%%'"
            )
            if not others:
                return
            for (number,) in others:
                try:
                    session.rows(f'KILL {int(number)}')
                except connection.SessionError as error:
                    if error.number != connection.NO_SUCH_THREAD:
                        raise
            self.sleep(_ROUND_SECONDS)


def _busy(session: connection.Session) -> str:
    """Return the connections that hold it up, without statements' text: it may hold secrets."""
    rows = session.rows(
        'SELECT ID, USER, TIME, COALESCE(STATE, COMMAND) FROM information_schema.PROCESSLIST '
        "WHERE ID <> CONNECTION_ID() AND USER <> 'system user' ORDER BY TIME DESC LIMIT 3"
    )
    return (
        ', '.join(
            f'connection {number} of {user}: {state or "idle"} for {seconds} s'
            for number, user, seconds, state in rows
        )
        or 'unknown'
    )
