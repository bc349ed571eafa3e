# SPDX-License-Identifier: Apache-2.0
"""Nested values that came over the broker: refused or cut before anything
walks them without a limit.

A function that calls itself, `json.dumps` too, ends in RecursionError on a value that
is nested deeply enough.
"""

import math
from collections.abc import Mapping
from typing import Any

from trove_upgrade.domain.printable import CUT, cut, is_plain

#: Levels of mappings and lists in anything that the two sides exchange.  A
#: target's facts have four.
DEEPEST = 16
#: Largest whole number that every database's JSON keeps exact.
LARGEST_NUMBER = 2**63 - 1


class ValueOutOfBounds(ValueError):
    """A value is nested too deeply, too long, or of no form of JSON's.  The text
    holds nothing of the value.
    """


def require(value: Any, *, characters: int, deepest: int = DEEPEST) -> None:
    """Check the form of a value as JSON has it.

    `characters` counts texts, names, and one for each other value, list and mapping.

    :raises ValueOutOfBounds: it is nested more than `deepest` levels, has more characters, or holds
    what is no JSON.
    """
    waiting: list[tuple[Any, int]] = [(value, 0)]
    left = characters
    while waiting:
        current, level = waiting.pop()
        left -= 1
        if isinstance(current, str):
            left -= len(current)
        elif isinstance(current, Mapping | list | tuple):
            if level >= deepest:
                raise ValueOutOfBounds(f'it is nested more than {deepest} levels deep')
            left -= len(current)
            if left >= 0:
                waiting += [(inner, level + 1) for inner in _inner(current)]
        elif not _is_scalar(current):
            raise ValueOutOfBounds('it holds a value that is none of JSON')
        if left < 0:
            raise ValueOutOfBounds(f'it has more than {characters} characters')


def require_plain(value: Any, *, longest: int) -> None:
    """Check that each text and name in `value` is one printable line; call `require` first.

    :raises ValueOutOfBounds: one has a control character or a line separator,
    or is longer than `longest`.
    """
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Mapping | list | tuple):
            waiting += _inner(current)
        elif isinstance(current, str) and not is_plain(current, longest):
            raise ValueOutOfBounds(
                'a text has control characters or line separators, or is too long'
            )


class Bounds:
    """One budget for a value that is kept: the walk cuts what is beyond it, with a mark."""

    def __init__(self, *, characters: int, items: int, longest: int, deepest: int) -> None:
        self._left = characters
        self._items = items
        self._longest = longest
        self._deepest = deepest

    def bounded(self, value: Any, level: int = 0) -> Any:
        """Return a copy with printable texts, within the bounds; what is no JSON becomes a mark."""
        if isinstance(value, Mapping):
            return self._mapping(value, level) if level < self._deepest else CUT
        if isinstance(value, list | tuple):
            return self._list(value, level) if level < self._deepest else CUT
        self._left -= 1
        if isinstance(value, str):
            return self._text(value, self._longest)
        return value if _is_scalar(value) else CUT

    def _text(self, value: str, longest: int) -> str:
        found = cut(value, longest)
        self._left -= len(found)
        return found

    def _mapping(self, value: Mapping[Any, Any], level: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, inner in list(value.items())[: self._items]:
            if self._left <= 0:
                break
            found[self._text(str(name), 64)] = self.bounded(inner, level + 1)
        if len(found) < len(value):
            found[CUT] = f'{len(value) - len(found)} more'
        return found

    def _list(self, value: list[Any] | tuple[Any, ...], level: int) -> list[Any]:
        found: list[Any] = []
        for inner in value[: self._items]:
            if self._left <= 0:
                break
            found.append(self.bounded(inner, level + 1))
        if len(found) < len(value):
            found.append(f'{CUT} {len(value) - len(found)} more')
        return found


def _inner(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> list[Any]:
    return [*value.keys(), *value.values()] if isinstance(value, Mapping) else list(value)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return abs(value) <= LARGEST_NUMBER
    return isinstance(value, float) and math.isfinite(value)
