#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the suites named (all of them, if none is) and ends with one line: 'N passed, N failed, N skipped'.

A linter, a type checker or a build of the documentation counts as one test.  A functional test that was skipped makes the
run fail: a skip there means that the machine lacks something, and nobody would see it.
"""
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / '.venv' / 'bin'
GROUPS = r'(trove_upgrade\.tests\.functional\.(?:cloud|host))'
SUITES = ('lint', 'types', 'docs', 'unit', 'functional')


def say(text: str) -> None:
    """One line with the time."""
    print(f'[{time.strftime("%H:%M:%S")}] {text}', flush=True)


class Count:
    """What the runs so far have come to."""

    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0

    def one(self, name: str, argv: list[str]) -> None:
        """A program that passes or fails as a whole."""
        say(f'{name}: {" ".join(argv[1:])}')
        start = time.monotonic()
        done = subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=ROOT, check=False)
        self.passed += done.returncode == 0
        self.failed += done.returncode != 0
        say(f'{name}: {"passed" if done.returncode == 0 else "FAILED"} in {time.monotonic() - start:.0f} s')

    def stestr(self, name: str, folder: str, *options: str) -> None:
        """Every test below a folder, in two workers."""
        say(f'{name}: {folder}')
        start = time.monotonic()
        (ROOT / '.stestr' / name).mkdir(parents=True, exist_ok=True)
        argv = [str(BIN / 'stestr'), '--test-path', folder, '--repo-url', f'.stestr/{name}', *options, 'run', '--concurrency', '2']
        done = subprocess.run(argv, cwd=ROOT, check=False)
        counted = self._last(name)
        if done.returncode != 0 and not counted['failed']:
            counted['failed'] += 1  # the runner itself failed: an import error, or no test found
        if name == 'functional' and counted['skipped']:
            say(f'{name}: {counted["skipped"]} skipped, which counts as failed here')
            counted['failed'] += counted['skipped']
            counted['skipped'] = 0
        self.passed += counted['passed']
        self.failed += counted['failed']
        self.skipped += counted['skipped']
        say(f'{name}: {counted["passed"]} passed, {counted["failed"]} failed, {counted["skipped"]} skipped in {time.monotonic() - start:.0f} s')

    @staticmethod
    def _last(name: str) -> dict[str, int]:
        stream = subprocess.run([str(BIN / 'stestr'), '--repo-url', f'.stestr/{name}', 'last', '--subunit'], cwd=ROOT, check=False,
                                capture_output=True)
        stats = subprocess.run([str(BIN / 'subunit-stats')], input=stream.stdout, capture_output=True, check=False, text=False)
        found = {'passed': 0, 'failed': 0, 'skipped': 0}
        words = {'passed tests': 'passed', 'failed tests': 'failed', 'skipped tests': 'skipped', 'expected failures': 'passed',
                 'unexpected success tests': 'failed'}
        for line in stats.stdout.decode().splitlines():
            key, _, value = line.partition(':')
            if key.strip().lower() in words and value.strip().isdigit():
                found[words[key.strip().lower()]] += int(value)
        return found


def functional(count: Count) -> None:
    """One cloud for all functional tests: brought up here, and taken down here whatever happens."""
    lab = str(BIN / 'trove-upgrade-lab')
    say('functional: bringing the one-machine cloud up')
    try:
        if subprocess.run([lab, 'up', '--product'], cwd=ROOT, check=False).returncode:
            count.failed += 1
            say('functional: the cloud did not come up; what it said stands above')
            return
        # Tests on the one cloud run one after the other, beside them those that make their own servers and guests.
        count.stestr('functional', './trove_upgrade/tests/functional', '--group-regex', GROUPS)
    finally:
        subprocess.run([lab, 'down'], cwd=ROOT, check=False)


def main(names: list[str]) -> int:
    """0 only if something ran and nothing failed."""
    unknown = set(names) - set(SUITES)
    if unknown:
        print(f'run_tests.py: no suite is named {", ".join(sorted(unknown))}; there are {", ".join(SUITES)}', file=sys.stderr)
        return 2
    os.environ['PATH'] = f'{BIN}{os.pathsep}{os.environ["PATH"]}'
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    count, start = Count(), time.monotonic()
    for suite in names or SUITES:
        match suite:
            case 'lint':
                count.one('lint', ['ruff', 'check', '.'])
            case 'types':
                count.one('types', ['mypy'])
            case 'docs':
                count.one('docs', ['sphinx-build', '-W', '-q', '-b', 'html', 'doc/source', 'doc/build/html'])
            case 'unit':
                count.stestr('unit', './trove_upgrade/tests/unit')
            case 'functional':
                functional(count)
    say(f'all in {time.monotonic() - start:.0f} s')
    print(f'{count.passed} passed, {count.failed} failed, {count.skipped} skipped', flush=True)
    return 1 if count.failed or not count.passed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
