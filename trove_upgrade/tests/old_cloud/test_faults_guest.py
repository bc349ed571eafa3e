# SPDX-License-Identifier: Apache-2.0
"""Faults while our agent is brought in: disks, the bundle, the agent itself, its broker.  Needs a
bundle in `dist`: "make bundle".
"""

import pathlib
import shutil
import subprocess

from lab.cloud import Cloud
from trove_upgrade.tests.old_cloud.faults_case import FaultsTestCase
from trove_upgrade.tests.old_cloud.moments import HOME, MOMENTS

ABOVE = str(pathlib.PurePosixPath(HOME).parent)
_BY_NAME = {one.name: one for one in MOMENTS}
GROUP_IS_THERE = _BY_NAME['its group is at Neutron']
ON_ITS_WAY = _BY_NAME['the bundle is on its way']
AGENT_RUNS = _BY_NAME['our agent runs']
#: Programs of the installer are looked for here first.
LOCAL = '/usr/local/sbin'
#: As the installer asks of its own: more than it needs at its look.
ROOM_MB = 420
#: An address of no one, in a network for documentation.
NO_BROKER = '192.0.2.1'
NOT_HEARD_SECONDS = 600


class PushedTestCase(FaultsTestCase):
    def pushed(self):
        return self.tried('run', '--instance', self.instance.id)

    def put_program(self, name, script):
        self.guest.write_file(f'{LOCAL}/{name}', f'#!/bin/sh\n{script}\n', mode='0755')
        self.addCleanup(self.in_guest, f'rm -f {LOCAL}/{name}')

    def guests_configured(self, text):
        """Give our agents options of the operator's over the lab's own."""
        own = self.stage.stage.layout.run_dir / 'bridge' / 'trove-guestagent.conf'
        path = self.work_dir / 'guests.conf'
        path.write_text(f'{own.read_text()}\n{text}\n')
        self.configured(f'[trove_upgrade]\nguest_config_file = {path}\n')


class TestDisks(PushedTestCase):
    """The guest's root disk is the host's: a small one stands for it where we put ours."""

    def with_disk(self, megabytes):
        return self.changed(
            f'mkdir -p {ABOVE} && mount -t tmpfs -o size={megabytes}m full {ABOVE}',
            f'umount -l {ABOVE}',
        )

    def test_a_full_disk_is_found_before_anything_is_written(self):
        with self.with_disk(20):
            ended = self.pushed()
            words = ('MB free', 'Make room on its root disk')
            self.assert_line(ended.run_id, 'FAILED', 'BRIDGE_GUEST_FULL', *words)
            self.assertEqual(1, ended.code)
            self.assert_closed()
        self.assert_as_before()

    def test_one_that_fills_up_during_the_upload_leaves_nothing_of_ours(self):
        with self.with_disk(ROOM_MB):
            ended = self.while_at(
                ON_ITS_WAY,
                lambda: self.in_guest(f'cat /dev/zero > {ABOVE}/filler 2> /dev/null; true'),
                'run',
                *('--instance', self.instance.id),
            )
            self.assert_line(ended.run_id, 'FAILED', 'UPLOAD_FAILED', 'No space left on device')
            self.assertEqual(1, ended.code)
            self.assert_closed()
            self.assertEqual('filler', self.in_guest(f'ls {ABOVE}').strip())
        self.assert_as_before()

    def test_a_bridge_without_room_for_the_archive_of_a_guest_without_xz_names_its_directory(self):
        small = self.work_dir / 'small'
        small.mkdir()
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4m', 'small', small], check=True)
        self.addCleanup(subprocess.run, ['umount', '-l', small], check=True)
        self.environment = {'TMPDIR': str(small)}
        self.assertEqual('none', self.in_guest('command -v xz || echo none').strip())
        ended = self.pushed()
        self.assert_failed(
            ended, 'BRIDGE_STAGING_FAILED', 'No space left on device', f'make room in {small}'
        )
        self.assertEqual([], list(small.iterdir()))


