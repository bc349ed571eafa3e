# SPDX-License-Identifier: Apache-2.0
"""The tree of commands of a program: what can be typed after its name."""

import argparse
from collections.abc import Iterator
from typing import Any


class Commands:
    """Commands that a parser takes, one of them with each run."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._added = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
        self._groups: dict[str, Commands] = {}

    def add(
        self, name: str, text: str, *, description: str | None = None, **options: Any
    ) -> argparse.ArgumentParser:
        """Add a command.  The list of commands says `text` of it; so does its own help, where that
        has no `description`.
        """
        return self._added.add_parser(
            name,
            help=text,
            description=description or f'{text[0].upper()}{text[1:]}.',
            **options,
        )

    def add_group(self, name: str, text: str, *, description: str) -> 'Commands':
        """Add a word that commands stand behind."""
        self._groups[name] = Commands(self.add(name, text, description=description))
        return self._groups[name]

    def names(self) -> Iterator[str]:
        """Yield each command as it is typed, with the words that it stands behind."""
        for name in self._added.choices:
            group = self._groups.get(name)
            if group is None:
                yield name
            else:
                yield from (f'{name} {below}' for below in group.names())
