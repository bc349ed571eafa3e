# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import subprocess

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.db.process_table import TABLE, Birth, ProcessTable
from trove_upgrade.tests.unit import base


class TestBirth(base.TestCase):
    @given(st.integers(min_value=0, max_value=2**63), st.integers(min_value=0, max_value=2**32 - 1))
    def test_what_is_written_is_read(self, ticks, table):
        birth = Birth(ticks, f'{table:08x}')
        self.assertEqual(birth, Birth.parse(str(birth)))

    @given(st.one_of(st.none(), st.text(max_size=20)))
    def test_nothing_else_is_read(self, text):
        self.assertIsNone(Birth.parse(f'{text}!' if text else text))


class TestProcessTable(base.TestCase):
    def test_this_process_has_a_birth_and_has_not_ended(self):
        birth = TABLE.birth_of(os.getpid())
        self.assertEqual(
            (birth, False), (TABLE.birth_of(os.getpid()), TABLE.has_ended(os.getpid(), birth))
        )

    def test_one_that_started_at_another_time_has_ended(self):
        birth = TABLE.birth_of(os.getpid())
        self.assertTrue(TABLE.has_ended(os.getpid(), Birth(birth.start_ticks + 1, birth.table)))

    def test_a_process_that_was_reaped_has_ended(self):
        process = subprocess.Popen(['sleep', '1000'])
        birth = TABLE.birth_of(process.pid)
        self.assertFalse(TABLE.has_ended(process.pid, birth))
        process.kill()
        process.wait()
        self.assertTrue(TABLE.has_ended(process.pid, birth))
        self.assertIsNone(TABLE.birth_of(process.pid))

    def test_the_name_of_a_program_may_hold_anything(self):
        program = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'a) S (b')
        program.symlink_to('/bin/sleep')
        process = subprocess.Popen([str(program), '1000'])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertFalse(TABLE.has_ended(process.pid, TABLE.birth_of(process.pid)))

    def proc(self, boot='b1', **spaces):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for part in ('sys/kernel/random', f'{os.getpid()}/ns', '42'):
            (folder / part).mkdir(parents=True)
        (folder / 'self').symlink_to(str(os.getpid()))
        (folder / 'sys/kernel/random/boot_id').write_text(f'{boot}\n')
        (folder / '42/stat').write_text(f'42 (a b) S {" ".join(["0"] * 18)} 777 0\n')
        for name, number in spaces.items():
            (folder / 'self/ns' / name).symlink_to(f'{name}:[{number}]')
        return ProcessTable(folder).birth_of(42)

    def test_a_number_counts_within_one_boot_and_one_namespace_of_pids_and_of_time(self):
        births = [
            self.proc(pid=1),
            self.proc(pid=2),
            self.proc('b2', pid=1),
            self.proc(pid=1, time=1),
            self.proc(pid=1, time=2),
        ]
        self.assertEqual({777}, {birth.start_ticks for birth in births})
        self.assertEqual(5, len({birth.table for birth in births}))
        self.assertEqual(births[0], self.proc(pid=1))

    def test_a_proc_of_another_pid_namespace_tells_nothing(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (folder / str(os.getpid() + 1)).symlink_to(f'/proc/{os.getpid()}')
        (folder / 'sys').symlink_to('/proc/sys')
        (folder / 'self').symlink_to(str(os.getpid() + 1))
        theirs = ProcessTable(folder)
        self.assertIsNone(theirs.birth_of(os.getpid() + 1))
        self.assertFalse(theirs.has_ended(os.getpid(), TABLE.birth_of(os.getpid())))

    def test_where_processes_are_hidden_or_there_is_no_proc_nothing_is_known(self):
        hidden = ProcessTable(pathlib.Path(self.useFixture(fixtures.TempDir()).path))
        self.assertIsNone(hidden.birth_of(os.getpid()))
        self.assertFalse(hidden.has_ended(os.getpid(), TABLE.birth_of(os.getpid())))
