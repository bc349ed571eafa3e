# SPDX-License-Identifier: Apache-2.0
"""Data migrations on real servers: killed between any two statements, killed at any moment, several
runners, and locked rows.
"""

import contextlib
import datetime
import functools
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
import uuid

import sqlalchemy as sa
from testtools import content

from trove_upgrade.cmd import manage
from trove_upgrade.db import engine, models
from trove_upgrade.db.migrations.data.runs import DataRuns
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases
from trove_upgrade.tests.unit.db.migrations.data import numbers
from trove_upgrade.tests.unit.db.migrations.data.numbers import Numbers
from trove_upgrade.waiting import wait_until

_SECONDS = 60
_KILLED = 77


class Child:
    """A forked process that does one thing with the database and ends; nothing of ours is cleaned
    up in it.
    """

    def __init__(self, work):
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                work()
                code = 0
            except BaseException:
                traceback.print_exc(file=sys.__stderr__)
            finally:
                os._exit(code)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        """Its exit code; negative is the signal that ended it."""

        def ended():
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return (status,) if pid else None

        found = wait_until(ended, _SECONDS, interval_seconds=0.002)
        if found is None:
            self.kill()
            os.waitpid(self.pid, 0)
            raise AssertionError(f'process {self.pid} has not ended within {_SECONDS} s')
        return os.waitstatus_to_exitcode(*found)


def run(forked_engine, **options):
    """In a child; the connections that were open stay the parent's."""
    forked_engine.dispose(close=False)
    return DataRuns(forked_engine).run(Numbers(), **options)


def run_and_die(forked_engine, point, **options):
    """Ends the process before its `point`th statement; commits count."""
    left = [point]

    def count(*_arguments):
        left[0] -= 1
        if left[0] == 0:
            os._exit(_KILLED)

    for event in ('before_cursor_execute', 'commit'):
        sa.event.listen(forked_engine, event, count)
    run(forked_engine, **options)


