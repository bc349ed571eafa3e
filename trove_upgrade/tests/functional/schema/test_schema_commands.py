# SPDX-License-Identifier: Apache-2.0
"""Commands as processes, against databases that really are in the state: what they say, how they
end, and what they leave.
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import textwrap

import sqlalchemy as sa

from trove_upgrade.db.migrations import lease
from trove_upgrade.db.migrations.chain import MAIN
from trove_upgrade.db.migrations.recording import record
from trove_upgrade.db.services import Services
from trove_upgrade.tests.functional.schema import schemas
from trove_upgrade.tests.functional.schema.command_cases import (
    CommandsTestCase,
    OnMariaDB,
    OnPostgreSQL,
)
from trove_upgrade.waiting import wait_until

_SECONDS = 60
_WORDS = {signal.SIGINT: 'Interrupted', signal.SIGTERM: 'Terminated'}


class ExitCodes:
    """Each code, and `db check` beside it."""

    def test_from_an_empty_database_to_the_newest_each_code_says_what_comes_next(self):
        url = self.create()
        self.is_next(url, 3, 'none')
        self.are_refused(url, 3, ('db', 'migrate'), ('db', 'contract'), ('db', 'data', 'run'))
        self.done(url, 'db', 'sync', 'aurora')
        self.insert_as_aurora(url, 'a', 'b', 'c')
        self.is_next(url, 3, 'aurora_expand01, aurora_contract01')
        self.are_refused(
            url, 3, ('db', 'migrate'), ('db', 'contract'), ('db', 'data', 'run', 'borealis_steps')
        )
        self.done(url, 'db', 'expand')
        self.is_next(url, 4, schemas.EXPANDED)
        self.are_refused(
            url, 4, ('db', 'contract'), ('db', 'contract', '--force', '--reason', 'no service runs')
        )
        self.ended_with(
            9,
            self.commands.run(url, 'db', 'data', 'run', '--max-count', '1', '--batch-size', '1'),
            'borealis_steps',
            '2 rows are left',
        )
        self.is_next(url, 4, schemas.EXPANDED)
        self.done(url, 'db', 'data', 'run')
        self.is_next(url, 5, schemas.EXPANDED)
        old = Services(self.database(url)).register(
            'old-host', 'trove-upgrade-taskmanager', '1.2.3', release='aurora', pid=4711
        )
        self.are_refused(
            url,
            6,
            ('db', 'contract'),
            ('db', 'sync'),
            ('db', 'upgrade'),
            said=('OLDER_SERVICES', 'old-host', '1.2.3', '4711', ' ago'),
        )
        self.are_refused(url, 1, ('service', 'forget', old.id), said=('SERVICE_ALIVE',))
        self.done(url, 'service', 'forget', '--force', old.id)
        self.done(url, 'db', 'contract')
        self.is_next(url, 0, schemas.NEWEST)
        for words in (('db', 'sync'), ('db', 'migrate'), ('db', 'contract'), ('db', 'data', 'run')):
            self.done(url, *words)

    def is_next(self, url, code, version):
        """What `db check`, `db version` and `db has_offline_migrations` say."""
        asked = (('db', 'check'), ('db', 'version'), ('db', 'has_offline_migrations'))
        check, said, offline = self.commands.all([(url, words) for words in asked])
        self.ended_with(code, check, f'{version}: ')
        self.assertEqual(f'{version}\n', self.ended_with(0, said).out)
        self.ended_with(5 if code else 0, offline)

    def done(self, url, *words):
        ended = self.ended_with(0, self.commands.run(url, *words))
        self.assertEqual('', ended.err, str(ended))

    def are_refused(self, url, code, *commands, said=()):
        """And nothing is changed."""
        before = self.everything(url)
        for words in commands:
            self.refused_with(code, self.commands.run(url, *words), 'ERROR ', *said)
        self.assertEqual(before, self.everything(url))


class Interrupted:
    """A run that holds the lease is stopped, interrupted, ended."""

    def test_who_comes_while_another_runs_ends_with_7_and_one_that_is_ended_gives_the_lease_back(
        self,
    ):
        url = self.create()
        self.ended_with(0, self.commands.run(url, 'db', 'sync', 'aurora'))
        with self.database(self.admin_url).engine.connect() as reader:
            reader.execute(
                sa.text('SELECT COUNT(*) FROM instance_upgrades')
            ).all()  # the revision waits for it
            before = self.everything(url)
            run = self.waiting_run(url)
            os.kill(run.pid, signal.SIGSTOP)
            self.refused_with(
                7,
                self.commands.run(url, 'db', 'sync', '--wait', '0'),
                'SCHEMA_LEASE_HELD',
                f'{socket.gethostname()}/{run.pid}',
            )
            os.kill(run.pid, signal.SIGCONT)
            self.is_ended_by(run, signal.SIGTERM, url)
            for number, handler in (
                (signal.SIGTERM, signal.SIG_IGN),
                (signal.SIGINT, signal.SIG_DFL),
                (signal.SIGINT, signal.SIG_IGN),
            ):
                self.is_ended_by(
                    self.waiting_run(url, lambda: [signal.signal(one, handler) for one in _WORDS]),  # noqa: B023
                    number,
                    url,
                )
            self.assertEqual(
                set(before[1]['instance_upgrades']),
                set(self.everything(url)[1]['instance_upgrades']),
            )
        self.ended_with(
            0,
            self.commands.run(url, 'db', 'expand', '--wait', '0'),
            'borealis_expand01 has been run',
        )

    def holder(self, database):
        with database.engine.connect() as connection:
            return lease.read(connection).holder

    def is_ended_by(self, run, number, url):
        """A second one on the way out changes nothing."""
        run.send_signal(number)
        run.send_signal(number)
        self.refused_with(128 + number, self.commands.finish(run), _WORDS[number], 'carries on')
        self.assertIsNone(self.holder(self.database(url)))

    def waiting_run(self, url, inherit=None):
        """A `db expand` that holds the lease, and waits for a lock."""
        run = self.commands.script(url, 'db', 'expand', stdout=subprocess.PIPE, preexec_fn=inherit)
        database = self.database(
            url
        )  # one for all looks: they take the processor, and the server's connections, from the run
        known = wait_until(
            lambda: self.holder(database) is not None or run.poll() is not None,
            _SECONDS,
            interval_seconds=0.1,
        )
        self.assertTrue(known, 'the run does not take the lease')
        self.assertIsNone(run.poll(), 'the run has ended')
        return run


class HalfApplied:
    """A server without transactional DDL keeps what a run that was killed had done."""

    def test_what_is_half_done_is_carried_on(self):
        url, straight = self.create(), self.server.create()
        self.commands.all([(url, ('db', 'sync', 'aurora')), (straight, ('db', 'sync'))])
        self.insert_as_aurora(url, 'a')
        self.begin(url, 'borealis_expand01', 2)
        self.ended_with(
            3, self.commands.run(url, 'db', 'check'), 'aurora_expand01, aurora_contract01'
        )
        self.refused_with(3, self.commands.run(url, 'db', 'contract'), 'db expand')
        self.ended_with(0, self.commands.run(url, 'db', 'expand'), 'borealis_expand01 has been run')
        self.ended_with(0, self.commands.run(url, 'db', 'migrate'), '1 done')
        self.begin(url, 'borealis_contract01', 1)
        self.ended_with(5, self.commands.run(url, 'db', 'check'), 'borealis_contract01')
        self.ended_with(0, self.commands.run(url, 'db', 'sync'), 'borealis_contract01 has been run')
        self.assertEqual(
            schemas.dump(self.database(straight).engine), schemas.dump(self.database(url).engine)
        )

    def begin(self, url, revision, count):
        """The first statements, by hand."""
        with self.database(url).engine.begin() as connection:
            for statement in record(MAIN, revision, connection.dialect.name).statements[:count]:
                connection.exec_driver_sql(statement)


class TestMariaDB(ExitCodes, Interrupted, HalfApplied, OnMariaDB, CommandsTestCase):
    pass


class TestPostgreSQL(ExitCodes, Interrupted, HalfApplied, OnPostgreSQL, CommandsTestCase):
    pass


class TestWithoutAServer(CommandsTestCase):
    """What needs none, or SQLite."""

    def setUp(self):
        super().setUp()
        self.url = f'sqlite:///{self.folder}/db.sqlite'

    def test_a_revision_that_is_not_safe_is_refused_with_8(self):
        for branch in ('expand', 'contract'):
            (self.folder / 'zulu' / branch).mkdir(parents=True)
            (self.folder / 'zulu' / branch / 'a.py').write_text(
                textwrap.dedent(f'''
                """{branch}"""
                from alembic import op
                revision, down_revision, branch_labels, depends_on = 'zulu_{branch}01', None, \
('{branch}',), None
                def upgrade():
                    op.drop_column('instance_upgrades', 'cause')
                ''')
            )
        program = (
            'import pathlib, sys; from trove_upgrade.cmd.manage.db.lint import report; from '
            'trove_upgrade.db.migrations.chain import Chain; '
            'sys.exit(report([Chain.of(pathlib.Path(sys.argv[1]))], [], as_json=False))'
        )
        ended = subprocess.run(
            [sys.executable, '-c', program, str(self.folder)],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        self.assertEqual(8, ended.returncode, ended.stderr)
        self.assertIn('zulu_expand01', ended.stdout)
        self.ended_with(0, self.commands.run(self.url, 'db', 'lint'))

    def test_arguments_that_cannot_be_meant_end_with_2_and_touch_nothing(self):
        numbers = ('-1', 'nan', 'inf', '1e99', 'x', '')
        wrong = [
            ('db', 'sync', option, number)
            for option in ('--wait', '--lock-wait', '--sleep')
            for number in numbers
        ]
        wrong += [
            (*command, option, number)
            for number in ('0', '-1', '1.5', '99999999999999999999', 'nan', '', '٣')
            for command, option in (
                (('db', 'sync'), '--batch-size'),
                (('db', 'migrate'), '--batch-size'),
                (('db', 'data', 'run'), '--max-count'),
                (('upgrade', 'list'), '--limit'),
            )
        ]
        wrong += [
            ('db', 'sync', ''),
            ('db', 'sync', 'zulu'),
            ('db', 'sync', 'Aurora'),
            ('db', 'upgrade', '+1'),
            ('db', 'upgrade', '+x', '--expand'),
            ('db', 'upgrade', '-1', '--expand'),
            ('db', 'upgrade', ''),
            ('db', 'upgrade', 'zulu'),
            ('db', 'upgrade', 'borealis_expand01', '--contract'),
            ('db', 'upgrade', 'aurora_expand01:borealis_expand01'),
            ('db', 'upgrade', 'nothing@head'),
            ('db', 'upgrade', '--expand', '--contract'),
            ('db', 'upgrade', '--sql', 'a:b'),
            ('db', 'show', ''),
            ('db', 'show', 'zulu'),
            ('db', 'stamp', ''),
            ('db', 'stamp', 'zulu'),
            ('db', 'stamp'),
            ('db', 'stamp', 'aurora_expand01', 'borealis_expand01'),
            ('db', 'lint', ''),
            ('db', 'contract', '--force'),
            ('db', 'contract', '--force', '--reason', ' '),
            ('db', 'contract', '--reason', 'x'),
            ('db', 'data', 'run', ''),
            ('db', 'data', 'run', 'zulu'),
            ('db', 'plan', '--dialect', 'oracle'),
            ('db', 'revision'),
            ('db', 'nothing'),
            ('db',),
            (),
            ('service', 'forget'),
        ]
        for ended in self.commands.all([(self.url, words) for words in wrong]):
            self.ended_with(2, ended)
            said = ended.err.splitlines()
            self.assertTrue(
                said[-1].startswith(('trove-upgrade-manage', 'ERROR REVISION')), str(ended)
            )
            self.assertTrue(len(said) == 1 or said[0].startswith('usage: '), str(ended))
        self.assertFalse((self.folder / 'db.sqlite').exists())

    def test_a_configuration_that_cannot_be_read_is_a_line_without_its_text(self):
        for text, said in (
            ('connection = x', '.conf:1'),
            ('[database]\nS3cret', '.conf:2'),
            ('[database]\nconnection = mysql+pymysql://u:S3$cret@h/d', '$$'),
        ):
            path = self.commands.configuration('unused')
            path.write_text(text)
            ended = self.commands.run_script(self.url, '--config-file', str(path), 'db', 'version')
            self.refused_with(2, ended, 'the configuration cannot be read', said)
            self.assertNotIn('cret', ended.err)

    def test_where_the_output_cannot_go_is_no_traceback(self):
        with pathlib.Path('/dev/full').open('w') as full:
            ended = self.commands.finish(
                self.commands.script(self.url, 'db', 'history', stdout=full)
            )
        self.assertEqual((1, 1), (ended.code, len(ended.err.splitlines())), str(ended))
        self.assertIn('No space left on device', ended.err)
        read_end, write_end = os.pipe()
        os.close(read_end)
        ended = self.commands.finish(
            self.commands.script(self.url, 'db', 'history', stdout=write_end)
        )
        os.close(write_end)
        self.assertEqual((141, ''), (ended.code, ended.err))

    def test_a_database_of_sqlite_that_cannot_be_opened_or_written_is_a_line(self):
        self.ended_with(0, self.commands.run(self.url, 'db', 'sync', 'aurora'))
        (self.folder / 'text').write_text(
            'no database at all, only a text that is long enough to look at' * 20
        )
        for place, said in (
            ('/nowhere/at/all.sqlite', 'unable to open'),
            (str(self.folder), 'unable to open'),
            (f'{self.folder}/text', 'not a database'),
        ):
            self.refused_with(
                1,
                self.commands.run(f'sqlite:///{place}', 'db', 'version'),
                'ERROR DATABASE_ERROR',
                said,
            )
        before = self.everything(self.url)
        self.refused_with(
            1,
            self.commands.run(
                f'sqlite:///file:{self.folder}/db.sqlite?mode=ro&uri=true', 'db', 'expand'
            ),
            'readonly',
        )
        self.assertEqual(before, self.everything(self.url))
        self.ended_with(0, self.commands.run(self.url, 'db', 'expand'))

    def test_every_command_helps_in_words(self):
        for words in (('db',), ('db', 'data'), ('service',), ()):
            listed = self.ended_with(0, self.commands.run(self.url, *words, '--help')).out
            names = [
                line.split()[0]
                for line in listed.partition('COMMAND\n')[2].splitlines()
                if line.startswith('    ') and line[4] != ' '
            ]
            self.assertGreater(len(names), 1, listed)
            for ended in self.commands.all(
                [(self.url, (*words, name, '--help')) for name in names]
            ):
                self.ended_with(0, ended, 'usage: trove-upgrade-manage')
                described = ended.out.split('\n\n')[1].strip()
                self.assertRegex(described, r'^[A-Z].*', f'{ended} says nothing of what it does')
                self.assertNotIn(
                    'options:', described.splitlines()[0], f'{ended} says nothing of what it does'
                )
