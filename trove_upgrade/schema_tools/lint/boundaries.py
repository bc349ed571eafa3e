# SPDX-License-Identifier: Apache-2.0
"""Rules about tables of others, and about what cannot be judged here."""

import ast
import pathlib
from collections.abc import Iterator

from trove_upgrade.db import errors
from trove_upgrade.db.migrations import recording
from trove_upgrade.schema_tools.lint.changes import Kind
from trove_upgrade.schema_tools.lint.rule import Hit, Rule
from trove_upgrade.schema_tools.lint.subject import Subject

_OF_NO_TABLE = {Kind.SESSION, Kind.UNKNOWN}
#: A revision that asks for one of these does with a database what it does not print.
_ASKS_FOR_DATABASE = {'as_sql', 'is_offline_mode', 'get_bind', 'connection', 'bind'}


def _depends_on(subject: Subject) -> Iterator[Hit]:
    depends = getattr(subject.script.module, 'depends_on', None) or subject.script.dependencies
    if depends:
        yield Hit('depends_on', f'depends_on is {depends!r}')


def _table_not_ours(subject: Subject) -> Iterator[Hit]:
    for seen in subject.seen:
        change = seen.change
        if change.kind in _OF_NO_TABLE or (change.kind is Kind.COMMENT and not change.table):
            continue
        table = subject.table_of(change)
        if not table:
            yield Hit(
                change.name, f'{change.name or "what is named"} stands on no table of ours', seen
            )
        elif table in subject.others:
            yield Hit(
                table,
                f"{table} is the name of another project's table, or of a table of Alembic's own",
                seen,
            )
        elif table not in subject.ours:
            yield Hit(table, f'no revision of this chain has made {table}', seen)


def _foreign_key_not_ours(subject: Subject) -> Iterator[Hit]:
    for seen in subject.seen:
        for table in seen.change.references:
            if table not in subject.ours or table in subject.others:
                yield Hit(
                    f'{seen.change.table} {table}',
                    f'a foreign key of {seen.change.table} leads to {table}',
                    seen,
                )


def _unclassified(subject: Subject) -> Iterator[Hit]:
    for seen in subject.seen:
        if seen.change.kind is Kind.UNKNOWN:
            yield Hit(
                seen.sql or seen.change.detail,
                f'the linter cannot tell what it does: {seen.change.detail}',
                seen,
            )


def _not_rendered(subject: Subject) -> Iterator[Hit]:
    for dialect in recording.DIALECTS:
        recorded = subject.readings.recorded(subject.revision, dialect)
        if isinstance(recorded, errors.RevisionNotRendered):
            yield Hit(dialect, recorded.message)


def _online_only(subject: Subject) -> Iterator[Hit]:
    tree = ast.parse(pathlib.Path(subject.script.path).read_text(encoding='utf-8'))
    asked = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
    } & _ASKS_FOR_DATABASE
    for name in sorted(asked):
        yield Hit(name, f'the revision uses {name}: what it does online may not be what it prints')


RULES = (
    Rule(
        code='DEPENDS_ON',
        why='Alembic removes the row of the branch that is depended upon from the version table, '
        'and no command can tell any more what has been run.',
        instead='Leave it away: all expands are run before any contract.',
        check=_depends_on,
    ),
    Rule(
        code='TABLE_NOT_OURS',
        why='Another project stands in the same database, and changes its tables by itself.',
        instead='Keep what belongs to it in a table of ours, found by its id.',
        check=_table_not_ours,
    ),
    Rule(
        code='FOREIGN_KEY_NOT_OURS',
        why='It forbids another project to change or delete its rows.',
        instead='Keep the id without a foreign key, and expect that the row is gone one day.',
        check=_foreign_key_not_ours,
    ),
    Rule(
        code='UNCLASSIFIED_SQL',
        why='What is not understood is not judged: neither its locks nor what it does to services '
        'of the release before.',
        instead='Use the functions of ops, or statements of one kind each; else waive this rule '
        'and say what the statement does.',
        check=_unclassified,
    ),
    Rule(
        code='NOT_RENDERED',
        why='An administrator who runs the SQL by hand does not get it, the plan does not show it, '
        'and the other rules do not see it.',
        instead='Look into the database only through the functions of ops, which print everything '
        'where there is none.',
        check=_not_rendered,
    ),
    Rule(
        code='ONLINE_ONLY',
        why='What is printed is what is judged here, shown by the plan, and run by an '
        'administrator who runs the SQL by hand.',
        instead='Let the functions of ops look into the database; rows are for data migrations.',
        check=_online_only,
    ),
)
