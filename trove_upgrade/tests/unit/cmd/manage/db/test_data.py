# SPDX-License-Identifier: Apache-2.0
import argparse
import contextlib
import io
import json
import pathlib
import signal

import fixtures
import sqlalchemy as sa

from trove_upgrade import signals
from trove_upgrade.cmd.console import program
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.cmd.manage.db import data
from trove_upgrade.db import models
from trove_upgrade.db.migrations.chain import Chain
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.db.migrations.data import numbers
from trove_upgrade.tests.unit.db.migrations.data.numbers import AFTER, BEFORE, Numbers

_REVISION = """'''A revision that is only recorded.'''
revision = {revision!r}
down_revision = None
branch_labels = ({branch!r},)
depends_on = None


def upgrade():
    pass
"""


class TestData(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        conf = self.folder / 'trove-upgrade.conf'
        conf.write_text(f'[database]\nconnection = sqlite:///{self.folder}/db.sqlite\n')
        for branch, revision in (('expand', AFTER), ('contract', BEFORE)):
            place = self.folder / 'versions' / 'tango' / branch
            place.mkdir(parents=True)
            (place / f'{revision}.py').write_text(
                _REVISION.format(revision=revision, branch=branch)
            )
        self.chain = Chain.of(self.folder / 'versions', (Numbers(),), version_table='versions_here')
        words = ['--config-file', str(conf)]
        arguments = program.parser('manage', '').parse_args(words)
        self.context = Context(program.configuration(arguments), lambda _conf: None)
        self.addCleanup(self.context.close)
        self.engine = self.context.repositories.database.engine
        self.parser = argparse.ArgumentParser()
        data.add_commands(Commands(self.parser), self.chain)

    def run_tool(self, *words, code=0):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            argv = ['data', *words]
            ended = program.run(self.parser, argv, lambda _: self.context)
        self.assertEqual(code, ended, err.getvalue())
        return out.getvalue() or err.getvalue()

    def migrated(self, *revisions, rows=25):
        with self.engine.begin() as connection:
            connection.exec_driver_sql('CREATE TABLE versions_here (version_num VARCHAR(32))')
            for revision in revisions:
                connection.exec_driver_sql(f"INSERT INTO versions_here VALUES ('{revision}')")
        if AFTER in revisions:
            numbers.create(self.engine)
            numbers.fill(self.engine, rows)

    def listed(self):
        [state] = json.loads(self.run_tool('list', '--json'))
        return state

    def test_all_rows_are_run_with_a_line_for_each_batch(self):
        self.migrated(AFTER)
        lines = self.run_tool('run', '--batch-size', '10').splitlines()
        self.assertEqual(
            [
                'tango_numbers: 10 found, 10 done, 15 left',
                'tango_numbers: 20 found, 20 done, 5 left',
            ],
            [line.split(' left')[0] + ' left' for line in lines[:2]],
        )
        self.assertIn('tango_numbers: 25 found, 25 done, no row is left', lines[-1])
        self.assertEqual({1: 25}, numbers.changes(self.engine))
        self.assertIn('no row is left', self.run_tool('run', 'tango_numbers'))

    def test_a_bounded_run_ends_with_9_until_no_row_is_left(self):
        self.migrated(AFTER)
        self.assertIn(
            'tango_numbers: 5 rows are left; run the same command again',
            self.run_tool('run', '--max-count', '20', code=9),
        )
        self.run_tool('run', '--max-count', '5')

    def test_what_it_cannot_change_is_said_to_be_left(self):
        self.migrated(AFTER, rows=0)
        self.chain.data[0].is_pending = lambda _connection: True
        self.assertIn('look at the rows', self.run_tool('run', code=9))

    def test_before_the_expand_it_ends_with_3(self):
        self.migrated()
        self.assertIn('"trove-upgrade-manage db expand" first', self.run_tool('run', code=3))

    def test_a_database_without_a_version_ends_with_3_too(self):
        self.assertIn('SCHEMA_OUT_OF_ORDER', self.run_tool('run', code=3))

    def test_after_the_contract_it_says_that_nothing_is_needed(self):
        self.migrated(AFTER, BEFORE)
        numbers.METADATA.drop_all(self.engine)
        self.assertEqual(
            f'tango_numbers: not needed any more, {BEFORE} has been run\n',
            self.run_tool('run', 'tango_numbers'),
        )
        self.assertIn('not needed', self.run_tool('list'))

    def test_an_unknown_name_is_a_usage_error_that_names_the_known(self):
        self.assertIn('tango_numbers', self.run_tool('run', 'tango_letters', code=2))

    def test_words_that_are_no_numbers_are_refused(self):
        for words in (
            ['--max-count', '0'],
            ['--batch-size', 'x'],
            ['--batch-size', '-1'],
            ['--sleep', '-1'],
            ['--sleep', 'inf'],
            ['--sleep', 'x'],
        ):
            with contextlib.redirect_stderr(io.StringIO()):
                self.assertRaises(SystemExit, self.parser.parse_args, ['data', 'run', *words])

    def test_an_interrupted_run_says_that_it_can_be_carried_on(self):
        self.migrated(AFTER)

        def interrupted(*_arguments):
            raise signals.Interrupted(signal.SIGINT)

        self.chain.data[0].run_batch = interrupted
        self.assertIn('carries on', self.run_tool('run', code=130))

    def test_the_list_shows_each_with_its_state(self):
        self.migrated(AFTER)
        self.assertIn(
            'tango_numbers  tango    not started  25         0     -       -', self.run_tool('list')
        )
        self.run_tool('run', '--max-count', '20', code=9)
        self.assertIn('running', self.run_tool('list'))
        self.run_tool('run')
        self.assertIn('finished', self.run_tool('list'))
        with self.engine.begin() as connection:
            connection.execute(sa.update(numbers.TABLE).values(copied=None))
        self.assertIn('pending again', self.run_tool('list'))

    def test_as_json_the_list_has_everything(self):
        self.migrated(AFTER)
        self.assertEqual(
            {
                'name': 'tango_numbers',
                'release': 'tango',
                'state': 'not started',
                'rows_left': 25,
                'found': 0,
                'done': 0,
                'cursor': '',
                'rate': None,
                'started_at': None,
                'updated_at': None,
                'completed_at': None,
            },
            self.listed(),
        )
        self.run_tool('run')
        state = self.listed()
        self.assertEqual(
            ('finished', 0, 25, 25, 'n0000024'),
            tuple(state[name] for name in ('state', 'rows_left', 'found', 'done', 'cursor')),
        )
        self.assertGreater(state['rate'], 0)
        self.assertGreaterEqual(state['completed_at'], state['started_at'])

    def test_the_list_of_an_empty_database_writes_nothing(self):
        self.assertIn('tango_numbers  tango    not started  -', self.run_tool('list'))
        self.assertEqual([], sa.inspect(self.engine).get_table_names())

    def test_a_lost_table_is_one_line(self):
        self.migrated(AFTER)
        models.upgrade_data_migrations.drop(self.engine)
        self.assertIn('SCHEMA_MISSING', self.run_tool('run', code=1))
