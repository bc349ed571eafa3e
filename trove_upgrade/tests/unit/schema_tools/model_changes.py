# SPDX-License-Identifier: Apache-2.0
"""A small model, every kind of change of it, and what each becomes; run on SQLite and, by the
functional tests, on real servers.
"""

import ast
import copy
import dataclasses
import itertools
import pathlib
import tempfile
from collections.abc import Callable

import alembic.command
import fixtures
import sqlalchemy as sa

from trove_upgrade.db import models
from trove_upgrade.db.columns import JsonText, UtcDateTime
from trove_upgrade.db.migrations.chain import BRANCHES, MAIN, Chain
from trove_upgrade.schema_tools import autogenerate
from trove_upgrade.schema_tools.autogenerate.comparing import compare
from trove_upgrade.schema_tools.autogenerate.splitting import split

_STORAGE = {
    'mysql_engine': 'InnoDB',
    'mysql_charset': 'utf8mb4',
    'mariadb_engine': 'InnoDB',
    'mariadb_charset': 'utf8mb4',
}


class Model:
    """Tables as dictionaries of columns and of what else stands in them: easily changed."""

    def __init__(self):
        self.tables = {
            'kinds': {
                'id': sa.Column('id', sa.Integer, primary_key=True, autoincrement=False),
                'title': sa.Column('title', sa.String(20)),
            },
            'parts': {
                'id': sa.Column('id', sa.String(36), primary_key=True),
                'name': sa.Column('name', sa.String(64), nullable=False),
                'size': sa.Column('size', sa.Integer, nullable=True),
                'note': sa.Column('note', sa.String(100), nullable=True),
                'colour': sa.Column('colour', sa.String(16), nullable=False, server_default='red'),
                'kind_id': sa.Column('kind_id', sa.Integer, nullable=True),
                'made_at': sa.Column('made_at', UtcDateTime(), nullable=True),
                'ix_parts_size': sa.Index('ix_parts_size', 'size'),
                'uq_parts_note': sa.UniqueConstraint('note', name='uq_parts_note'),
                'ck_parts_size': sa.CheckConstraint('size > 0', name='ck_parts_size'),
            },
            'pairs': {
                'left': sa.Column('left', sa.String(8), primary_key=True),
                'right': sa.Column('right', sa.Integer, primary_key=True, autoincrement=False),
                'kind_id': sa.Column('kind_id', sa.Integer, nullable=False),
                'ix_pairs_kind_id': sa.Index('ix_pairs_kind_id', 'kind_id'),
                'fk_pairs_kind': sa.ForeignKeyConstraint(
                    ['kind_id'], ['kinds.id'], name='fk_pairs_kind'
                ),
            },
        }
        self.comments = {}

    def metadata(self):
        """The tables, as SQLAlchemy has them."""
        metadata = sa.MetaData()
        for name, items in self.tables.items():
            sa.Table(
                name,
                metadata,
                *copy.deepcopy(list(items.values())),
                comment=self.comments.get(name),
                **_STORAGE,
            )
        return metadata


@dataclasses.dataclass(frozen=True)
class Case:
    """A change, and the calls that it becomes; `fill` does what the data migration would."""

    change: Callable[[Model], None]
    expand: str = ''
    contract: str = ''
    rows: str = ''
    fill: tuple[str, ...] = ()
    comments: bool = False  #: SQLite has none
    warns: bool = False
    runs: bool = True  #: what is written is all that has to be done


def put(table, name, item):
    return lambda model: model.tables[table].update({name: item})


def drop(table, *names):
    def change(model):
        for name in names:
            del model.tables[table][name]

    return change


def both(*changes):
    def change(model):
        for one in changes:
            one(model)

    return change


def drop_table(model):
    del model.tables['pairs']


def comment(model):
    model.comments['parts'] = "what's in stock"


def part(name, type_, **options):
    return put('parts', name, sa.Column(name, type_, **options))


