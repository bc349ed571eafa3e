# SPDX-License-Identifier: Apache-2.0
"""tools/run_tests.py over small suites: the program itself, stestr and its workers run as
processes.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import trove_upgrade
from lab.layout import RUN_VARIABLE
from trove_upgrade.tests import base, output
from trove_upgrade.waiting import wait_until

_ROOT = pathlib.Path(trove_upgrade.__file__).resolve().parents[1]
_PROGRAM = _ROOT / 'tools' / 'run_tests.py'
_SECONDS = 400

_EACH_KIND = """
import logging, subprocess, sys, warnings
from testtools import content
from trove_upgrade.tests import base

LOG = logging.getLogger('tiny')
PASSES, SPEAKS = 'passes', 'speaks'

def noise(who):
    print(f'printed by the test that {who}')
    LOG.error('logged by the test that %s', who)
    LOG.debug('logged for a debugger by the test that %s', who)
    warnings.warn(f'warned by the test that {who}')
    script = f'echo child of the test that {who}; echo its stderr, of the test that {who} >&2'
    subprocess.run(['sh', '-c', script], check=True)

class Tiny(base.TestCase):
    def setUp(self):
        super().setUp()
        if 'set_up' in self.id():
            noise('breaks in setUp')
            raise ValueError('no set-up')
        self.addCleanup(print, 'cleaned up after ' + self.id())

    def test_passes(self):
        noise(PASSES)

    def test_fails(self):
        noise('fails')
        self.addDetail('note', content.text_content('detail of the test that fails'))
        self.assertEqual('wanted', 'found')

    def test_skips(self):
        noise('skips')
        self.skipTest('the reason of the skip')

    def test_set_up_breaks(self):
        pass

    def test_bytes(self):
        for number, line in ((1, [0xb3, 0xff, 10]), (2, [0xb3, 0xfe, 10])):
            program = f'import os; os.write({number}, bytes({line}))'
            subprocess.run([sys.executable, '-c', program], check=True)
        self.fail('after bytes that are not UTF-8')

    def test_bytes_are_no_fault(self):
        program = 'import os; os.write(1, bytes([0xb3, 0xff, 10]) * 99)'
        subprocess.run([sys.executable, '-c', program], check=True)
"""
_KILLERS = """
import os, signal
from trove_upgrade.tests import base

class Killers(base.TestCase):
    def _kill(self):
        print('last words of ' + self.id())
        os.kill(os.getpid(), signal.SIGKILL)
    test_one = test_two = test_three = test_four = _kill
"""
_NO_IMPORT = 'import no_such_module_at_all\n'
_CLASS_BREAKS = """
from trove_upgrade.tests import base

