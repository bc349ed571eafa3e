# SPDX-License-Identifier: Apache-2.0
"""Numbers among the arguments: what cannot be meant is a usage error before anything is connected
to.
"""

import argparse

#: 30 days: what is longer is a slip of the finger, and some clocks would overflow.
_LONGEST_SECONDS = 30 * 86400
#: What the databases and their drivers take as a number of rows.
_MOST_ROWS = 2**31 - 1


def rows(word: str) -> int:
    """A number of rows, at least 1."""
    if not (
        word.isascii()
        and word.isdecimal()
        and len(word) <= len(str(_MOST_ROWS))
        and 1 <= int(word) <= _MOST_ROWS
    ):
        raise argparse.ArgumentTypeError(f'a whole number from 1 to {_MOST_ROWS}, not {word!r}')
    return int(word)


def seconds(word: str) -> float:
    """A length of time, 0 or more."""
    try:
        found = float(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'a number of seconds, not {word!r}') from error
    if not 0 <= found <= _LONGEST_SECONDS:  # not a number is neither
        raise argparse.ArgumentTypeError(
            f'a number of seconds from 0 to {_LONGEST_SECONDS}, not {word!r}'
        )
    return found
