# SPDX-License-Identifier: Apache-2.0
"""Faults on the way of the bridge through real old guests, each with its line in the report.

After each fault nothing is open, every guest is as it was, and the bridge comes in again.
"""

import contextlib
import dataclasses
import os
import subprocess

import sqlalchemy as sa

from lab.images import provision
from trove_upgrade.bridge import guest as installer
from trove_upgrade.db import models
from trove_upgrade.tests.old_cloud.moments import HOME, LISTING, KilledTestCase

LOOK = f"""
{LISTING}
pgrep -o -f trove-guestagent
pgrep -o -x mariadbd
mariadb -N -e 'SELECT COUNT(*) FROM {provision.DATABASE}.heartbeat'
"""
RUN_SECONDS = 600


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """A guest, as far as the bridge might change it."""

    #: files, the processes of the old agent and of the database, and its rows
    seen: str
    groups: dict[str, list[str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """A process of the bridge that has ended."""

    code: int
    output: str
    run_id: str


class Begun:
    """A process of the bridge that works on a run."""

    def __init__(self, test, process, path):
        self.test, self.process, self.path = test, process, path

    @property
    def output(self):
        return self.path.read_text()

    @property
    def run_id(self):
        line = next((one for one in self.output.splitlines() if one.startswith('Run ')), None)
        return None if line is None else line.split()[1].rstrip(':')

    def wait_begun(self):
        self.test.wait_until(
            lambda: self.run_id or self.process.poll() is not None, 'the run to begin'
        )
        self.test.assertIsNotNone(self.run_id, self.output)
        return self.run_id

    def wait_ended(self, seconds=RUN_SECONDS):
        """The end of the process, which has begun a run."""
        self.process.wait(seconds)
        self.test.assertIsNotNone(self.run_id, self.output)
        return Ended(code=self.process.returncode, output=self.output, run_id=self.run_id)

    def kill(self):
        self.process.kill()
        self.process.wait()


class FaultsTestCase(KilledTestCase):
    """`self.guest` is that of `self.instance`, which a test gives its faults."""

    def setUp(self):
        super().setUp()
        self.more_config = []
        self.environment = {}
        self.bundle_file = None
        self.before = {self.instance.id: self.state(self.instance)}
        self.addCleanup(self.take_out_all)

    def bundle(self):
        return str(self.bundle_file or super().bundle())

    def options(self):
        more = [word for path in self.more_config for word in ('--config-file', str(path))]
        return (*super().options(), *more)

    def configured(self, text):
        """Give the bridge further options, as another file of its configuration."""
        path = self.work_dir / f'more-{len(self.more_config)}.conf'
        path.write_text(text)
        self.more_config.append(path)

    # the guests

    def guest_of(self, instance):
        return self.stage.makers.guest(instance)

    def state(self, instance):
        seen = self.in_guest(LOOK, instance)
        return State(seen=seen, groups=self.groups(instance))

    def watch(self, *instances):
        """Compare these, too."""
        self.before |= {one.id: self.state(one) for one in instances}

    def assert_as_before(self):
        for one in self.stage.instances:
            if one.id in self.before:
                self.assertEqual(self.before[one.id], self.state(one), one.name)
                self.assertFalse(self.passes(one), one.name)

    def in_guest(self, script, instance=None):
        guest = self.guest if instance is None else self.guest_of(instance)
        return guest.exec(['sh', '-c', script]).output

    @contextlib.contextmanager
    def changed(self, script, back, instance=None):
        """The guest as the script leaves it, for as long as the context lasts."""
        self.in_guest(script, instance)
        try:
            yield
        finally:
            self.in_guest(back, instance)

    # runs

    def begin(self, command, *words, way=None):
        """A process that begins a run, and works."""
        path = self.work_dir / f'output-{len(list(self.work_dir.glob("output-*")))}'
        bundle = () if command == 'reach' else ('--bundle', self.bundle())
        argv = [
            str(self.programs / 'trove-upgrade-bridge'),
            *self.options(),
            command,
            *words,
            *bundle,
            *(self.way() if way is None else way),
        ]
        with path.open('w') as output:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
            )
        begun = Begun(self, process, path)
        self.addCleanup(self._end, begun)
        return begun

    def _end(self, begun):
        """End what a failed test has left: no other run could take its guests."""
        begun.kill()
        if begun.run_id is not None and self.shows_open_members(begun.run_id):
            self.bridge('abort', begun.run_id)
            self.resumed(begun.run_id)

    def shows_open_members(self, run_id):
        return any(one['state'] in {'PENDING', 'RUNNING'} for one in self.members(run_id))

    def tried(self, command, *words):
        return self.begin(command, *words).wait_ended()

    def while_at(self, moment, act, command, *words):
        """A run to its end, during which `act` is called as soon as the moment has come."""
        begun = self.begin(command, *words)
        self.run_id = begun.wait_begun()
        self.wait_until(lambda: moment.has_come(self), moment.name, interval_seconds=0.02)
        self.assertIsNone(begun.process.poll(), f'{moment.name}: it had ended before')
        act()
        return begun.wait_ended()

    def member(self, run_id, instance=None):
        """An instance in the report of a run."""
        wanted = (instance or self.instance).id
        report = self.shown('report', run_id, '--json')
        [found] = [one for one in report['members'] if one['instance_id'] == wanted]
        return found

    def assert_failed(self, ended, code, *words, instance=None):
        """The run has ended with this line for the instance, and nothing is open or changed."""
        self.assertEqual(1, ended.code, ended.output)
        self.assert_line(ended.run_id, 'FAILED', code, *words, instance=instance)
        self.assert_closed()
        self.assert_as_before()

    def assert_line(self, run_id, state, code, *words, instance=None):
        found = self.member(run_id, instance)
        self.assertEqual((state, code), (found['state'], found['error_code']), found['cause'])
        for one in words:
            self.assertIn(one, found['cause'] or '')

    def assert_closed(self):
        done = self.bridge('audit')
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def assert_is_reached(self, instance=None):
        """A later run comes in and out."""
        ended = self.tried('reach', '--instance', (instance or self.instance).id)
        self.assertEqual(0, ended.code, ended.output)

    def assert_is_brought_in(self, instance=None):
        """A later run brings our agent in.  It is taken out again, for the tests that follow."""
        instance = instance or self.instance
        ended = self.tried('run', '--instance', instance.id)
        self.assertEqual(0, ended.code, ended.output)
        self.assert_completed(ended.run_id, instance)

    def assert_completed(self, run_id, *instances):
        """The run has brought our agent into these instances.  It is taken out again."""
        for one in instances:
            self.assert_line(run_id, 'COMPLETED', None, instance=one)
        for one in instances:
            self.take_out(one)
        self.assert_closed()
        self.assert_as_before()

    def take_out_all(self):
        """Remove what a failed test has left in a guest: the next one takes it as it finds it."""
        for one in self.stage.instances:
            if self.in_guest(f'[ -e {HOME} ] && echo there || true', one):
                self.take_out(one)

    def take_out(self, instance):
        """Remove our agent from a guest that a run has brought it into, as a removal does."""
        self.guest_of(instance).exec(
            ['sh', '-s', '--', 'remove'], input_text=installer.read(installer.INSTALLER).decode()
        )
        with self.database() as connection:
            for table in (models.upgrade_guest_keys, models.upgrade_guests):
                connection.execute(sa.delete(table).where(table.c.instance_id == instance.id))

    @contextlib.contextmanager
    def database(self):
        """A transaction of the control plane's database."""
        engine = sa.create_engine(self.handle.database_url())
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()
