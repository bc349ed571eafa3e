# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-lab`, also as `python -m lab`: takes charge of the signals, loads the program."""

import sys

from trove_upgrade import signals

PROGRAM = 'trove-upgrade-lab'


def main() -> int:
    """Run a command of the laboratory; return its exit code."""
    signals.end_at_once(PROGRAM)
    from lab.console import main as run

    return run()


if __name__ == '__main__':
    sys.exit(main())