CASES = {
    'new table': Case(
        lambda model: model.tables.update(
            shelves={
                'id': sa.Column('id', sa.Integer, primary_key=True),
                'kind_id': sa.Column('kind_id', sa.Integer, nullable=False),
                'at': sa.Column('at', UtcDateTime(), nullable=False),
                'text': sa.Column('text', sa.Text, nullable=True),
                'is_new': sa.Column('is_new', sa.Boolean, nullable=False),
                'price': sa.Column('price', sa.Numeric(10, 2)),
                'data': sa.Column('data', JsonText()),
                'rate': sa.Column('rate', sa.Float, server_default=sa.text('1.5')),
                'blob': sa.Column('blob', sa.LargeBinary),
                'one': sa.Index('uq_shelves_at', 'at', unique=True),
                'two': sa.ForeignKeyConstraint(['kind_id'], ['kinds.id'], name='fk_shelves_kind'),
                'three': sa.UniqueConstraint('kind_id', 'at', name='uq_shelves_kind_at'),
                'four': sa.CheckConstraint('kind_id > 0', name='ck_shelves'),
            }
        ),
        'ensure_table ensure_index',
    ),
    'nullable column': Case(part('weight', sa.Integer), 'ensure_column'),
    'yes or no with a default': Case(
        part('is_spare', sa.Boolean, nullable=False, server_default=sa.false()), 'ensure_column'
    ),
    'column with a default': Case(
        part('weight', sa.Integer, nullable=False, server_default='7'), 'ensure_column'
    ),
    'NOT NULL column': Case(
        part('weight', sa.Integer, nullable=False),
        'ensure_column',
        'ensure_not_null',
        'weight',
        ('UPDATE parts SET weight = 1 WHERE weight IS NULL',),
    ),
    'dropped column': Case(drop('parts', 'made_at'), '', 'ensure_no_column'),
    'dropped column that had to be written': Case(
        drop('parts', 'name'), 'ensure_nullable', 'ensure_no_column'
    ),
    'dropped column with a default': Case(drop('parts', 'colour'), '', 'ensure_no_column'),
    'dropped column with its index': Case(
        drop('parts', 'size', 'ix_parts_size', 'ck_parts_size'),
        '',
        'ensure_no_constraint ensure_no_index ensure_no_column',
    ),
    'renamed column': Case(
        both(drop('parts', 'name'), part('label', sa.String(64), nullable=False)),
        'ensure_column',
        'ensure_not_null ensure_no_column',
        'label',
        ('UPDATE parts SET label = name',),
    ),
    'dropped table': Case(drop_table, '', 'ensure_no_table'),
    'NULL allowed': Case(part('name', sa.String(64), nullable=True), 'ensure_nullable'),
    'NULL forbidden': Case(
        part('size', sa.Integer, nullable=False),
        '',
        'ensure_not_null',
        'size',
        ('UPDATE parts SET size = 1 WHERE size IS NULL',),
    ),
    'wider type': Case(part('name', sa.String(200), nullable=False), 'ensure_type'),
    'narrower type': Case(part('name', sa.String(20), nullable=False), '', 'ensure_type', 'name'),
    'wider integer, for which rows are written anew': Case(
        part('kind_id', sa.BigInteger), '', 'ensure_type', 'kind_id'
    ),
    'another kind of type': Case(part('kind_id', sa.String(30)), '', 'ensure_type', 'kind_id'),
    'wider, and NULL forbidden': Case(
        both(drop('parts', 'uq_parts_note'), part('note', sa.String(150), nullable=False)),
        'ensure_type',
        'ensure_no_constraint ensure_not_null',
        'note',
        ('UPDATE parts SET note = id WHERE note IS NULL',),
    ),
    'new default': Case(part('kind_id', sa.Integer, server_default='3'), 'ensure_default'),
    'another default': Case(
        part('colour', sa.String(16), nullable=False, server_default='blue'), '', 'ensure_default'
    ),
    'no default any more': Case(
        part('colour', sa.String(16), nullable=False), '', 'ensure_default'
    ),
    'new index': Case(
        put('parts', 'ix', sa.Index('ix_parts_name_size', 'name', 'size')), 'ensure_index_online'
    ),
    'new index with options of each server': Case(
        put(
            'parts',
            'ix_name',
            sa.Index(
                'ix_parts_name',
                'name',
                mysql_length={'name': 10},
                mariadb_length={'name': 10},
                postgresql_where=sa.text('size > 0'),
            ),
        ),
        'ensure_index_online',
    ),
    'computed column': Case(
        put(
            'parts',
            'twice',
            sa.Column('twice', sa.Integer, sa.Computed('size * 2', persisted=True)),
        ),
        'ensure_column',
    ),
    'dropped index': Case(drop('parts', 'ix_parts_size'), '', 'ensure_no_index'),
    'changed index of the same name': Case(
        put('parts', 'ix_parts_size', sa.Index('ix_parts_size', 'size', 'name')),
        '',
        'ensure_no_index ensure_index_online',
    ),
    'unique index': Case(
        put('parts', 'uq', sa.Index('uq_parts_name', 'name', unique=True)),
        '',
        'ensure_index_online',
        'name',
        ('UPDATE parts SET name = id',),
    ),
    'unique constraint': Case(
        put('parts', 'uq', sa.UniqueConstraint('name', 'size', name='uq_parts_name_size')),
        '',
        'ensure_constraint',
        'name',
        ('UPDATE parts SET name = id',),
    ),
    'unique constraint without a name': Case(
        put('parts', 'uq', sa.UniqueConstraint('name')),
        '',
        'ensure_constraint',
        'name',
        ('UPDATE parts SET name = id',),
    ),
    'dropped unique constraint': Case(drop('parts', 'uq_parts_note'), '', 'ensure_no_constraint'),
    'foreign key': Case(
        put(
            'parts',
            'fk',
            sa.ForeignKeyConstraint(
                ['kind_id'], ['kinds.id'], name='fk_parts_kind', ondelete='SET NULL'
            ),
        ),
        '',
        'ensure_constraint',
        'kind_id',
        ('UPDATE parts SET kind_id = NULL',),
    ),
    'dropped foreign key': Case(drop('pairs', 'fk_pairs_kind'), '', 'ensure_no_constraint'),
    'check': Case(
        put('parts', 'ck', sa.CheckConstraint("name <> ''", name='ck_parts_name')),
        '',
        'ensure_constraint',
        '-',
    ),
    'dropped check': Case(drop('parts', 'ck_parts_size'), '', 'ensure_no_constraint'),
    'another primary key': Case(
        put(
            'pairs',
            'kind_id',
            sa.Column('kind_id', sa.Integer, primary_key=True, autoincrement=False),
        ),
        '',
        '',
        '-',
        warns=True,
        runs=False,
    ),
    'comment on a table': Case(comment, 'ensure_table_comment', comments=True),
    'comment on a column': Case(
        part('note', sa.String(100), comment="it's a note"), 'ensure_column_comment', comments=True
    ),
    'several in several tables': Case(
        both(
            put('kinds', 'order', sa.Column('order', sa.Integer, nullable=False)),
            part('weight', sa.Integer, nullable=False),
            drop('parts', 'made_at'),
            part('seen_at', sa.Text),
        ),
        'ensure_column ensure_column ensure_column',
        'ensure_not_null ensure_not_null ensure_no_column',
        'order weight',
        ('UPDATE parts SET weight = 1 WHERE weight IS NULL', '{order}'),
    ),
}


