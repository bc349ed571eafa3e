# SPDX-License-Identifier: Apache-2.0
import ast
import pathlib

import fixtures
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from trove_upgrade.db import engine, errors, models, schema_runs, trove_tables
from trove_upgrade.db.migrations import chain as runner_chain
from trove_upgrade.db.migrations import offline, recording, runner, tree
from trove_upgrade.db.migrations.data.migration import Batch
from trove_upgrade.db.migrations.exit_codes import ExitCode
from trove_upgrade.db.migrations.position import Phase
from trove_upgrade.db.services import API, Services
from trove_upgrade.tests.functional.schema import revision_checks, schemas
from trove_upgrade.tests.unit import base


def differences(connection):
    """What autogenerate would change so that the schema becomes what the models say."""

    def ours(name, kind, _parents):
        return kind != 'table' or not name.startswith(('alembic_version', 'upgrade_schema_lease'))

    context = MigrationContext.configure(
        connection, opts={'compare_type': True, 'include_name': ours}
    )
    return compare_metadata(context, [models.METADATA, trove_tables.METADATA])


class RunnerTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.database = engine.Database.from_url('sqlite://')
        self.addCleanup(self.database.dispose)
        self.runner = runner.Runner(self.database.engine)

    def tables(self):
        return set(sa.inspect(self.database.engine).get_table_names())

    def execute(self, statement):
        with self.database.write() as connection:
            connection.exec_driver_sql(statement)