class TestBundle(PushedTestCase):
    def setUp(self):
        super().setUp()
        good = pathlib.Path(self.bundle())
        self.bundle_file = self.work_dir / good.name
        for suffix in ('', '.sha256'):
            shutil.copyfile(f'{good}{suffix}', f'{self.bundle_file}{suffix}')

    def cut(self):
        content = self.bundle_file.read_bytes()
        self.bundle_file.write_bytes(content[: len(content) // 2])

    def test_one_that_was_cut_begins_no_run(self):
        self.cut()
        runs = self.shown('status', '--json')
        done = self.bridge(
            'run', '--instance', self.instance.id, '--bundle', self.bundle(), *self.way()
        )
        self.assertNotEqual(0, done.returncode)
        self.assertIn('BRIDGE_BUNDLE_INVALID', done.stderr)
        self.assertIn('its SHA-256 is', done.stderr)
        self.assertEqual(runs, self.shown('status', '--json'))

    def test_one_that_is_cut_after_its_check_is_not_unpacked(self):
        ended = self.while_at(GROUP_IS_THERE, self.cut, 'run', *('--instance', self.instance.id))
        self.assert_failed(
            ended, 'BRIDGE_BUNDLE_CHANGED', str(self.bundle_file), 'compare it with its .sha256'
        )

    def test_one_whose_bytes_change_in_the_guest_is_not_unpacked(self):
        real = self.in_guest('command -v sha256sum').strip()
        change = 'printf x | dd of="$1" bs=1 seek=1000 conv=notrunc 2> /dev/null'
        self.put_program('sha256sum', f'{change}\n{real} "$1"')
        ended = self.pushed()
        self.assert_failed(ended, 'BRIDGE_INSTALLER_FAILED', '"verify"', 'is not what was sent')


class TestAgent(PushedTestCase):
    def test_one_that_ends_again_and_again_is_told_with_its_last_words_and_removed(self):
        self.guests_configured('[DEFAULT]\ntransport_url = nonsense://10.60.0.1/\n')
        ended = self.pushed()
        self.assert_failed(
            ended,
            'BRIDGE_AGENT_NOT_STARTED',
            'starts again and again',
            'nonsense',
        )
        self.assert_is_brought_in_with_the_labs_own_options()

    def assert_is_brought_in_with_the_labs_own_options(self):
        self.more_config.clear()
        self.assert_is_brought_in()


class TestBroker(PushedTestCase):
    def setUp(self):
        super().setUp()
        self.cloud = Cloud(self.stage.stage.layout)
        self.addCleanup(self.have_broker)

    def have_broker(self):
        self.in_guest('ip route del blackhole 10.60.0.1/32 2> /dev/null; true')

    def test_a_guest_that_does_not_reach_it_is_told_after_the_wait_and_our_agent_goes(self):
        self.addCleanup(self.in_guest, 'true')
        ended = self.while_at(
            _BY_NAME['the key is there'],
            lambda: self.in_guest('ip route add blackhole 10.60.0.1/32'),
            'run',
            *('--instance', self.instance.id),
        )
        self.have_broker()
        self.assert_failed(
            ended, 'BRIDGE_AGENT_NOT_HEARD', 'no heartbeat of it came', 'reaches the broker'
        )

    def test_one_that_comes_back_while_proving_lets_the_run_go_on(self):
        begun = self.begin('run', '--instance', self.instance.id)
        self.run_id = begun.wait_begun()
        self.wait_until(lambda: AGENT_RUNS.has_come(self), AGENT_RUNS.name)
        self.cloud.stop_process('rabbitmq')
        try:
            self.wait_until(
                lambda: self.member(self.run_id)['step'] == 'prove', 'the step prove', 120
            )
        finally:
            self.cloud.restart('rabbitmq')
        ended = begun.wait_ended()
        self.assertEqual(0, ended.code, ended.output)
        self.assert_completed(ended.run_id, self.instance)