class Workshop(fixtures.Fixture):
    """A chain in a temporary folder whose first release, alpha, has made the small model in an
    empty database.
    """

    def __init__(self, engine):
        super().__init__()
        self.engine = engine

    def _setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / 'data').mkdir()
        self.written = self.generate(Model().metadata(), release='alpha')
        self.run('expand')
        self.run('contract')

    @property
    def chain(self):
        return Chain.of(self.folder / 'versions')

    @property
    def tree(self):
        return autogenerate.Tree(self.chain, self.folder / 'versions', self.folder / 'data')

    def generate(self, metadata, release='beta', message='A change of the model', **options):
        with self.engine.connect() as connection:
            return autogenerate.autogenerate(
                self.tree, connection, metadata, message, release=release, **options
            )

    def run(self, branch):
        with self.engine.connect() as connection:
            alembic.command.upgrade(self.chain.config(connection=connection), f'{branch}@head')
            connection.commit()

    def run_twice(self, branch):
        """As after a kill at its last moment: everything has been done, and nothing says so."""
        before = self.execute('SELECT version_num FROM alembic_version_trove_upgrade')
        self.run(branch)
        self.execute('DELETE FROM alembic_version_trove_upgrade')
        for (version,) in before:
            self.execute(f"INSERT INTO alembic_version_trove_upgrade VALUES ('{version}')")
        self.run(branch)

    def split(self, metadata):
        """What would be written."""
        with self.engine.connect() as connection:
            return split(compare(connection, metadata, self.chain))

    def execute(self, statement):
        with self.engine.begin() as connection:
            if statement == '{order}':
                statement = (
                    f'UPDATE kinds SET {self.engine.dialect.identifier_preparer.quote("order")} = 1'
                )
            result = connection.exec_driver_sql(statement)
            return result.all() if result.returns_rows else None

    def calls(self, branch, release='beta'):
        """The functions of `ops` that the last revision of a branch calls, in order, and its
        comments.
        """
        path = max((self.folder / 'versions' / release / branch).glob('*.py'))
        text = path.read_text()
        found = [
            node.func.attr
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith('ops.')
        ]
        return found, ' '.join(
            line.strip().removeprefix('# ')
            for line in text.splitlines()[1:]
            if line.strip().startswith('#')
        )


