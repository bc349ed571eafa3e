# SPDX-License-Identifier: Apache-2.0
import contextlib
import io
import json
import pathlib

import fixtures
import sqlalchemy as sa

from trove_upgrade.cmd import manage
from trove_upgrade.db.migrations.chain import MAIN
from trove_upgrade.db.migrations.data.runs import DataRuns
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.schema_tools import plan
from trove_upgrade.tests.functional.schema import schemas
from trove_upgrade.tests.unit import base


class TestPlan(base.TestCase):
    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.conf = folder / 'trove-upgrade.conf'
        self.conf.write_text(f'[database]\nconnection = sqlite:///{folder}/db.sqlite\n')
        self.engine = sa.create_engine(f'sqlite:///{folder}/db.sqlite')
        self.addCleanup(self.engine.dispose)

    def tool(self, *words):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = manage.main(['--config-file', str(self.conf), 'db', 'plan', *words])
        self.assertEqual((0, ''), (code, err.getvalue()))
        return out.getvalue()

    def sync(self, release=None):
        Runner(self.engine).sync(release, standalone=False)

    def test_what_would_run_is_in_its_order(self):
        self.sync('aurora')
        found = json.loads(self.tool('--json'))
        self.assertEqual(
            [*['expand'] * 5, 'migrate', 'contract', 'contract'],
            [step['phase'] for step in found['steps']],
        )
        self.assertEqual(
            ('expand', 'aurora_expand01, aurora_contract01', 'sqlite'),
            (found['next'], found['version'], found['dialect']),
        )

    def test_the_json_has_the_documented_fields(self):
        self.sync('aurora')
        found = json.loads(self.tool('--json'))
        page = pathlib.Path(__file__).parents[4] / 'doc/source/reference/plan.rst'
        described = page.read_text().partition('JSON\n====')[2]
        [migrate] = [step for step in found['steps'] if step['phase'] == 'migrate']
        revisions = [step for step in found['steps'] if step['phase'] != 'migrate']
        names = {*found, *migrate, *revisions[0], *revisions[0]['statements'][0]} - {'lock'}
        names |= {f'lock.{name}' for name in revisions[0]['statements'][0]['lock']}
        self.assertEqual([], sorted(name for name in names if f'``{name}``' not in described))

    def test_a_database_at_the_newest_version_has_nothing_left(self):
        self.sync()
        self.assertEqual([], json.loads(self.tool('--json'))['steps'])
        self.assertIn('Nothing is left to run.', self.tool())

    def test_an_empty_database_gets_everything(self):
        found = json.loads(self.tool('--json'))
        self.assertEqual(
            sum(len(MAIN.revisions(branch)) for branch in MAIN.branches),
            len([one for one in found['steps'] if 'revision' in one]),
        )

    def test_another_servers_sql_is_shown_and_nobody_asked(self):
        self.sync('aurora')
        for dialect in ('mysql', 'mariadb', 'postgresql'):
            found = json.loads(self.tool('--json', '--dialect', dialect))
            [added] = [
                one
                for one in found['steps'][0]['statements']
                if one['sql'].startswith('ALTER TABLE instance_upgrades ADD')
            ]
            self.assertIn('DATETIME(6)' if dialect != 'postgresql' else 'TIMESTAMP', added['sql'])
            self.assertEqual(
                ('not asked', None, None),
                (added['lock']['source'], added['risk'], added['rebuilds']),
            )
        self.assertIn('not asked: the database is sqlite', self.tool('--dialect', 'mysql'))

    def test_the_rate_of_former_runs_makes_the_estimate(self):
        self.sync('aurora')
        Runner(self.engine).expand()
        with self.engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO upgrade_data_migrations VALUES ('borealis_steps', '', 10, 10, 50.0, "
                "'2026-01-01', '2026-01-01', NULL)"
            )
            for number in range(100):
                columns = {
                    column['name']: column
                    for column in sa.inspect(connection).get_columns('instance_upgrades')
                }
                given = [name for name, column in columns.items() if not column['nullable']]
                values = [
                    {'id': f"'{number}'", 'steps': "'[]'", 'data': "'{}'"}.get(
                        name, "'2026-01-01 00:00:00'" if name.endswith('_at') else '1'
                    )
                    for name in given
                ]
                connection.exec_driver_sql(
                    f'INSERT INTO instance_upgrades ({", ".join(given)}) VALUES '
                    f'({", ".join(values)})'
                )
        step = next(one for one in plan.make(self.engine).steps if isinstance(one, plan.DataStep))
        self.assertEqual(
            (100, 'counted', 50.0, 'persisted', 2.0),
            (step.rows, step.rows_source, step.rate, step.rate_source, step.seconds),
        )

    def test_a_contract_that_is_run_while_the_plan_is_made_is_seen(self):
        self.contract_before('steps_at')
        found = plan.make(self.engine)
        self.assertEqual((schemas.NEWEST, None, ()), (found.version, found.next, found.steps))

    def test_so_is_one_while_a_command_asks_what_comes_next(self):
        self.contract_before('steps_at')
        self.assertIsNone(Runner(self.engine).position().next)

    def test_and_one_while_the_data_migrations_are_listed(self):
        self.contract_before('steps_at')
        self.assertEqual(
            [0],
            [
                one.rows_left
                for one in DataRuns(self.engine).states(MAIN.data, {MAIN.data[0].after})
            ],
        )

    def contract_before(self, word):
        """After the expand: another run contracts just before the next statement with that word."""
        self.sync('aurora')
        Runner(self.engine).expand()
        other = sa.create_engine(self.engine.url)
        self.addCleanup(other.dispose)
        waiting = [Runner(other)]

        def contract(_connection, _cursor, statement, *_):
            if waiting and word in statement:
                waiting.pop().contract()

        sa.event.listen(self.engine, 'before_cursor_execute', contract)

    def test_before_the_expand_all_rows_of_the_table_are_the_estimate(self):
        self.sync('aurora')
        step = next(one for one in plan.make(self.engine).steps if isinstance(one, plan.DataStep))
        self.assertEqual(
            (0, 'estimated', 'assumed'), (step.rows, step.rows_source, step.rate_source)
        )
