# SPDX-License-Identifier: Apache-2.0
"""Asks a server what a statement of a migration would do, without doing it to a table that is in
use.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

import sqlalchemy as sa

from trove_upgrade.db import login
from trove_upgrade.schema_tools.probe.answers import Answer, Blocks, Source, Work
from trove_upgrade.schema_tools.probe.known import Unasked
from trove_upgrade.schema_tools.probe.mysql import MysqlProbe
from trove_upgrade.schema_tools.probe.postgresql import PostgresqlProbe
from trove_upgrade.schema_tools.probe.session import ERRORS, ServerProbe, cause

__all__ = (
    'Answer',
    'Blocks',
    'MysqlProbe',
    'PostgresqlProbe',
    'Probe',
    'Source',
    'Work',
    'probing',
    'server_kind',
)


class Probe(Protocol):
    """Answers about statements, in the order in which they would run."""

    notes: list[str]  #: what an operator should know besides

    def ask(self, sql: str) -> Answer:
        """Return what the next statement would do."""


def server_kind(engine: sa.Engine) -> str:
    """Return 'mariadb', 'mysql', 'postgresql' or 'sqlite': what the server is, however its URL
    calls it. Connects if that was not done.
    """
    if engine.dialect.name in {'mysql', 'mariadb'}:
        with engine.connect() as connection:
            return 'mariadb' if getattr(connection.dialect, 'is_mariadb', False) else 'mysql'
    return engine.dialect.name


@contextlib.contextmanager
def probing(engine: sa.Engine, kind: str) -> Iterator[Probe]:
    """A probe for what `server_kind` says; its copies are gone after the block.

    A server that cannot be asked is no error: the answers say why.
    """
    probe_class: type[ServerProbe] | None = {
        'mysql': MysqlProbe,
        'mariadb': MysqlProbe,
        'postgresql': PostgresqlProbe,
    }.get(kind)
    if probe_class is None:
        yield Unasked(kind, 'SQLite is not asked')
        return
    with contextlib.ExitStack() as stack:
        probe: Probe
        try:
            probe = stack.enter_context(probe_class(_of_our_own(engine), kind))
        except ERRORS as error:
            probe = Unasked(kind, f'the server could not be asked: {cause(error)[1]}')
        yield probe


def _of_our_own(engine: sa.Engine) -> sa.Engine:
    """Make an engine of the same database, without a pool, and without oslo.db's listeners: they
    log each error, and errors are our answers.

    With the same sql_mode, which decides about some of them (whether NULL may become NOT NULL in
    place, for one).
    """
    own = login.guard(sa.create_engine(engine.url, poolclass=sa.NullPool))
    if engine.dialect.name not in {'mysql', 'mariadb'}:
        return own
    with engine.connect() as connection:
        mode = connection.exec_driver_sql('SELECT @@SESSION.sql_mode').scalar_one()

    def set_mode(dbapi_connection: Any, _record: Any) -> None:
        with contextlib.closing(dbapi_connection.cursor()) as cursor:
            cursor.execute('SET SESSION sql_mode = %s', (mode,))

    sa.event.listen(own, 'connect', set_mode)
    return own
