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
# What the expression matches names the group, and a group is one worker's: what makes servers, guests and engines of its own beside
# what needs the one cloud, on which nothing may happen at the same time.
GROUPS = r'trove_upgrade\.tests\.(functional\.)?(?=functional\.|schema|host|long\.test_(?:schema|host))'
ON_CLOUD = {'functional', 'long'}
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

    def stestr(self, name: str, folder: str, *options: str, exclude: str | None = None) -> None:
        """Every test below a folder, in two workers."""
        say(f'{name}: {folder}')
        start = time.monotonic()
        (ROOT / '.stestr' / name).mkdir(parents=True, exist_ok=True)
        argv = [str(BIN / 'stestr'), '--test-path', folder, '--repo-url', f'.stestr/{name}', *options, 'run', '--concurrency', '2',
                *(['--exclude-regex', exclude] if exclude else [])]
        done = subprocess.run(argv, cwd=ROOT, check=False)
        counted = self._last(name)
        if done.returncode != 0 and not counted['failed']:
            counted['failed'] += 1  # the runner itself failed: an import error, or no test found
        if name in ON_CLOUD and counted['skipped']:
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


class Cloud:
    """One cloud for all tests that need it.  It comes up while other suites run, and goes down whatever happens."""

    def __init__(self) -> None:
        self._lab = str(BIN / 'trove-upgrade-lab')
        say('bringing the one-machine cloud up')
        self._up = subprocess.Popen([self._lab, 'up', '--product'], cwd=ROOT, start_new_session=True)

    def is_up(self) -> bool:
        """Waits for it."""
        return self._up.wait() == 0

    def down(self) -> None:
        """Also one that is not up yet: the lab's own clean-up follows its interruption."""
        if self._up.poll() is None:
            self._up.send_signal(signal.SIGTERM)
            self._up.wait()
        subprocess.run([self._lab, 'down'], cwd=ROOT, check=False)


def run(suite: str, count: Count, cloud: Cloud | None) -> None:
    """One suite."""
    match suite:
        case 'lint':
            count.one('lint', ['ruff', 'check', '.'])
        case 'types':
            count.one('types', ['mypy'])
        case 'docs':
            count.one('docs', ['sphinx-build', '-W', '-q', '-b', 'html', 'doc/source', 'doc/build/html'])
        case 'unit':
            count.stestr('unit', './trove_upgrade/tests/unit')
        case _ if cloud is None or not cloud.is_up():
            count.failed += 1
            say(f'{suite}: the cloud did not come up; what it said stands above')
        case 'functional':
            # Tests on the one cloud, and those that make guests, run one after the other; beside them those of the schema, which make servers.
            count.stestr('functional', './trove_upgrade/tests/functional', '--group-regex', GROUPS, exclude=r'functional\.long')
        case 'long':
            count.stestr('long', './trove_upgrade/tests/functional/long', '--group-regex', GROUPS)


def main(names: list[str]) -> int:
    """0 only if something ran and nothing failed."""
    unknown = set(names) - {*SUITES, *ON_CLOUD}
    if unknown:
        print(f'run_tests.py: no suite is named {", ".join(sorted(unknown))}; there are {", ".join(SUITES)}, long', file=sys.stderr)
        return 2
    os.environ['PATH'] = f'{BIN}{os.pathsep}{os.environ["PATH"]}'
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    count, start = Count(), time.monotonic()
    suites = names or SUITES
    cloud = Cloud() if ON_CLOUD & set(suites) else None
    try:
        for suite in suites:
            run(suite, count, cloud)
    finally:
        if cloud is not None:
            cloud.down()
    say(f'all in {time.monotonic() - start:.0f} s')
    print(f'{count.passed} passed, {count.failed} failed, {count.skipped} skipped', flush=True)
    return 1 if count.failed or not count.passed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