class Broken(base.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        print('printed while the class was set up')
        raise RuntimeError('the class cannot be set up')

    def test_one(self):
        pass

    def test_two(self):
        pass
"""
_SLEEPS = """
import subprocess
from trove_upgrade.tests import base

class Sleeps(base.TestCase):
    def test_until_interrupted(self):
        self.addCleanup(open({mark!r} + '.cleaned', 'w').close)
        child = subprocess.Popen(['sleep', '600'])
        with open({mark!r}, 'w') as sink:
            sink.write(str(child.pid))
        child.wait()
"""


class RunTestsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def suite(self, name, text):
        package = self.folder / name / f'tiny_{name}'
        package.mkdir(parents=True)
        (package / '__init__.py').write_text('')
        (package / 'test_tiny.py').write_text(text)
        return package

    def start(self, *words, **more):
        env = {
            key: value
            for key, value in os.environ.items()
            if key not in {output.MODE, output.FOLDER}
        } | more
        return subprocess.Popen(
            [
                sys.executable,
                str(_PROGRAM),
                '--results',
                str(self.folder / 'results'),
                *map(str, words),
            ],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run_program(self, *words, **more):
        """(exit code, all that is shown)."""
        with self.start(*words, **more) as process:
            shown, _ = process.communicate(timeout=_SECONDS)
        return process.returncode, shown

    def wait_for(self, condition, process):
        self.assertTrue(wait_until(lambda: condition() or process.poll() is not None, _SECONDS))
        self.assertIsNone(process.poll())

    def test_a_cloud_that_does_not_come_up_is_named_with_its_reason_at_the_end(self):
        code, shown = self.run_program('functional', **{RUN_VARIABLE: '/dev/null/cloud'})

        self.assertEqual(1, code)
        reason, count = shown.splitlines()[-2:]
        self.assertIn('functional: no cloud: trove-upgrade-lab: Cannot write the lock', reason)
        self.assertEqual('0 passed, 1 failed, 0 skipped', count)

    def test_the_old_cloud_is_one_of_its_own_after_all_that_runs_on_the_other(self):
        code, shown = self.run_program('old-cloud', 'long', **{RUN_VARIABLE: '/dev/null/cloud'})

        self.assertEqual(1, code)
        *_, first, second, count = shown.splitlines()
        self.assertIn('long: no cloud: trove-upgrade-lab: Cannot write the lock', first)
        self.assertIn('old-cloud: no cloud: trove-upgrade-lab: Cannot write the lock', second)
        self.assertEqual('0 passed, 2 failed, 0 skipped', count)

    def test_what_fails_is_shown_and_named_at_the_end_and_what_passes_is_not(self):
        code, shown = self.run_program(self.suite('kinds', _EACH_KIND))

        self.assertEqual('2 passed, 3 failed, 1 skipped', shown.splitlines()[-1], shown)
        self.assertEqual(1, code)
        for who in ('fails', 'breaks in setUp'):
            for text in (
                'printed by',
                'logged by',
                'logged for a debugger by',
                'warned by',
                'child of',
                'its stderr, of',
            ):
                self.assertIn(f'{text} the test that {who}', shown)
        for text in (
            "!= 'found'",
            'detail of the test that fails',
            'ValueError: no set-up',
            'the reason of the skip',
            '\\xb3\\xff',
            '\\xb3\\xfe',
            'after bytes that are not UTF-8',
            'cleaned up after tiny_kinds.test_tiny.Tiny.test_fails',
        ):
            self.assertIn(text, shown)
        for text in (
            'the test that passes',
            'the test that skips',
            'cleaned up after tiny_kinds.test_tiny.Tiny.test_passes',
        ):
            self.assertNotIn(text, shown)
        self.assertEqual(
            {
                f'tiny_kinds.test_tiny.Tiny.test_{name}'
                for name in ('fails', 'set_up_breaks', 'bytes')
            },
            {line.strip() for line in shown.splitlines()[-4:-1]},
            shown,
        )

    def test_everything_is_shown_when_asked_for(self):
        _, shown = self.run_program('--verbose', self.suite('kinds', _EACH_KIND))

        for text in (
            'printed by the test that passes',
            'logged by the test that passes',
            'child of the test that passes',
        ):
            self.assertIn(text, shown)
        self.assertEqual('2 passed, 3 failed, 1 skipped', shown.splitlines()[-1])

    def test_a_worker_that_dies_fails_its_test_and_those_that_it_did_not_reach(self):
        code, shown = self.run_program(self.suite('killers', _KILLERS))

        self.assertEqual(
            (1, '0 passed, 4 failed, 0 skipped'), (code, shown.splitlines()[-1]), shown
        )
        self.assertEqual(
            2, shown.count('without an end: tiny_killers.test_tiny.Killers.test_'), shown
        )
        self.assertEqual(
            2, shown.count('last words of tiny_killers.test_tiny.Killers.test_'), shown
        )
        self.assertIn('2 tests did not run', shown)

    def test_a_module_that_cannot_be_imported_is_a_failure_with_its_traceback(self):
        code, shown = self.run_program(self.suite('imports', _NO_IMPORT))

        self.assertEqual(
            (1, '0 passed, 1 failed, 0 skipped'), (code, shown.splitlines()[-1]), shown
        )
        self.assertIn("No module named 'no_such_module_at_all'", shown)

    def test_a_class_that_cannot_be_set_up_fails_all_its_tests(self):
        code, shown = self.run_program(self.suite('classes', _CLASS_BREAKS))

        self.assertEqual((1, 0), (code, int(shown.splitlines()[-1].split()[0])), shown)
        self.assertIn('RuntimeError: the class cannot be set up', shown)
        self.assertIn('printed while the class was set up', shown)
        for name in ('one', 'two'):
            self.assertIn(f'tiny_classes.test_tiny.Broken.test_{name}', shown)

    def test_a_folder_without_tests_is_a_failure(self):
        code, shown = self.run_program(self.suite('none', ''))

        self.assertEqual(
            (1, '0 passed, 1 failed, 0 skipped'), (code, shown.splitlines()[-1]), shown
        )

    def test_an_unknown_suite_is_a_usage_error(self):
        code, shown = self.run_program('unknown-suite')

        self.assertEqual(2, code)
        self.assertIn('no suite or folder is named unknown-suite', shown)

    def test_an_interrupted_run_leaves_no_process_and_its_tests_clean_up(self):
        self.ends_by(signal.SIGINT, 130)

    def test_so_does_a_terminated_one(self):
        self.ends_by(signal.SIGTERM, 143)

    def ends_by(self, number, code):
        mark = self.folder / 'mark'
        process = self.start(self.suite('sleeps', _SLEEPS.format(mark=str(mark))))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait_for(lambda: mark.exists() and mark.read_text(), process)

        process.send_signal(number)
        process.communicate(timeout=_SECONDS)

        self.assertEqual(code, process.returncode)
        self.assertTrue(pathlib.Path(f'{mark}.cleaned').exists())
        self.assertFalse(pathlib.Path('/proc', mark.read_text()).exists())
