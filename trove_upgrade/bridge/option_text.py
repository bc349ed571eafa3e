# SPDX-License-Identifier: Apache-2.0
"""Option files of any age: read without the lines that are wrong, and written for oslo.config."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from oslo_config import iniparser

DEFAULT = 'DEFAULT'
#: Group of what stands below a heading that is none: oslo.config would refuse the file.
_NOWHERE = '\0'
#: As oslo.config replaces names in values: `$$` and `\$` are a dollar.
_REFERENCE = re.compile(
    r'\\\$|\$(?:\$|(?P<plain>[_a-z][._a-z0-9]*)|\{(?P<braced>[_a-z][._a-z0-9]*)\})', re.IGNORECASE
)
_DEEPEST = 10

#: Values by group and name; of an option that is given several times, all in order.
Options = dict[str, dict[str, list[str]]]


class _Reader(iniparser.BaseParser):
    """oslo.config's own reader, which goes on behind a line that is none."""

    def __init__(self) -> None:
        self.options: Options = {}
        self.left_out = 0  #: lines
        self._group = DEFAULT

    def assignment(self, key: str, value: list[str]) -> None:
        if self._group != _NOWHERE:
            self.options.setdefault(self._group, {}).setdefault(key, []).append('\n'.join(value))

    def new_section(self, section: str) -> None:
        self._group = section

    def error_invalid_assignment(self, line: str) -> Any:  # noqa: ARG002 - the base names it
        return '', []

    def error_empty_key(self, line: str) -> Any:  # noqa: ARG002 - the base names it
        """Count a line that is no assignment, or one without a name."""
        self.left_out += 1

    def error_unexpected_continuation(self, line: str) -> Any:  # noqa: ARG002 - the base names it
        self.left_out += 1

    def error_no_section_end_bracket(self, line: str) -> Any:  # noqa: ARG002 - the base names it
        self.left_out += 1
        return _NOWHERE

    def error_no_section_name(self, line: str) -> Any:  # noqa: ARG002 - the base names it
        self.left_out += 1
        return _NOWHERE


def read(texts: Iterable[str]) -> tuple[Options, int]:
    """Return the options of several files, the later ones last, and how many lines are none."""
    options: Options = {}
    left_out = 0
    for text in texts:
        reader = _Reader()
        reader.parse(text.replace('\r\n', '\n').replace('\r', '\n').split('\n'))
        left_out += reader.left_out
        for group, found in reader.options.items():
            for name, values in found.items():
                options.setdefault(group, {}).setdefault(name, []).extend(values)
    return options, left_out


class Resolved:
    """Options with the names in their values replaced, as the old agent saw them."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def value(self, group: str, name: str) -> str | None:
        """Return the last value; None where there is none."""
        return self._value(group, name, _DEEPEST)

    def values(self, group: str, name: str) -> Sequence[str]:
        """Return all values in order."""
        raw = self._options.get(group, {}).get(name, ())
        return [self._replaced(group, one, _DEEPEST) for one in raw]

    def names(self, group: str) -> Iterable[str]:
        """Return the names of a group."""
        return self._options.get(group, {}).keys()

    def _value(self, group: str, name: str, depth: int) -> str | None:
        found = self._options.get(group, {}).get(name)
        return self._replaced(group, found[-1], depth) if found else None

    def _replaced(self, group: str, text: str, depth: int) -> str:
        """A name that leads nowhere, or to itself, stays as it is."""

        def replacement(match: re.Match[str]) -> str:
            name = match['plain'] or match['braced']
            if name is None:
                return '$'
            there, _, last = name.partition('.')
            places = [(there, last) if last else (group, name), (DEFAULT, name)]
            for place in places if depth else ():
                value = self._value(*place, depth - 1)
                if value is not None:
                    return value
            return match[0]

        return _REFERENCE.sub(replacement, text)


def literal(value: str) -> str:
    """Return a value so written that oslo.config reads it back as it is."""
    return written(value.replace('$', '\\$'))


def written(value: str) -> str:
    """Return a value that was read, as a file has it; names in it stay names."""
    first, *others = value.split('\n')
    quoted = first != first.strip() or (first[:1] in {'"', "'"} and first[0] == first[-1])
    return '\n  '.join([f'"{first}"' if quoted else first, *others])


def write(groups: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """Return the text of a file; values are written as they are."""
    parts = []
    for group, options in groups.items():
        lines = [f'{name} = {value}' for name, values in options.items() for value in values]
        if lines:
            parts.append('\n'.join([f'[{group}]', *lines]) + '\n')
    return '\n'.join(parts)
