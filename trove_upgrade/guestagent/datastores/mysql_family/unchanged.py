# SPDX-License-Identifier: Apache-2.0
"""Proof that nothing has changed the rows of a table between two looks at it.

Both kinds go by the server's own word, UPDATE_TIME: the begin, in whole seconds, of the transaction
that was committed last of those that have changed the table, on disk or not yet; NULL since the
start.  So a transaction that is open may set it to what it is.  Older releases have the moment of
the commit.  The server forgets it with a table that it evicts, which it does where it has more
tables than its cache may hold.

Sources: MariaDB Knowledge Base, "Information Schema TABLES Table"; InnoDB of 10.11,
trx_t::commit_tables and dict_sys_t::evict_table_LRU; measured on 10.11 and 11.8, the begin
of a transaction on 10.11 alone.
"""

import abc
import dataclasses
import datetime
import pathlib
import re
import stat

from trove_upgrade.guestagent.datastores.mysql_family import catalog, connection

#: Names that a server does not write in another way to name a file.
_PLAIN = re.compile(r'[A-Za-z0-9_]+')
#: What the server answers of a table that it uses as it is, in the columns after the table's name
#: and the statement's.
_AS_IT_IS = ('status', 'OK')
#: A table whose last transaction began later will be written to again.
_QUIET_SECONDS = 20
#: Zones differ by multiples of a quarter of an hour, and TRX_STARTED is in the server's own, not in
#: the session's.
_ZONES_SECONDS = 15 * 60
#: The server makes its list of open transactions anew only where nothing has looked at it for a
#: tenth of a second.  Source: InnoDB of 10.11, trx0i_s.cc, CACHE_MIN_IDLE_TIME_NS; measured.
_REST_OF_LIST = 'SELECT SLEEP(0.15)'
#: Open transactions that may have begun in the second that is told.
_MAY_REPEAT = (
    'SELECT COUNT(*) FROM information_schema.TABLES AS shown JOIN information_schema.INNODB_TRX ON '
    f'MOD(TIMESTAMPDIFF(SECOND, TRX_STARTED, shown.UPDATE_TIME), {_ZONES_SECONDS}) = 0 WHERE '
)
#: Of MariaDB, with seconds of `quiet`; MySQL gives UPDATE_TIME from a cache of its own.
_SERVING = (
    'SELECT known.TABLE_ID, shown.UPDATE_TIME, '
    'COALESCE(shown.UPDATE_TIME < NOW() - INTERVAL {quiet} SECOND, 1), '
    '(SELECT COUNT(*) FROM information_schema.INNODB_SYS_TABLES) < @@global.table_definition_cache '
    'FROM information_schema.TABLES AS shown JOIN information_schema.INNODB_SYS_TABLES AS known '
    "ON known.NAME = CONCAT(shown.TABLE_SCHEMA, '/', shown.TABLE_NAME) WHERE "
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _File:
    """Identity of a file, as it changes with each write."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int


@dataclasses.dataclass(frozen=True)
class _Served:
    """Facts of a table that clients may write to."""

    definition: _File
    table_id: int  #: another one after each change that makes the table anew
    updated_at: datetime.datetime | None


class Unchanged(abc.ABC):
    """A kind of proof."""

    def __init__(self, data_directory: pathlib.Path) -> None:
        self._data_directory = data_directory

    @abc.abstractmethod
    def facts(self, session: connection.Session, table: catalog.Table) -> object | None:
        """Return what is equal at a later look only if no row was changed; None where nothing
        tells.

        :raises SessionError: the server gives no answer.
        """

    def is_worth_it(self, session: connection.Session, table: catalog.Table) -> bool:  # noqa: ARG002 - others ask
        """Return whether its facts tell of each change from now on, and whether none is about to
        come, as far as can be told.

        :raises SessionError: the server gives no answer.
        """
        return True

    def _file(self, table: catalog.Table, suffix: str) -> _File | None:
        """Return the identity of the table's own file; None where it has no plain one."""
        if not (_PLAIN.fullmatch(table.schema) and _PLAIN.fullmatch(table.name)):
            return None
        try:
            found = (self._data_directory / table.schema / f'{table.name}{suffix}').lstat()
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return _File(
            device=found.st_dev,
            inode=found.st_ino,
            size_bytes=found.st_size,
            modified_ns=found.st_mtime_ns,
            changed_ns=found.st_ctime_ns,
        )


class WhileIsolated(Unchanged):
    """Proof for a server that has been started, and that no client reaches: beside its own word,
    the file with the rows.
    """

    def facts(self, session: connection.Session, table: catalog.Table) -> object | None:
        """Return the identity of the file, as long as nothing was changed since the start."""
        found = session.rows(
            f'SELECT UPDATE_TIME FROM information_schema.TABLES WHERE {_condition(table)}'
        )
        return self._file(table, '.ibd') if found == [(None,)] else None

    def is_worth_it(self, session: connection.Session, table: catalog.Table) -> bool:
        """Ask as the engine's upgrade does: a table that it rebuilds it must not wait for."""
        answer = session.rows(f'CHECK TABLE {table.quoted} FOR UPGRADE')
        return [row[2:] for row in answer] == [_AS_IT_IS]


class WhileServing(Unchanged):
    """Proof for a server of MariaDB that serves.  Pages of what was changed long ago may be written
    any time, so that the file with the rows tells nothing; the one with the definition does.
    """

    def __init__(
        self, data_directory: pathlib.Path, *, quiet_seconds: int = _QUIET_SECONDS
    ) -> None:
        super().__init__(data_directory)
        self._quiet_seconds = quiet_seconds

    def facts(self, session: connection.Session, table: catalog.Table) -> object | None:
        """Return the definition's file, the table's id and the moment of the last change, as long
        as the server forgets none and the table rests: a change within the second of the last one
        would not show.
        """
        definition = self._file(table, '.frm')
        query = _SERVING.format(quiet=self._quiet_seconds)
        found = session.rows(f'{query}{_condition(table, "shown.")}')
        if definition is None or len(found) != 1:
            return None
        table_id, updated_at, rests, keeps_all = found[0]
        return _Served(definition, int(table_id), updated_at) if rests and keeps_all else None

    def is_worth_it(self, session: connection.Session, table: catalog.Table) -> bool:
        """Ask for a transaction whose end would leave the facts as they are.  One that begins later
        leaves others.
        """
        session.rows(_REST_OF_LIST)
        return session.rows(f'{_MAY_REPEAT}{_condition(table, "shown.")}') == [(0,)]


def _condition(table: catalog.Table, shown: str = '') -> str:
    return (
        f'{shown}TABLE_SCHEMA = {connection.literal(table.schema)} AND '
        f"{shown}TABLE_NAME = {connection.literal(table.name)} AND {shown}ENGINE = 'InnoDB'"
    )