class OldService:
    """Reads and writes as alpha does."""

    def __init__(self, workshop):
        self._workshop = workshop
        self._ids = (f'part-{number}' for number in itertools.count())

    def work(self):
        """:raises: what the server says, if alpha's statements fail."""
        one, other = next(self._ids), next(self._ids)
        self._workshop.execute(
            f"INSERT INTO parts (id, name, size, note) VALUES ('{one}', 'same', 4, '{one}')"
        )
        self._workshop.execute(
            f"INSERT INTO parts (id, name, size, note, kind_id, made_at) VALUES ('{other}', "
            "'same', NULL, NULL, 1, NULL)"
        )
        self._workshop.execute(
            f"UPDATE parts SET name = 'other', size = 5, colour = 'green' WHERE id = '{one}'"
        )
        found = self._workshop.execute(
            f"SELECT id, name, size, note, colour, kind_id, made_at FROM parts WHERE id = '{one}'"
        )
        assert [tuple(row)[:5] for row in found] == [(one, 'other', 5, one, 'green')], found


class ModelChanges:
    """The test of one case, or of several that do not meet each other; a test class has
    `engine()`.
    """

    def try_cases(self, *names):
        cases = [CASES[name] for name in names]
        workshop = self.useFixture(Workshop(self.engine()))
        workshop.execute("INSERT INTO kinds (id, title) VALUES (1, 'one')")
        old = OldService(workshop)
        old.work()
        model = Model()
        for case in cases:
            case.change(model)
        written = workshop.generate(model.metadata())
        self.assertEqual(
            any(case.warns for case in cases), bool(written.warnings), written.warnings
        )
        for branch in ('expand', 'contract'):
            expected = [word for case in cases for word in getattr(case, branch).split()]
            found = workshop.calls(branch)[0]
            self.assertEqual(
                *((expected, found) if len(cases) == 1 else (sorted(expected), sorted(found)))
            )
        self.assertEqual(
            any(case.rows for case in cases),
            any(path.parent.name == 'data' for path in written.files),
        )
        workshop.run_twice('expand')
        old.work()
        if all(case.runs for case in cases):
            for statement in (statement for case in cases for statement in case.fill):
                workshop.execute(statement)
            workshop.run_twice('contract')
            self.assertEqual(([], ()), self.left(workshop, model))
        return workshop

    def assert_our_models_are_made(self, engine):
        """The product's own revisions, in an empty database: `db revision --autogenerate` finds
        nothing.
        """
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            for branch in BRANCHES:
                alembic.command.upgrade(MAIN.config(connection=connection), f'{branch}@head')
            found = split(compare(connection, models.METADATA, MAIN))
        self.assertEqual(
            ((), (), (), ()), (found.expand, found.contract, found.rows, found.warnings)
        )

    def left(self, workshop, model):
        found = workshop.split(model.metadata())
        return [*found.expand, *found.contract], found.rows