class TestSync(RunnerTestCase):
    def test_the_migrated_schema_is_what_the_models_say(self):
        self.runner.sync(standalone=True)
        with self.database.read() as connection:
            self.assertEqual([], differences(connection))

    def test_an_empty_database_says_so_and_a_synced_one_names_both_branches(self):
        self.assertEqual('none', self.runner.version())
        self.assertEqual({'expand': None, 'contract': None}, self.runner.position().current)
        self.assertIsNone(self.runner.sync().next)
        self.assertEqual(schemas.NEWEST, self.runner.version())

    def test_without_standalone_only_our_own_tables_are_made(self):
        self.runner.sync()
        self.assertEqual(
            {*models.METADATA.tables, 'alembic_version_trove_upgrade', 'upgrade_schema_lease'},
            self.tables(),
        )
        self.assertIsNone(self.runner.standalone())

    def test_standalone_is_shown_from_then_on(self):
        self.runner.sync(standalone=True)
        self.assertEqual('aurora_standalone01', self.runner.standalone().version)

    def test_a_second_run_changes_nothing(self):
        first = self.runner.sync(standalone=True)
        self.execute("INSERT INTO upgrade_guests (instance_id) VALUES ('a')")
        self.assertEqual(first, self.runner.sync(standalone=True))
        with self.database.read() as connection:
            self.assertEqual(1, len(connection.execute(sa.select(models.upgrade_guests)).all()))

    def test_a_release_that_is_named_is_where_it_ends(self):
        self.assertIs(Phase.EXPAND, self.runner.sync('aurora').next)
        self.assertEqual('aurora_expand01, aurora_contract01', self.runner.version())
        self.assertNotIn('instance_upgrade_steps', self.tables())

    def test_a_revision_that_is_named_brings_its_branch_up_to_it_with_what_must_come_before(self):
        for version, outcome in (
            ('aurora_expand01', 'aurora_expand01'),
            ('aurora_contract01', 'aurora_expand01, aurora_contract01'),
            ('borealis_expand01', 'borealis_expand01, aurora_contract01'),
            ('aurora_expand01, aurora_contract01', 'borealis_expand01, aurora_contract01'),
            ('borealis_contract01', 'borealis_expand01, borealis_contract01'),
            ('cygnus_expand01', 'cygnus_expand01, borealis_contract01'),
            ('cygnus_expand02', 'cygnus_expand02, borealis_contract01'),
            ('cygnus_expand03', 'cygnus_expand03, borealis_contract01'),
            ('cygnus_expand04', 'cygnus_expand04, borealis_contract01'),
            ('cygnus_contract01', schemas.NEWEST),
        ):
            with self.subTest(version):
                self.assertEqual(outcome, self.runner.sync(version).version)

    def test_what_db_version_prints_is_a_version_to_sync_to(self):
        for version in (
            'borealis_expand01, aurora_contract01',
            'borealis_expand01,borealis_contract01',
            schemas.NEWEST,
        ):
            self.assertEqual(
                version.replace(',', ', ').split(), self.runner.sync(version).version.split()
            )

    def test_a_contract_that_is_named_takes_its_data_migrations_along_and_an_expand_does_not(self):
        self.runner.sync('aurora')
        with self.database.write() as connection:
            revision_checks.insert_as_aurora(connection, 'u1')
        self.assertEqual(('borealis_steps',), self.runner.sync('borealis_expand01').data)
        self.assertEqual(
            ('borealis_steps',), self.runner.sync('borealis_expand01, aurora_contract01').data
        )
        self.assertEqual(
            'borealis_expand01, borealis_contract01',
            self.runner.sync('borealis_contract01').version,
        )

    def test_a_version_that_is_none_is_refused_before_anything_is_done(self):
        for version, error in (
            ('zulu', errors.RevisionUnknown),
            ('', errors.RevisionUnknown),
            ('borealis_expand01, zulu', errors.RevisionUnknown),
            ('aurora_expand01, borealis_expand01', errors.RevisionsContradict),
        ):
            self.assertRaises(error, self.runner.sync, version)
        self.assertEqual(set(), self.tables())

    def test_a_first_run_that_died_half_way_is_carried_on(self):
        self.runner.sync('aurora', standalone=True)
        self.execute('DELETE FROM alembic_version_trove_upgrade')
        self.execute('DELETE FROM alembic_version_trove_upgrade_standalone')
        for missing in ('upgrade_checks', 'upgrade_target_facts', 'backups'):
            self.execute(f'DROP TABLE {missing}')
        self.execute('DROP INDEX uq_upgrade_outbox_upgrade_id_attempt_position')
        self.runner.sync(standalone=True)
        with self.database.read() as connection:
            self.assertEqual([], differences(connection))

    def test_troves_own_version_table_is_never_touched(self):
        self.execute('CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)')
        self.execute("INSERT INTO alembic_version VALUES ('95418fe2a1c8')")
        self.runner.sync()
        with self.database.read() as connection:
            self.assertEqual(
                ['95418fe2a1c8'],
                connection.exec_driver_sql('SELECT * FROM alembic_version').scalars().all(),
            )

    def test_beside_a_real_trove_the_standalone_tables_are_refused(self):
        self.execute('CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)')
        self.execute('CREATE TABLE instances (id VARCHAR(36))')
        error = self.assertRaises(errors.SchemaError, self.runner.sync, standalone=True)
        self.assertIn('--standalone', error.message)
        self.assertEqual({'alembic_version', 'instances', 'upgrade_schema_lease'}, self.tables())

    def test_a_revision_of_a_later_release_is_refused_in_words_and_nothing_is_run(self):
        self.runner.sync()
        self.execute(
            "UPDATE alembic_version_trove_upgrade SET version_num = 'zulu_expand01' WHERE "
            "version_num LIKE '%expand%'"
        )
        for call in (
            self.runner.version,
            self.runner.position,
            self.runner.expand,
            self.runner.migrate,
            self.runner.contract,
            self.runner.sync,
        ):
            self.assertIn(
                'zulu_expand01', self.assertRaises(errors.SchemaFromTheFuture, call).message
            )

    def test_a_revision_that_does_not_exist_is_refused_in_words(self):
        self.assertRaises(errors.RevisionUnknown, self.runner.expand, 'nothing')
        self.assertRaises(errors.RevisionUnknown, self.runner.stamp, ['nothing'])


