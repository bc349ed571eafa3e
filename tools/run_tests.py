#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the suites named (all of them, if none is) and ends with one line: 'N passed, N failed, N skipped'.

A linter, a type checker or a build of the documentation counts as one test.  A functional test that was skipped makes the
run fail: a skip there means that the machine lacks something, and nobody would see it.
"""
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / '.venv' / 'bin'
# What the expression matches names the group, and a group is one worker's: what makes servers and engines of its own, what makes guests of its
# own, and what needs the one cloud, on which nothing may happen at the same time.
GROUPS = r'trove_upgrade\.tests\.functional\.(schema|host|long\.test_schema|long\.test_host)?'
ON_CLOUD = {'functional', 'long'}
SUITES = ('lint', 'types', 'docs', 'unit', 'functional')


def say(text: str) -> None:
    """One line with the time."""
    print(f'[{time.strftime("%H:%M:%S")}] {text}', flush=True)


class Count:
    """What the runs so far have come to."""

    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0

    def one(self, name: str, argv: list[str], *, aloud: bool) -> None:
        """A program that passes or fails as a whole."""
        say(f'{name}: {" ".join(argv[1:])}')
        start = time.monotonic()
        done = _run([str(BIN / argv[0]), *argv[1:]], aloud=aloud)
        self.passed += done.returncode == 0
        self.failed += done.returncode != 0
        say(f'{name}: {"passed" if done.returncode == 0 else "FAILED"} in {time.monotonic() - start:.0f} s')

    def stestr(self, name: str, folder: str, *options: str, workers: int, aloud: bool = True, exclude: str | None = None) -> None:
        """Every test below a folder."""
        say(f'{name}: {folder}')
        start = time.monotonic()
        (ROOT / '.stestr' / name).mkdir(parents=True, exist_ok=True)
        argv = [str(BIN / 'stestr'), '--test-path', folder, '--repo-url', f'.stestr/{name}', *options, 'run', '--concurrency', str(workers),
                *(['--exclude-regex', exclude] if exclude else [])]
        done = _run(argv, aloud=aloud)
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

    def add(self, other: 'Count') -> None:
        """What somebody else has counted."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

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


def _run(argv: list[str], *, aloud: bool) -> subprocess.CompletedProcess[bytes]:
    """Aloud: as it says it; else all at once when it has ended, so that no line of another gets in between."""
    if aloud:
        return subprocess.run(argv, cwd=ROOT, check=False)
    done = subprocess.run(argv, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    sys.stdout.flush()
    sys.stdout.buffer.write(done.stdout)
    sys.stdout.buffer.flush()
    return done


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


def run(suite: str, count: Count, cloud: Cloud | None, *, aloud: bool = True) -> None:
    """One suite."""
    match suite:
        case 'lint':
            count.one('lint', ['ruff', 'check', '.'], aloud=aloud)
        case 'types':
            count.one('types', ['mypy'], aloud=aloud)
        case 'docs':
            count.one('docs', ['sphinx-build', '-W', '-q', '-b', 'html', 'doc/source', 'doc/build/html'], aloud=aloud)
        case 'unit':
            count.stestr('unit', './trove_upgrade/tests/unit', workers=2, aloud=aloud)
        case _ if cloud is None or not cloud.is_up():
            count.failed += 1
            say(f'{suite}: the cloud did not come up; what it said stands above')
        case 'functional':
            count.stestr('functional', './trove_upgrade/tests/functional', '--group-regex', GROUPS, workers=3, exclude=r'functional\.long')
        case 'long':
            count.stestr('long', './trove_upgrade/tests/functional/long', '--group-regex', GROUPS, workers=3)


def run_all(suites: Sequence[str], count: Count, cloud: Cloud | None) -> None:
    """One after the other; where there are suites on the cloud, which wait more than they work, the others run beside them."""
    if cloud is None:
        for suite in suites:
            run(suite, count, cloud)
        return
    beside, pool = Count(), concurrent.futures.ThreadPoolExecutor(1)
    try:
        done = [pool.submit(run, suite, beside, None, aloud=False) for suite in suites if suite not in ON_CLOUD]
        for suite in suites:
            if suite in ON_CLOUD:
                run(suite, count, cloud)
        for one in done:
            one.result()
    finally:
        pool.shutdown(cancel_futures=True)
    count.add(beside)


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
        run_all(suites, count, cloud)
    finally:
        if cloud is not None:
            cloud.down()
    say(f'all in {time.monotonic() - start:.0f} s')
    print(f'{count.passed} passed, {count.failed} failed, {count.skipped} skipped', flush=True)
    return 1 if count.failed or not count.passed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
