#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the suites named (all of them, if none is) and ends with one line: 'N passed, N failed, N
skipped'.

The output of what passes is not shown; a test that fails shows all of its own when it fails, and is
named once more at the end. A linter, a type checker or a build of the documentation counts as one
test.  A functional test that was skipped makes the run fail: the machine lacks something then.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import sys
import time
from collections.abc import Sequence

from testrun.children import Children
from testrun.cloud import Cloud, Clouds
from testrun.count import Count, total
from testrun.lines import say
from testrun.suites import BIN, ROOT, Runner

from trove_upgrade import signals

# What the expression matches names the group, and a group is one worker's: what makes servers of
# its own (three groups, as they take the longest), what makes guests of its own, and what needs the
# one cloud, on which nothing may happen at the same time.
GROUPS = (
    r'trove_upgrade\.tests\.functional\.'
    r'((?:host|schema)\.test_(?=\w+_long)|schema\.test_(?=data|plan|release|steps|trove|unfolded)|schema|'
    r'host\.test_(?=broker|collations|database|demo|engine|'
    r'guest_accounts|guest_broker|guest_keys|mariadb|option)|'
    r'host)?'
)
# Tests of one of these groups share what the first of them has read of all files.
UNIT_GROUPS = (
    r'trove_upgrade\.tests\.unit\.(programs|test_architecture|test_documentation|test_style)'
)
# Its tests work on the instances of one cloud of its own: one worker's.
ONE_CLOUD = r'trove_upgrade\.tests\.old_cloud'
OLD_CLOUD = 'old-cloud'
#: In the name of each module that `make test` leaves to `make long`.
LONG = r'_long\.'
GIVES_WAY = 5  #: niceness added to what has time left when all others are done
ON_CLOUD = frozenset({'functional', 'long'})
LONGER = ('long', OLD_CLOUD)
SUITES = ('lint', 'format', 'types', 'docs', 'unit', 'functional')
PROGRAMS = {
    'lint': ['ruff', 'check', '.'],
    'format': ['ruff', 'format', '--check', '--quiet', '.'],
    'types': ['mypy'],
    'docs': ['sphinx-build', '-W', '-q', '-b', 'html', 'doc/source', 'doc/build/html'],
}
PROGRAM = 'run_tests.py'
TESTS = pathlib.Path('trove_upgrade', 'tests')
#: The client is a distribution of its own, with its own tests.
CLIENT_TESTS = pathlib.Path('client', 'troveupgradeclient', 'tests', 'unit')


def run(suite: str, runner: Runner, cloud: Cloud | None) -> Count:
    """One suite, or one folder of tests."""
    if suite in PROGRAMS:
        return runner.program(suite, PROGRAMS[suite])
    if suite == 'unit':
        return total(
            [
                runner.tests(suite, TESTS / 'unit', '--group-regex', UNIT_GROUPS, workers=2),
                runner.tests('unit-client', CLIENT_TESTS, workers=2),
            ]
        )
    if suite not in {*ON_CLOUD, OLD_CLOUD}:
        name, folder = pathlib.Path(suite).resolve().name, pathlib.Path(suite)
        return runner.tests(name, folder, '--group-regex', ONE_CLOUD, workers=2)
    if cloud is None or not cloud.is_up():
        reason = f': {cloud.last_line}' if cloud else ''
        say(f'{suite}: the cloud did not come up{reason}')
        return Count(failures=(f'{suite}: no cloud{reason}',))
    return on_cloud(suite, runner)


def on_cloud(suite: str, runner: Runner) -> Count:
    """One suite, on the cloud that is up."""
    if suite == OLD_CLOUD:
        options = ('--group-regex', ONE_CLOUD)
        return runner.tests(suite, TESTS / 'old_cloud', *options, workers=1, skips_fail=True)
    only = {'exclude': LONG} if suite == 'functional' else {'include': LONG}
    return runner.tests(
        suite,
        TESTS / 'functional',
        '--group-regex',
        GROUPS,
        workers=5,
        skips_fail=True,
        **only,
    )


def run_in_turn(suites: Sequence[str], runner: Runner, clouds: Clouds) -> Count:
    """All suites, and then that of the old cloud, for which the other one goes down."""
    first = [suite for suite in suites if suite != OLD_CLOUD]
    cloud = clouds.begin('--product') if ON_CLOUD & set(first) else None
    count = run_all(first, runner, cloud)
    if OLD_CLOUD not in suites:
        return count
    clouds.down()
    return total([count, run(OLD_CLOUD, runner, clouds.begin('--bridge'))])


def run_all(suites: Sequence[str], runner: Runner, cloud: Cloud | None) -> Count:
    """One after the other; where there are suites on the cloud, which wait more than they work,
    the others run beside them.

    These are done first, and give way: the run lasts as long as the suites on the cloud.
    """
    if cloud is None:
        return total([run(suite, runner, cloud) for suite in suites])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        others = dataclasses.replace(runner, nice=GIVES_WAY)
        beside = [
            pool.submit(run, suite, others, None) for suite in suites if suite not in ON_CLOUD
        ]
        counts = [run(suite, runner, cloud) for suite in suites if suite in ON_CLOUD]
        return total([*counts, *(one.result() for one in beside)])


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Suites that exist, or folders."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'suites',
        nargs='*',
        metavar='SUITE',
        help=f'{", ".join(SUITES)} (the default: these), {", ".join(LONGER)}, or a folder of tests',
    )
    parser.add_argument(
        '-v',
        '--verbose',
        action='store_true',
        help='show each test that passed too, with its output',
    )
    parser.add_argument(
        '--results',
        type=pathlib.Path,
        default=ROOT / '.stestr',
        help="folder of stestr's repositories",
    )
    found = parser.parse_args(argv)
    for name in found.suites:
        if name not in {*SUITES, *LONGER} and not pathlib.Path(name).is_dir():
            known = ', '.join((*SUITES, *LONGER))
            parser.error(f'no suite or folder is named {name}; there are {known}')
    found.suites = found.suites or list(SUITES)
    return found


def main(argv: Sequence[str]) -> int:
    """0 only if something ran and nothing failed."""
    asked, start = arguments(argv), time.monotonic()
    os.environ['PATH'] = f'{BIN}{os.pathsep}{os.environ["PATH"]}'
    told = signals.told(command=True)
    runner = Runner(Children(), asked.results.resolve(), aloud=asked.verbose)
    clouds = Clouds()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # signals are the main thread's
        done = pool.submit(run_in_turn, asked.suites, runner, clouds)
        done.add_done_callback(lambda _: told.end())
        told.wait()
        if told.interrupted is not None:
            runner.children.interrupt()
        clouds.end()
    if told.interrupted is not None:
        return signals.report(PROGRAM, told.interrupted)
    count = done.result()
    say(
        f'all in {time.monotonic() - start:.0f} s'
        + (f'; {count.failed} failed:' if count.failed else ''),
        '\n'.join(count.failures),
    )
    print(count, flush=True)
    return 1 if count.failed or not count.passed else 0


if __name__ == '__main__':
    signals.end_at_once(PROGRAM)
    sys.exit(main(sys.argv[1:]))