class TestOrder(RunnerTestCase):
    def setUp(self):
        super().setUp()
        self.runner.sync('aurora')

    def refusal(self, call):
        error = self.assertRaises(errors.SchemaOutOfOrder, call)
        return error.exit_code, error.facts['next']

    def add_upgrade(self, connection):
        revision_checks.insert_as_aurora(connection, 'u1')

    def test_nothing_comes_before_expand(self):
        for call in (self.runner.migrate, self.runner.contract):
            self.assertEqual((ExitCode.EXPAND_NEXT, Phase.EXPAND), self.refusal(call))

    def test_rows_that_wait_come_before_contract(self):
        with self.database.write() as connection:
            self.add_upgrade(connection)
        self.assertIs(Phase.MIGRATE, self.runner.expand().next)
        self.assertEqual((ExitCode.MIGRATE_NEXT, Phase.MIGRATE), self.refusal(self.runner.contract))
        self.assertEqual(
            (ExitCode.MIGRATE_NEXT, Phase.MIGRATE),
            self.refusal(lambda: self.runner.contract(reason='I know')),
        )
        self.assertIs(Phase.CONTRACT, self.runner.migrate().next)
        self.assertIsNone(self.runner.contract().next)

    def test_an_older_service_keeps_contract_away_unless_a_reason_is_given_which_is_recorded(self):
        self.runner.expand()
        self.execute(
            "INSERT INTO upgrade_services VALUES ('ctl1', 'trove-upgrade-api', 'r', '1.0', "
            "'2026-01-01 00:00:00', '2026-01-01 00:00:00')"
        )
        error = self.assertRaises(errors.OlderServices, self.runner.contract)
        self.assertEqual(ExitCode.OLD_SERVICE, error.exit_code)
        self.assertEqual(schemas.EXPANDED, self.runner.version())
        self.runner.contract(reason='ctl1 burnt down')
        self.assertEqual(schemas.NEWEST, self.runner.version())
        runs = schema_runs.SchemaRuns(self.database.engine).list()
        self.assertEqual(
            [
                ('contract', 'DONE', 'ctl1 burnt down'),
                ('contract', 'REFUSED', None),
                ('expand', 'DONE', None),
            ],
            [(run.command, run.outcome, run.reason) for run in runs],
        )

    def test_rows_that_an_older_service_goes_on_writing_are_no_reason_to_migrate_again_before_it_stops(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        with self.database.write() as connection:
            self.add_upgrade(connection)
        self.runner.expand()
        self.execute(
            "INSERT INTO upgrade_services VALUES ('ctl1', 'trove-upgrade-api', 'r', '1.0', "
            "'2026-01-01 00:00:00', '2026-01-01 00:00:00')"
        )
        self.assertEqual((ExitCode.MIGRATE_NEXT, Phase.MIGRATE), self.refusal(self.runner.contract))
        self.runner.migrate()
        self.execute("UPDATE instance_upgrades SET updated_at = '2027-01-01 00:00:00.000000'")
        self.assertRaises(errors.OlderServices, self.runner.contract)
        self.execute(
            "UPDATE upgrade_data_migrations SET completed_at = NULL, cursor = ''"
        )  # a migrate that gave up catching up leaves it so
        self.assertRaises(errors.OlderServices, self.runner.contract)
        self.execute("UPDATE upgrade_data_migrations SET cursor = 'half way'")
        self.assertEqual((ExitCode.MIGRATE_NEXT, Phase.MIGRATE), self.refusal(self.runner.contract))

    def test_sync_does_what_can_be_done_beside_an_older_service_and_then_refuses(self):
        with self.database.write() as connection:
            self.add_upgrade(connection)
        self.execute(
            "INSERT INTO upgrade_services VALUES ('ctl1', 'trove-upgrade-api', 'r', '1.0', "
            "'2026-01-01 00:00:00', '2026-01-01 00:00:00')"
        )
        self.assertRaises(errors.OlderServices, self.runner.sync)
        self.assertIs(Phase.CONTRACT, self.runner.position().next)

    def test_a_contract_that_was_killed_half_way_goes_on_after_the_new_services_have_written(self):
        with self.database.write() as connection:
            self.add_upgrade(connection)
        self.runner.expand()
        self.runner.migrate()
        self.execute('ALTER TABLE instance_upgrades DROP COLUMN steps')
        self.execute(
            "UPDATE instance_upgrades SET updated_at = '2026-02-02 00:00:00'"
        )  # steps_at is written no more
        self.assertIs(Phase.CONTRACT, self.runner.position().next)
        self.assertIsNone(self.runner.contract().next)


class TestReleaseAfterRelease(RunnerTestCase):
    """From the release below, whose services are listed, to this one."""

    below = runner_chain.MAIN.releases()[-2]

    def setUp(self):
        super().setUp()
        self.runner.sync(self.below)
        self.services = Services(self.database)
        self.listed = self.services.register('ctl1', API, '1.1.0', release=self.below, pid=4711)

    def test_the_phases_are_its_own_and_the_contract_waits_for_those_services_although_it_takes_nothing_away(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        self.assertIs(Phase.EXPAND, self.runner.position().next)
        for call in (self.runner.migrate, self.runner.contract):
            self.assertEqual(
                ExitCode.EXPAND_NEXT, self.assertRaises(errors.SchemaOutOfOrder, call).exit_code
            )
        self.assertIs(Phase.CONTRACT, self.runner.expand().next)
        self.assertIs(Phase.CONTRACT, self.runner.migrate().next)
        for call in (self.runner.contract, self.runner.sync):
            self.assertIn(self.listed.id, self.assertRaises(errors.OlderServices, call).message)
        self.services.remove(self.listed)
        self.services.register('ctl1', API, '2.0.0', pid=4712)
        self.assertIsNone(self.runner.contract().next)
        self.assertEqual(schemas.NEWEST, self.runner.version())

    def test_a_database_that_skips_a_release_waits_for_services_of_either_and_moves_its_rows_first(
        self,
    ):
        old = engine.Database.from_url('sqlite://')
        self.addCleanup(old.dispose)
        skips, services = runner.Runner(old.engine), Services(old)
        skips.sync('aurora')
        with old.write() as connection:
            revision_checks.insert_as_aurora(connection, 'u1')
        for release in ('aurora', self.below):
            waits_for = services.register('ctl1', API, '1.0', release=release, pid=4711)
            self.assertRaises(errors.OlderServices, skips.sync)
            self.assertEqual(schemas.EXPANDED, skips.version())
            services.remove(waits_for)
        self.assertEqual(schemas.NEWEST, skips.sync().version)

    def test_the_contract_of_the_release_below_is_run_beside_its_services(self):
        self.runner.stamp(['aurora_contract01'])
        self.runner.expand()
        self.assertEqual(
            'borealis_contract01', self.runner.contract(self.below).current['contract']
        )
        self.assertRaises(errors.OlderServices, self.runner.contract)


class TestAdoption(RunnerTestCase):
    def forget_version(self):
        self.execute('DROP TABLE alembic_version_trove_upgrade')

    def test_tables_without_a_version_are_recognized(self):
        for release in runner_chain.MAIN.releases():
            self.runner.sync(release)
            version = self.runner.version()
            self.forget_version()
            self.runner.sync(release)
            self.assertEqual(version, self.runner.version())

    def test_the_expanded_schema_is_recognized_and_goes_on_with_contract(self):
        self.runner.sync('aurora')
        self.runner.expand()
        self.forget_version()
        self.assertIs(Phase.CONTRACT, self.runner.expand().next)

    def test_a_schema_that_fits_no_version_is_refused_with_what_is_different(self):
        self.runner.sync()
        self.forget_version()
        self.execute('ALTER TABLE upgrade_guests ADD COLUMN surprise INTEGER')
        before = self.tables()
        error = self.assertRaises(errors.SchemaNotRecognized, self.runner.sync)
        self.assertIn('column upgrade_guests.surprise is not of that version', error.message)
        self.assertEqual(before, self.tables())

    def test_a_table_that_is_not_ours_does_not_matter(self):
        self.runner.sync()
        self.forget_version()
        self.execute('CREATE TABLE instances (id VARCHAR(36))')
        self.assertIsNone(self.runner.sync().next)


class TestCompositeVersion(RunnerTestCase):
    """Glance's table: three expands, three data migrations, three contracts; what `db version` says
    at each point.
    """

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for branch in runner_chain.BRANCHES:
            before = None
            for number, release in enumerate(('ash', 'beech', 'cedar'), start=1):
                path = folder / release / branch
                path.mkdir(parents=True)
                revision = f'{release}_{branch}0{number}'
                path.joinpath(f'{revision}.py').write_text(
                    f"revision = '{revision}'\ndown_revision = {before!r}\nbranch_labels = "
                    f'{(branch,) if before is None else None}\ndepends_on = None\n\n\ndef '
                    'upgrade():\n    pass\n'
                )
                before = revision
        self.data = tuple(
            OneRow(f'{release}_rows', f'{release}_expand0{number}', f'{release}_contract0{number}')
            for number, release in enumerate(('ash', 'beech', 'cedar'), start=1)
        )
        self.runner = runner.Runner(self.database.engine, runner_chain.Chain.of(folder, self.data))
        models.METADATA.create_all(self.database.engine)

    def test_at_every_point(self):
        seen = [self.runner.version(), *(self.runner.expand('+1').version for _ in range(3))]
        for number in range(3):
            self.assertEqual(
                [one.name for one in self.data[number:]], list(self.runner.position().data)
            )
            self.data[number].left = 0
            seen.append(self.runner.migrate().version if number == 2 else self.runner.version())
        seen += [self.runner.contract('+1').version for _ in range(3)]
        self.assertEqual(
            [
                'none',
                'ash_expand01',
                'beech_expand02',
                'cedar_expand03',
                *['cedar_expand03'] * 3,
                'cedar_expand03, ash_contract01',
                'cedar_expand03, beech_contract02',
                'cedar_expand03, cedar_contract03',
            ],
            seen,
        )


class OneRow:
    """A data migration of one row."""

    def __init__(self, name, after, before):
        self.name, self.after, self.before, self.left = name, after, before, 1

    def pending(self, _connection):
        return self.left

    def is_pending(self, connection):
        return bool(self.pending(connection))

    def run_batch(self, _connection, cursor, _limit):
        done, self.left = self.left, 0
        return Batch(done, done, 'end' if done else cursor)


class TestRevisions(base.TestCase):
    def scripts(self):
        for chain in (runner_chain.MAIN, runner_chain.STANDALONE):
            directory = chain.script()
            yield chain, directory, list(directory.walk_revisions())

    def test_ids_name_release_branch_and_number_in_32_characters(self):
        for _, _, revisions in self.scripts():
            for script in revisions:
                self.assertRegex(script.revision, r'^[a-z]+_(expand|contract|standalone)[0-9]{2}$')
                self.assertLessEqual(len(script.revision), 32)
                self.assertIn(next(iter(script.branch_labels)), script.revision)

    def test_none_depends_on_another_and_each_branch_has_one_head(self):
        for chain, directory, revisions in self.scripts():
            self.assertEqual([None] * len(revisions), [script.dependencies for script in revisions])
            self.assertEqual(len(chain.branches), len(directory.get_heads()))

    def test_each_release_has_both_branches(self):
        releases = {path.parent.name for path in runner_chain.MAIN.locations}
        self.assertTrue(releases)
        for release in releases:
            for branch in runner_chain.BRANCHES:
                self.assertTrue(
                    [
                        path
                        for path in runner_chain.MAIN.locations
                        if path.parts[-2:] == (release, branch) and list(path.glob('*.py'))
                    ],
                    (release, branch),
                )

    def test_each_revision_is_printed_offline_for_every_engine(self):
        for dialect in recording.DIALECTS:
            text = offline.sql(runner_chain.MAIN, runner_chain.BRANCHES, None, dialect)
            text += offline.sql(runner_chain.STANDALONE, ('standalone',), None, dialect)
            for table in (*models.METADATA.tables, *trove_tables.METADATA.tables):
                self.assertIn(f'CREATE TABLE {table} ', text)
            self.assertIn('UNIQUE INDEX uq_instance_upgrades_active_instance_id', text)

    def test_the_tree_is_whole(self):
        self.assertEqual([], tree.faults(runner_chain.MAIN) + tree.faults(runner_chain.STANDALONE))

    def test_a_revision_never_reads_the_models_that_move_on(self):
        for _, _, revisions in self.scripts():
            for script in revisions:
                imported = {
                    alias.name
                    for node in ast.walk(ast.parse(pathlib.Path(script.path).read_text()))
                    if isinstance(node, ast.ImportFrom)
                    for alias in node.names
                }
                self.assertFalse(imported & {'models', 'trove_tables'}, script.path)
