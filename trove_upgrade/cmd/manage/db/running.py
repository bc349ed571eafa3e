# SPDX-License-Identifier: Apache-2.0
"""Common parts of commands that change the schema: patience, progress, and no word of the URL's
password.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator

from trove_upgrade.cmd.manage import numbers
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.db.migrations.data.progress import reporter
from trove_upgrade.db.migrations.runner import Options, Runner

_DEFAULTS = Options()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of any run."""
    parser.add_argument(
        '--wait',
        type=numbers.seconds,
        default=_DEFAULTS.wait_seconds,
        metavar='SECONDS',
        help='how long to wait for another run to end (default: %(default)g); then exit 7',
    )
    parser.add_argument(
        '--lock-wait',
        type=numbers.seconds,
        default=_DEFAULTS.lock_seconds,
        metavar='SECONDS',
        help='how long a statement waits for a lock of a table, while all other queries of it '
        'wait behind (default: %(default)g); it is tried again after a pause',
    )


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run that moves rows."""
    parser.add_argument(
        '--batch-size',
        type=numbers.rows,
        default=_DEFAULTS.batch_size,
        metavar='N',
        help='rows in one transaction (default: %(default)s)',
    )
    parser.add_argument(
        '--sleep',
        type=numbers.seconds,
        default=0.0,
        metavar='SECONDS',
        help='pause between two batches (default: %(default)g)',
    )


def plain_runner(run: Context) -> Runner:
    """Return a runner for commands that only look; it reports nothing."""
    return Runner(run.repositories.database.engine)


@contextlib.contextmanager
def runner(run: Context, arguments: argparse.Namespace) -> Iterator[Runner]:
    """Make a runner that says what it does, each in one line on stdout."""
    with reporter(sys.stdout) as shown:
        yield Runner(
            run.repositories.database.engine,
            options=options_of(arguments),
            say=shown.waiting,
            progress=shown.progress,
        )


def options_of(arguments: argparse.Namespace) -> Options:
    """Return what `add_options`, and `add_data_options` where it was called, have read."""
    return Options(
        wait_seconds=arguments.wait,
        lock_seconds=arguments.lock_wait,
        batch_size=getattr(arguments, 'batch_size', _DEFAULTS.batch_size),
        sleep_seconds=getattr(arguments, 'sleep', 0.0),
    )
