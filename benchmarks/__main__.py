# SPDX-License-Identifier: Apache-2.0
"""`make bench` and `make bench-trove`; `python -m benchmarks PART...` for some of it alone,
`trove-patch`, `trove-orchestration`, `trove-reads` and `trove-downtime` included.
"""

import sys
from collections.abc import Sequence

from trove_upgrade import signals

PROGRAM = 'benchmarks'


def main(names: Sequence[str]) -> int:
    """The exit code.  What a signal ends is cleaned up as after a failure."""
    signals.end_at_once(PROGRAM)
    from benchmarks import parts
    from lab import errors

    try:
        return signals.run(PROGRAM, lambda: parts.measure(names))
    except errors.LabError as error:
        print(f'{PROGRAM}: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
