# SPDX-License-Identifier: Apache-2.0
"""Revisions as Python: calls of the `ensure_*` functions, which may be repeated."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate import render as alembic_render
from alembic.autogenerate.api import AutogenContext
from alembic.runtime.migration import MigrationContext

from trove_upgrade.schema_tools.autogenerate.columns import named
from trove_upgrade.schema_tools.autogenerate.pieces import Piece

_WIDTH = 120
_LENGTH = re.compile(r'\(length=(\d+)\)')
#: What ensure_table gives every table by itself.
_STORAGE = {'mysql_engine', 'mysql_charset', 'mariadb_engine', 'mariadb_charset'}

_REVISION = '''\
# SPDX-License-Identifier: Apache-2.0
"""{message}.

{branch}.
"""
{imports}revision = {revision!r}
down_revision = {down_revision!r}
branch_labels = {labels!r}
depends_on = None


def upgrade() -> None:
    """{does}"""
{body}'''


class Renderer:
    """One file; knows in the end what it imports."""

    def __init__(self, context: MigrationContext | None) -> None:
        """`context` is of the server that was compared: its own types may turn up; None where
        nothing is rendered.
        """
        self._imports: set[str] = set()
        options = {
            'sqlalchemy_module_prefix': 'sa.',
            'alembic_module_prefix': 'op.',
            'user_module_prefix': None,
            'render_item': self._item,
        }
        self._context = AutogenContext(
            context or MigrationContext.configure(dialect_name='sqlite'), opts=options
        )

    def revision(
        self,
        pieces: Sequence[Piece],
        *,
        message: str,
        revision: str,
        down_revision: str | None,
        branch: str,
    ) -> str:
        """The whole file; without pieces, one that does nothing."""
        tables = [piece.arguments[0] for piece in pieces if piece.function == 'ensure_table']
        body = [
            line for piece in pieces for line in self._piece(piece, own_function=len(tables) > 1)
        ]
        functions = (
            ''.join(
                f'\n\ndef _{table.name}() -> None:\n{_indented(self._table(table))}\n'
                for table in tables
            )
            if len(tables) > 1
            else ''
        )
        does = (
            'Only what services of the release before do not notice.'
            if branch == 'expand'
            else 'Only what no service needs any more.'
        )
        if not any(piece.function for piece in pieces):
            does = 'Nothing.'
        return _REVISION.format(
            message=_sentence(message),
            branch=branch.capitalize(),
            revision=revision,
            down_revision=down_revision,
            labels=(branch,) if down_revision is None else None,
            does=does,
            imports=self.imports(),
            body=(_indented(body) + '\n' if body else '') + functions,
        )

    def needs(self, line: str) -> None:
        """Add an import that the rendered module needs."""
        self._imports.add(line)

    def imports(self) -> str:
        """Write the imports as isort orders them, with the blank lines that follow."""
        others = sorted(one for one in self._imports if 'trove_upgrade' not in one)
        ours = sorted(one for one in self._imports if 'trove_upgrade' in one)
        blocks = (
            ['\n'.join(sorted(others, key=lambda one: one.startswith('from')))] if others else []
        )
        blocks += ['\n'.join(ours)] if ours else []
        return '\n\n'.join(blocks) + '\n\n' if blocks else ''

    def _piece(self, piece: Piece, *, own_function: bool) -> Iterator[str]:
        yield from (f'# {line}' for line in textwrap.wrap(piece.comment, _WIDTH - 2))
        if not piece.function:
            return
        if piece.function == 'ensure_table':
            self._imports.add('from trove_upgrade.db.migrations import ops')
            yield from (
                [f'_{piece.arguments[0].name}()']
                if own_function
                else self._table(piece.arguments[0])
            )
            return
        arguments = [part for one in piece.arguments for part in self._argument(one)]
        arguments += [
            f'{name}={value!r}' for name, value in piece.options.items() if value is not None
        ]
        yield from self._call(f'ops.{piece.function}', arguments)

    def _argument(self, argument: Any) -> list[str]:
        if isinstance(argument, sa.Column):
            return [self._column(argument)]
        if isinstance(argument, sa.Index):
            return self._index(argument)
        if isinstance(argument, sa.Constraint):
            return [self._constraint(argument)]
        return [repr(str(argument)) if isinstance(argument, str) else repr(argument)]

    def _call(self, function: str, arguments: Sequence[str]) -> list[str]:
        """One line, or one for each argument."""
        if function.startswith('ops.'):
            self._imports.add('from trove_upgrade.db.migrations import ops')
        line = f'{function}({", ".join(arguments)})'
        if len(line) <= _WIDTH:
            return [line]
        return [
            f'{function}(',
            *(f'    {argument},' for argument in arguments[:-1]),
            f'    {arguments[-1]})',
        ]

    def _table(self, table: sa.Table) -> list[str]:
        items = [
            repr(str(table.name)),
            *(self._column(column, of_table=True) for column in table.columns),
        ]
        keys = [column.name for column in table.columns if column.primary_key]
        if keys != [column.name for column in table.primary_key.columns]:  # in an order of its own
            items = [item.replace(', primary_key=True', ', nullable=False') for item in items]
            items.append(
                self._sa(
                    'PrimaryKeyConstraint('
                    f'{", ".join(repr(column.name) for column in table.primary_key.columns)})'
                )
            )
        items += [
            self._constraint(one)
            for one in sorted(
                table.constraints, key=lambda one: (type(one).__name__, str(one.name))
            )
            if not isinstance(one, sa.PrimaryKeyConstraint)
            and not getattr(one, '_type_bound', False)
        ]
        lines = self._call('ops.ensure_table', items)
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            lines += self._call('ops.ensure_index', self._index(index))
        if table.comment is not None:
            lines += self._call(
                'ops.ensure_table_comment', [repr(str(table.name)), repr(table.comment)]
            )
        return lines

    def _column(self, column: sa.Column[Any], *, of_table: bool = False) -> str:
        parts = [repr(str(column.name)), self.type_of(column.type)]
        parts += (
            [str(alembic_render._render_computed(column.computed, self._context))]  # noqa: SLF001
            if column.computed is not None
            else []
        )
        parts += (
            [str(alembic_render._render_identity(column.identity, self._context))]  # noqa: SLF001
            if column.identity is not None
            else []
        )
        if column.primary_key and of_table:
            parts.append('primary_key=True')
            if column.autoincrement is not True and column.autoincrement != 'auto':
                parts.append(f'autoincrement={column.autoincrement!r}')
        else:
            parts.append(f'nullable={column.nullable!r}')
        if (
            column.server_default is not None
            and column.computed is None
            and column.identity is None
        ):
            default = alembic_render._render_server_default(  # noqa: SLF001
                column.server_default, self._context
            )
            parts.append(f'server_default={default}')
        if column.comment is not None:
            parts.append(f'comment={column.comment!r}')
        return self._sa(f'Column({", ".join(parts)})')

    def type_of(self, type_: Any) -> str:
        """Write a column's type as Python, and note the imports that it needs."""
        rendered = alembic_render._repr_type(type_, self._context)  # noqa: SLF001 - Alembic's own words for every server's types
        self._imports.update(self._context.imports)
        if rendered.startswith('sa.'):
            self._imports.add('import sqlalchemy as sa')
        return _LENGTH.sub(r'(\1)', rendered)

    def _index(self, index: sa.Index) -> list[str]:
        parts = [
            repr(one.name) if isinstance(one, sa.Column) else self._sa(f'text({_sql(one)!r})')
            for one in index.expressions
        ]
        found = [
            repr(str(index.name)),
            repr(str(index.table.name)) if index.table is not None else "''",
            f'[{", ".join(parts)}]',
        ]
        found += ['unique=True'] if index.unique else []
        for key, value in sorted(index.kwargs.items()):
            if value is not None and value is not False and value not in ({}, []):
                found.append(
                    f'{key}={value!r}'
                    if not isinstance(value, sa.ClauseElement)
                    else f'{key}={self._sa(f"text({_sql(value)!r})")}'
                )
        return found

    def _constraint(self, constraint: sa.Constraint) -> str:
        table = constraint.table.name if getattr(constraint, 'table', None) is not None else ''
        name = f'name={str(named(constraint, str(table)).name)!r}'
        if isinstance(constraint, sa.UniqueConstraint):
            return self._sa(
                'UniqueConstraint('
                f'{", ".join([*(repr(str(one.name)) for one in constraint.columns), name])})'
            )
        if isinstance(constraint, sa.ForeignKeyConstraint):
            targets = [key.target_fullname for key in constraint.elements]
            options = [
                f'{key}={getattr(constraint, key)!r}'
                for key in ('onupdate', 'ondelete')
                if getattr(constraint, key)
            ]
            return self._sa(
                'ForeignKeyConstraint('
                f'{", ".join([repr(list(constraint.column_keys)), repr(targets), name, *options])})'
            )
        return self._sa(f'CheckConstraint({_sql(getattr(constraint, "sqltext", ""))!r}, {name})')

    def _sa(self, text: str) -> str:
        self._imports.add('import sqlalchemy as sa')
        return f'sa.{text}'

    def _item(self, kind: str, thing: Any, _context: AutogenContext) -> str | Literal[False]:
        """Types of our own by their own name, from where they are."""
        module = type(thing).__module__
        if kind != 'type' or module.startswith('sqlalchemy'):
            return False
        self._imports.add(f'from {module} import {type(thing).__name__}')
        return repr(thing)


def _sql(element: Any) -> str:
    return (
        str(element.compile(compile_kwargs={'literal_binds': True, 'include_table': False}))
        if hasattr(element, 'compile')
        else str(element)
    )


def _indented(lines: Sequence[str]) -> str:
    return '\n'.join(f'    {line}' for line in lines)


def _sentence(message: str) -> str:
    """Write a message as the first line of a docstring, without its full stop."""
    text = ' '.join(message.split()).rstrip('.').replace('\\', '/').replace('"', "'")
    return text[:1].upper() + text[1:]
