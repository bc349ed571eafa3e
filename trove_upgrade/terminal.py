# SPDX-License-Identifier: Apache-2.0
"""Text of rows, guests and tenants on an operator's terminal."""


def printable(text: str) -> str:
    """Return `text` as one line, with what a terminal would obey, or would not show, as escapes.

    These are control characters, line separators, marks of writing direction, and lone surrogates, which could not be
    printed at all. A space is the only separator that stays.
    """
    if text.isprintable():
        return text
    return ''.join(
        one if one.isprintable() else one.encode('unicode_escape').decode('ascii') for one in text
    )


def printable_lines(text: str) -> str:
    """Return `text` with the lines and tabs of its own, each line printable."""
    return '\n'.join(printable(line.expandtabs()) for line in text.split('\n'))
