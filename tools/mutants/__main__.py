# SPDX-License-Identifier: Apache-2.0
"""`make mutants`: changes one place of a core module at a time, and runs the unit tests of that
module's subject.  A change that they do not notice has survived.

What is tried is a sample, the same for the same seed.  The changes are made in a copy of the
checkout.
"""

import argparse
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence

from tools.mutants import changes, modules, trial
from tools.mutants.sample import Mutant, Score, Verdict, drawn
from trove_upgrade import signals

PROGRAM = 'mutants'
ROOT = pathlib.Path(__file__).resolve().parents[2]
_LEAST_SECONDS, _TIMES_AS_LONG = 20.0, 4.0  #: of tests that are not called endless


class Unfit(Exception):
    """No mutant can be judged: the tests fail without a change."""


class Session:
    """One run, in one copy of the checkout."""

    def __init__(self, folder: pathlib.Path, python: pathlib.Path, seconds: float) -> None:
        """`seconds`: after so many no mutant is tried any more."""
        self._package = folder / modules.PACKAGE
        self._tests = trial.Tests(python, folder)
        self._end = time.monotonic() + seconds
        self._limits: dict[str, float] = {}

    def mutants(self, names: Sequence[str]) -> dict[str, list[Mutant]]:
        """All of these modules."""
        return {name: changes.mutants(name, self._package / name) for name in names}

    def run(self, sample: Sequence[Mutant]) -> Score:
        """Try each, and tell what became of it.

        :raises Unfit: see there.
        """
        score = Score(len(sample))
        for mutant in sample:
            verdict = self._try(mutant)
            if verdict is None:
                break
            score.verdicts.append(verdict)
        return score

    def _try(self, mutant: Mutant) -> Verdict | None:
        """None: the time is over."""
        path = self._package / mutant.module
        before = path.read_text()
        text = changes.changed(before, mutant)
        limit, began = self._limit(mutant.module), time.monotonic()
        left = self._end - began
        if left <= 0:
            return None
        try:
            with trial.containing(path, text):
                survived = self._tests.passed(
                    modules.tests(mutant.module), min(limit, left), subprocess.DEVNULL
                )
        except TimeoutError:
            if left < limit:
                return None
            verdict = Verdict.ENDLESS
        else:
            verdict = Verdict.SURVIVED if survived else Verdict.KILLED
        _tell(mutant, verdict, time.monotonic() - began)
        if verdict is Verdict.SURVIVED:
            print(changes.difference(before, text), flush=True)
        return verdict

    def _limit(self, module: str) -> float:
        """Seconds, by how long the tests take without a change."""
        if module not in self._limits:
            began = time.monotonic()
            if not self._tests.passed(modules.tests(module), 600, subprocess.DEVNULL):
                self._tests.passed(modules.tests(module), 600)  # once more, and shown
                raise Unfit(f'the tests of {module} fail without a change')
            seconds = time.monotonic() - began
            self._limits[module] = max(_LEAST_SECONDS, _TIMES_AS_LONG * seconds)
        return self._limits[module]


def _tell(mutant: Mutant, verdict: Verdict, seconds: float) -> None:
    print(
        f'{verdict:8} {modules.PACKAGE}/{mutant.module}:{mutant.line} {mutant.operator} '
        f'({seconds:.0f} s)',
        flush=True,
    )


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Modules of the list, and how many mutants of them."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'modules', nargs='*', metavar='MODULE', help='the end of a name, e.g. db/tasks.py'
    )
    parser.add_argument('--python', type=pathlib.Path, required=True, help='runs the tests')
    parser.add_argument('--count', type=int, default=60, help='mutants to try (60); 0: all')
    parser.add_argument('--seed', type=int, default=1, help='of the sample (1)')
    parser.add_argument('--minutes', type=float, default=25, help='the run ends then (25)')
    parser.add_argument('--percent', type=float, default=95, help='to be killed at least (95)')
    found = parser.parse_args(argv)
    try:
        found.modules = modules.named(found.modules)
    except ValueError as error:
        parser.error(str(error))
    return found


def measure(asked: argparse.Namespace) -> int:
    """0 only if enough were killed."""
    changes.require_examples()
    python = asked.python.absolute()  # not resolved: it is a link out of its environment
    with trial.copy(ROOT) as folder:
        session = Session(folder, python, asked.minutes * 60)
        found = session.mutants(asked.modules)
        everything = sum(map(len, found.values()))
        sample = drawn(found, asked.count or everything, asked.seed)
        print(
            f'{len(sample)} of {everything} mutants of {len(found)} modules, seed {asked.seed}, '
            f'{asked.minutes:g} minutes at most',
            flush=True,
        )
        try:
            score = session.run(sample)
        except Unfit as error:
            print(f'{PROGRAM}: {error}', file=sys.stderr)
            return 1
    print(f'{score}; {asked.percent:g} % are wanted', flush=True)
    return 0 if score.holds(asked.percent) else 1


if __name__ == '__main__':
    signals.end_at_once(PROGRAM)
    options = arguments(sys.argv[1:])
    sys.exit(signals.run(PROGRAM, lambda: measure(options)))
