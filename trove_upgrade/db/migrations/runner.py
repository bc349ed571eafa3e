# SPDX-License-Identifier: Apache-2.0
"""Runs the migrations, in the one order that is right: expand, then contract."""
import dataclasses
import io
import pathlib

import alembic.command
import alembic.config
import alembic.script
import alembic.util
import sqlalchemy as sa
from alembic.runtime import migration

from trove_upgrade.db import errors

_HERE = pathlib.Path(__file__).parent
BRANCHES = ('expand', 'contract')


@dataclasses.dataclass(frozen=True)
class Chain:
    """Revisions that share a version table."""

    name: str
    version_table: str
    branches: tuple[str, ...]

    def folders(self) -> list[pathlib.Path]:
        """Where the revisions are."""
        if self.name == 'standalone':
            return [_HERE / 'standalone' / 'versions']
        return sorted(_HERE.glob('versions/*/expand')) + sorted(_HERE.glob('versions/*/contract'))


MAIN = Chain('main', 'alembic_version_trove_upgrade', BRANCHES)
STANDALONE = Chain('standalone', 'alembic_version_trove_upgrade_standalone', ('standalone',))


@dataclasses.dataclass(frozen=True)
class BranchState:
    """How far one branch of a database is; None where nothing of it has been run."""

    branch: str
    current: str | None
    head: str

    @property
    def at_head(self) -> bool:
        """Whether nothing is left to run."""
        return self.current == self.head


class Runner:
    """Migrations of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def sync(self, *, standalone: bool) -> list[BranchState]:
        """Everything to its head.  May be repeated.  `standalone` also makes Trove's tables, where no Trove does.

        :raises SchemaError: a revision that this release does not know is in the database, or Trove's own tables are there.
        """
        if standalone:
            self._refuse_troves_database()
            self.upgrade('standalone@head', STANDALONE)
        for branch in BRANCHES:
            self.upgrade(f'{branch}@head')
        return self.states(standalone=standalone)

    def upgrade(self, target: str, chain: Chain = MAIN) -> None:
        """To one revision, or to `<branch>@head`.

        :raises SchemaError: no such revision, or one in the database that this release does not know.
        """
        with self._engine.connect() as connection:
            config = _config(chain)
            config.attributes['connection'] = connection
            try:
                alembic.command.upgrade(config, target)
            except alembic.util.CommandError as error:
                raise errors.SchemaError(what=f'upgraded to {target}', found=str(error),
                                         advice='Use the release that the database was last upgraded by, or a later one.') from error
            connection.commit()

    def offline_sql(self, target: str, dialect: str, chain: Chain = MAIN) -> str:
        """The statements, not run: `dialect` is mysql or postgresql."""
        buffer = io.StringIO()
        config = _config(chain, buffer)
        config.attributes['dialect'] = dialect
        alembic.command.upgrade(config, target, sql=True)
        return buffer.getvalue()

    def states(self, *, standalone: bool = False) -> list[BranchState]:
        """Of each branch; of the standalone chain, too, where asked or where it has been run.

        :raises SchemaError: a revision that this release does not know is in the database.
        """
        found = self._states(MAIN)
        others = self._states(STANDALONE)
        return found + (others if standalone or any(state.current for state in others) else [])

    def version(self) -> str:
        """What has been run of the main chain, e.g. 'aurora_expand01, aurora_contract01'; 'none' for an empty database."""
        return ', '.join(state.current for state in self._states(MAIN) if state.current) or 'none'

    def _states(self, chain: Chain) -> list[BranchState]:
        script = alembic.script.ScriptDirectory.from_config(_config(chain))
        with self._engine.connect() as connection:
            context = migration.MigrationContext.configure(connection, opts={'version_table': chain.version_table})
            heads = context.get_current_heads()
        current: dict[str, str] = {}
        for revision in heads:
            try:
                labels = script.get_revision(revision).branch_labels
            except alembic.util.CommandError as error:
                raise errors.SchemaError(
                    what='read', found=f'revision {revision} in {chain.version_table} is not of this release',
                    advice='Use the release that the database was last upgraded by, or a later one.') from error
            current.update(dict.fromkeys(labels, revision))
        return [BranchState(branch, current.get(branch), script.get_revision(f'{branch}@head').revision)
                for branch in chain.branches]

    def _refuse_troves_database(self) -> None:
        """The standalone tables have Trove's names: beside a real Trove they are Trove's own."""
        inspector = sa.inspect(self._engine)
        if inspector.has_table('alembic_version') and inspector.has_table('instances'):
            raise errors.SchemaError(what='made for running alone', found='the tables of a real Trove are in this database',
                                     advice='Leave --standalone away: beside Trove only our own tables are made.')


def _config(chain: Chain, output: object = None) -> alembic.config.Config:
    config = alembic.config.Config(output_buffer=output)  # type: ignore[arg-type]
    config.set_main_option('script_location', str(_HERE).replace('%', '%%'))
    config.set_main_option('path_separator', 'newline')
    config.set_main_option('version_path_separator', 'newline')
    config.set_main_option('version_locations', '\n'.join(str(folder).replace('%', '%%') for folder in chain.folders()))
    config.attributes['version_table'] = chain.version_table
    return config
