# SPDX-License-Identifier: Apache-2.0
"""Text of rows, guests and tenants where it leaves the product: log, terminal, row,
configuration file.
"""

from collections.abc import Mapping
from typing import Any

#: Mark at the end of a text that was cut.
CUT = '...'


def printable(text: str) -> str:
    """Return `text` as one line, with what a terminal would obey, or would not show, as escapes.

    These are control characters, line separators, marks of writing direction, and lone surrogates,
    which could not be printed at all. A space is the only separator that stays.
    """
    if text.isprintable():
        return text
    return ''.join(
        one if one.isprintable() else one.encode('unicode_escape').decode('ascii') for one in text
    )


def printable_lines(text: str) -> str:
    """Return `text` with the lines and tabs of its own, each line printable."""
    return '\n'.join(printable(line.expandtabs()) for line in text.split('\n'))


def printable_value(value: Any) -> Any:
    """Return a value of JSON with each text and name in it as one printable line.

    Not for what came over the broker and has not been looked at: its depth must be bounded.
    """
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable_value(name): printable_value(inner) for name, inner in value.items()}
    return [printable_value(inner) for inner in value] if isinstance(value, list | tuple) else value


def cut(text: str, longest: int) -> str:
    """Return `text` as one printable line of at most `longest` characters,
    with a mark where it was longer.
    """
    shown = printable(text[: longest + 1])
    if len(text) <= longest and len(shown) <= longest:
        return shown
    return shown[: longest - len(CUT)] + CUT


def is_plain(value: object, longest: int) -> bool:
    """Return whether `value` is a text of one printable line with at most `longest` characters."""
    return isinstance(value, str) and len(value) <= longest and value.isprintable()
