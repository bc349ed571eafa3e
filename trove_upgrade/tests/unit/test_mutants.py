# SPDX-License-Identifier: Apache-2.0
"""Which mutants `make mutants` tries, and what it concludes.  Its changes need Cosmic Ray, and are
looked at by the program itself before each run.
"""

import pathlib
import subprocess
import sys

import fixtures

import trove_upgrade
from tools.mutants import modules, trial
from tools.mutants.sample import Mutant, Score, Verdict, drawn
from trove_upgrade.tests.unit import base

PACKAGE = pathlib.Path(trove_upgrade.__file__).parent

_SUITE = """
import unittest

class Tiny(unittest.TestCase):
    def test_passes(self):
        pass

    def test_fails(self):
        self.fail()

    def test_never_ends(self):
        while True:
            pass
"""


def mutants(**numbers):
    return {
        module: [Mutant(module, 'AddNot', number, number) for number in range(most)]
        for module, most in numbers.items()
    }


class TestModules(base.TestCase):
    def test_each_module_and_its_tests_are_there(self):
        for name, tests in modules.TESTS.items():
            self.assertTrue((PACKAGE / name).is_file(), name)
            for test in tests:
                path, _, case = test.partition('.Test')
                source = (PACKAGE / 'tests/unit' / f'{path.replace(".", "/")}.py').read_text()
                self.assertIn(f'class Test{case}' if case else 'class ', source)

    def test_a_module_is_named_by_the_end_of_its_name(self):
        self.assertEqual(list(modules.TESTS), modules.named([]))
        self.assertEqual(['db/tasks.py'], modules.named(['tasks.py']))
        self.assertRaises(ValueError, modules.named, ['tasks.py', 'tusks.py'])

    def test_tests_have_the_names_that_a_runner_takes(self):
        self.assertEqual(
            ['trove_upgrade.tests.unit.guestagent.jobs.test_job'],
            modules.tests('guestagent/jobs/job.py'),
        )


class TestDrawn(base.TestCase):
    def test_the_same_seed_draws_the_same_and_another_one_does_not(self):
        found = mutants(a=50, b=50)
        self.assertEqual(drawn(found, 30, 1), drawn(found, 30, 1))
        self.assertNotEqual(drawn(found, 30, 1), drawn(found, 30, 2))

    def test_modules_take_turns_until_there_are_enough(self):
        found = [mutant.module for mutant in drawn(mutants(a=50, b=2, c=50), 8, 1)]
        self.assertEqual(['a', 'b', 'c', 'a', 'b', 'c', 'a', 'c'], found)

    def test_no_mutant_is_drawn_twice_and_all_can_be_drawn(self):
        found = drawn(mutants(a=3, b=2), 99, 1)
        self.assertEqual((5, 5), (len(found), len(set(found))))

    def test_what_is_drawn_of_a_module_does_not_depend_on_the_others(self):
        alone, together = drawn(mutants(a=50), 5, 1), drawn(mutants(b=9, a=50), 10, 1)
        self.assertEqual(alone, [mutant for mutant in together if mutant.module == 'a'])


class TestScore(base.TestCase):
    def score(self, survived, killed, endless=0, planned=None):
        verdicts = [
            *[Verdict.SURVIVED] * survived,
            *[Verdict.KILLED] * killed,
            *[Verdict.ENDLESS] * endless,
        ]
        return Score(len(verdicts) if planned is None else planned, verdicts)

    def test_it_holds_where_enough_were_noticed(self):
        self.assertTrue(self.score(1, 18, 1).holds(95))
        self.assertFalse(self.score(2, 37).holds(95))
        self.assertTrue(self.score(0, 1).holds(100))

    def test_it_does_not_hold_where_nothing_was_tried(self):
        self.assertFalse(self.score(0, 0, planned=60).holds(0))

    def test_it_tells_how_many_of_how_many_and_what_was_left_out(self):
        self.assertEqual('19 of 20 mutants killed (95.0 %)', str(self.score(1, 18, 1)))
        self.assertEqual(
            '1 of 2 mutants killed (50.0 %); 58 not tried, the time is over',
            str(self.score(1, 1, planned=60)),
        )


class TestTrial(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def test_the_copy_has_the_files_and_goes_with_the_block(self):
        for name in ('.venv/bin/python', 'package/module.py', 'doc/build/page.html'):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(name)
        with trial.copy(self.folder) as copy:
            (copy / 'package/module.py').write_text('changed')
            self.assertEqual(['package/module.py'], self.files(copy))
        self.assertFalse(copy.exists())
        self.assertEqual(
            'package/module.py', (self.folder / 'package/module.py').read_text(), 'the original'
        )

    def files(self, folder):
        return [
            str(path.relative_to(folder)) for path in sorted(folder.rglob('*')) if path.is_file()
        ]

    def test_a_text_stands_in_a_file_for_the_block_whatever_happens_there(self):
        path = self.folder / 'module.py'
        path.write_text('before')

        def fail():
            with trial.containing(path, 'after'):
                self.assertEqual('after', path.read_text())
                raise KeyError

        self.assertRaises(KeyError, fail)
        self.assertEqual('before', path.read_text())

    def test_tests_pass_fail_or_are_ended(self):
        (self.folder / 'tiny_suite.py').write_text(_SUITE)
        tests = trial.Tests(pathlib.Path(sys.executable), self.folder)

        def passed(name, seconds=60):
            return tests.passed([f'tiny_suite.Tiny.test_{name}'], seconds, subprocess.DEVNULL)

        self.assertTrue(passed('passes'))
        self.assertFalse(passed('fails'))
        self.assertRaises(TimeoutError, passed, 'never_ends', 0.5)
