# SPDX-License-Identifier: Apache-2.0
"""Answers of a command on a terminal, and what is wrong with its arguments."""

from collections.abc import Sequence
from typing import TextIO

from trove_upgrade import terminal


class UsageError(Exception):
    """The arguments do not fit each other."""


def print_line(text: str, stream: TextIO | None = None) -> None:
    """One line at once, whatever rows, guests or tenants have put into `text`; on stdout unless
    `stream` is given.
    """
    print(terminal.printable(text), file=stream, flush=True)


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as their widest cell, each row one line; None is a dash."""
    lines = [
        list(header),
        *[['-' if cell is None else terminal.printable(str(cell)) for cell in row] for row in rows],
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        print(
            '  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )
