# SPDX-License-Identifier: Apache-2.0
"""`python3 -m lab.bare [--keep] [TARGET ...]`: make targets on a bare machine, cold;
by default demo, then test.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from lab import errors, preflight
from lab.bare import machine, registries
from lab.bare.place import Place
from lab.commands import HostCommands
from lab.images import apt
from lab.progress import Progress
from trove_upgrade import signals

PROGRAM = 'make bare'
TARGETS = ('demo', 'test')


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where every target ended well; the last line states how each ended."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument(
        '--keep', action='store_true', help='leave the files of the bare machine for a look'
    )
    parser.add_argument('targets', nargs='*', default=list(TARGETS), metavar='TARGET')
    arguments = parser.parse_args(argv)
    if not preflight.Machine().is_root():
        print(preflight.NOT_ROOT, file=sys.stderr)
        return 1
    return signals.run(PROGRAM, lambda: _run(arguments.targets, keep=arguments.keep))


def _run(targets: Sequence[str], *, keep: bool) -> int:
    try:
        taken = registries.taken(os.environ, apt.host_options(HostCommands()))
        bare = machine.BareMachine(Place.from_environ(), taken, Progress(), machine.to_stdout)
        endings = bare.run(targets, keep=keep)
    except errors.LabError as error:
        print(f'{PROGRAM}: {error}', file=sys.stderr)
        return 1
    print(f'bare machine: {"; ".join(str(one) for one in endings)}', flush=True)
    return 0 if all(one.exit_code == 0 for one in endings) else 1


if __name__ == '__main__':
    signals.end_at_once(PROGRAM)
    sys.exit(main())