class OnARealServer(databases.OneServer):
    """The cases; each server below runs all of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        database = engine.Database.from_url(cls.server.create())
        cls.addClassCleanup(database.dispose)
        cls.engine = database.engine
        numbers.create(cls.engine)

    def assert_each_row_was_changed_once(self, count):
        self.assertEqual({1: count}, numbers.changes(self.engine))
        row = numbers.state(self.engine)
        self.assertEqual((count, count), (row.found, row.done))
        self.assertIsNotNone(row.completed_at)

    def done_by_row_and_state(self):
        """In one statement: a commit of a process that was killed may still arrive."""
        changed = (
            sa.select(sa.func.count())
            .select_from(numbers.TABLE)
            .where(numbers.TABLE.c.changes == 1)
            .scalar_subquery()
        )
        done = sa.select(models.upgrade_data_migrations.c.done).scalar_subquery()
        with self.engine.connect() as connection:
            return connection.execute(sa.select(changed, sa.func.coalesce(done, 0))).one()

    def test_killed_between_any_two_statements_it_carries_on(self):
        """Every point of a run in turn; what the next process does is watched, too."""
        code, point = _KILLED, 0
        while code == _KILLED:
            point += 1
            numbers.fill(self.engine, 15)
            code = Child(functools.partial(run_and_die, self.engine, point, batch_size=10)).wait()
            done = self.done_by_row_and_state()
            self.assertEqual(*done, f'killed at point {point}')
            ended = DataRuns(self.engine).run(Numbers(), batch_size=10)
            self.assertEqual(
                (15 - done[0], True), (ended.done_now, ended.finished), f'killed at point {point}'
            )
            self.assert_each_row_was_changed_once(15)
        self.assertEqual(0, code)
        self.assertGreater(point, 20)

    def test_killed_again_and_again_at_any_moment_it_comes_to_its_end(self):
        numbers.fill(self.engine, 3000)
        seed = random.randrange(1 << 32)
        self.addDetail('seed', content.text_content(str(seed)))
        moments, kills, last = random.Random(seed), 0, 0
        while True:
            child = Child(functools.partial(run, self.engine, batch_size=20))
            self.wait_for_batches(child, last)
            time.sleep(
                moments.uniform(0, 0.1)
            )  # the moment is what is random here; nothing is waited for
            child.kill()
            if child.wait() == 0:
                break
            kills += 1
            changed, last = self.done_by_row_and_state()
            self.assertEqual(changed, last)
        self.assertGreater(kills, 3)
        self.assert_each_row_was_changed_once(3000)

    def wait_for_batches(self, child, last):
        def done():
            row = numbers.state(self.engine)
            return row is not None and (row.done > last or row.completed_at is not None)

        if not wait_until(done, _SECONDS, interval_seconds=0.005):
            child.kill()
            child.wait()
            raise AssertionError(f'no batch was done within {_SECONDS} s')

    def test_of_4_runners_none_does_what_another_has_done(self):
        numbers.fill(self.engine, 4000)
        read_end, write_end = os.pipe()

        def one():
            ended = run(self.engine, batch_size=50)
            os.write(write_end, f'{ended.done_now} {ended.finished}\n'.encode())

        children = [Child(one) for _ in range(4)]
        codes = [child.wait() for child in children]
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            said = [line.split() for line in pipe]
        self.assertEqual([0, 0, 0, 0], codes)
        self.assertEqual({'True'}, {finished for _done, finished in said})
        self.assertEqual(4000, sum(int(done) for done, _finished in said))
        self.assertGreater(sum(int(done) > 0 for done, _finished in said), 1)
        self.assert_each_row_was_changed_once(4000)

    def test_a_row_that_a_service_holds_is_waited_for_and_the_service_never_waits_long(self):
        numbers.fill(self.engine, 30)
        lines, ended = [], []
        with self.engine.connect() as service, service.begin() as transaction:
            held = numbers.TABLE.c.id == 'n0000025'
            service.execute(sa.update(numbers.TABLE).where(held).values(number=1000))

            def let_go(line):
                lines.append(line)
                if transaction.is_active:
                    began_at = time.monotonic()  # rows of the batch that gave way are free again
                    service.execute(
                        sa.update(numbers.TABLE)
                        .where(numbers.TABLE.c.id == 'n0000021')
                        .values(number=21)
                    )
                    self.assertLess(time.monotonic() - began_at, 1)
                    transaction.commit()

            ended.append(DataRuns(self.engine).run(Numbers(), batch_size=10, waiting=let_go))
        self.assertEqual((30, True), (ended[0].done, ended[0].finished))
        self.assertEqual(1, len(lines))
        self.assert_each_row_was_changed_once(30)
        with self.engine.connect() as connection:
            self.assertEqual(
                1000, connection.execute(sa.select(numbers.TABLE.c.copied).where(held)).scalar_one()
            )

    def test_while_services_write_all_the_time_nothing_is_lost_and_the_run_ends(self):
        """A service of the release before: it changes the number and knows nothing of `copied`,
        which is made NULL for it.
        """
        numbers.fill(self.engine, 2000)
        stop, failed = threading.Event(), []

        def write():
            numbers_left = random.Random(1)
            try:
                while not stop.is_set():
                    row = numbers.TABLE.c.id == f'n{numbers_left.randrange(2000):07d}'
                    with self.engine.begin() as connection:
                        connection.execute(
                            sa.update(numbers.TABLE)
                            .where(row)
                            .values(number=numbers.TABLE.c.number + 1, copied=None)
                        )
            except Exception as error:
                failed.append(error)

        service = threading.Thread(target=write)
        service.start()
        try:
            DataRuns(self.engine).run(Numbers(), batch_size=50)
        finally:
            stop.set()
            service.join(_SECONDS)
        self.assertEqual([], failed)
        self.assertTrue(DataRuns(self.engine).run(Numbers(), batch_size=50).finished)
        with self.engine.connect() as connection:
            differ = sa.select(sa.func.count()).where(
                numbers.TABLE.c.copied != numbers.TABLE.c.number
            )
            self.assertEqual(0, connection.execute(differ).scalar_one())


class AsCommands:
    """The whole way as an operator goes it; each server below runs it."""

    def setUp(self):
        super().setUp()
        self.server = self.useFixture(self.server_class())
        url = self.server.create()
        database = engine.Database.from_url(url)
        self.addCleanup(database.dispose)
        self.engine = database.engine
        self.conf = self.server.folder / 'trove-upgrade.conf'
        self.conf.write_text(f'[database]\nconnection = {url}\n')

    def start(self, *words):
        program = 'import sys; from trove_upgrade.cmd import manage; sys.exit(manage.main())'
        return subprocess.Popen(
            [sys.executable, '-c', program, '--config-file', self.conf, 'db', 'data', *words],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def end(self, process, code):
        said, _ = process.communicate(timeout=_SECONDS)
        self.assertEqual(code, process.returncode, said)
        return said

    def tool(self, *words, code=0):
        """Here: a process takes seconds to start."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = manage.main(['--config-file', str(self.conf), 'db', 'data', *words])
        self.assertEqual(code, ended, out.getvalue() + err.getvalue())
        return out.getvalue() + err.getvalue()

    def upgrades_of_aurora(self, count):
        step = {
            'attempt': 1,
            'step': 'preflight',
            'started_at': '2026-01-01T00:00:00.123456+00:00',
            'ended_at': None,
            'runs': 1,
            'outcome': None,
            'percent': None,
            'message': None,
        }
        moment = datetime.datetime(2026, 1, 1)
        row = dict.fromkeys(
            (
                'instance_id',
                'project_id',
                'instance_name',
                'server_id',
                'state',
                'step',
                'former_version_id',
                'target_version_id',
                'target_image_id',
                'datastore_manager',
                'target_number',
            ),
            'x',
        )
        row |= dict.fromkeys(('attempt', 'rebuild_attempt', 'generation'), 1)
        row |= {
            'created_at': moment,
            'updated_at': moment,
            'data': '{}',
            'steps': json.dumps([step, step | {'step': 'quiesce'}]),
        }
        insert = (
            f'INSERT INTO instance_upgrades (id, {", ".join(row)}) VALUES (:id, '
            f'{", ".join(f":{name}" for name in row)})'
        )
        with self.engine.begin() as connection:
            connection.execute(
                sa.text(insert), [row | {'id': str(uuid.uuid4())} for _ in range(count)]
            )

    def test_from_the_release_before_to_the_contract(self):
        runner = Runner(self.engine)
        runner.expand('aurora')
        runner.contract('aurora')
        self.upgrades_of_aurora(2000)
        self.assertIn('db expand', self.end(self.start('run'), 3))
        runner.expand()
        self.assertIn('not started', self.tool('list'))

        self.assertIn(
            '1700 rows are left',
            self.end(self.start('run', 'borealis_steps', '--max-count', '300'), 9),
        )
        together = [self.start('run', '--batch-size', '20') for _ in range(4)]
        for process in together:
            self.assertIn('no row is left', self.end(process, 0))
        [state] = json.loads(self.tool('list', '--json'))
        self.assertEqual(
            ('finished', 2000, 2000, 0),
            (state['state'], state['found'], state['done'], state['rows_left']),
        )
        with self.engine.connect() as connection:
            self.assertEqual(
                4000,
                connection.exec_driver_sql(
                    'SELECT COUNT(*) FROM instance_upgrade_steps'
                ).scalar_one(),
            )

        with self.engine.begin() as connection:  # a service of aurora
            connection.exec_driver_sql(
                "UPDATE instance_upgrades SET steps = '[]', updated_at = '2026-02-02' WHERE id = "
                '(SELECT id FROM (SELECT MIN(id) AS id FROM instance_upgrades) AS first)'
            )
        self.assertIn('pending again', self.tool('list'))
        self.tool('run')
        with self.engine.connect() as connection:
            self.assertEqual(
                3998,
                connection.exec_driver_sql(
                    'SELECT COUNT(*) FROM instance_upgrade_steps'
                ).scalar_one(),
            )

        runner.contract()
        self.assertIn('not needed any more', self.tool('run', 'borealis_steps'))
        self.assertIn('not needed', self.tool('list'))


class TestMariaDB(OnARealServer, base.TestCase):
    server_class = databases.MariaDB


class TestPostgreSQL(OnARealServer, base.TestCase):
    server_class = databases.PostgreSQL


class TestMariaDBAsCommands(AsCommands, base.TestCase):
    server_class = databases.MariaDB


class TestPostgreSQLAsCommands(AsCommands, base.TestCase):
    server_class = databases.PostgreSQL
