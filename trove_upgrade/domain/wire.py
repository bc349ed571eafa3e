# SPDX-License-Identifier: Apache-2.0
"""Reading what came over the broker: a guest is another's machine, and nothing of what it says is
taken for a fact of form.

A value of a wrong type that got into a row would be met again by the next taskmanager that works on
the row, for ever.
"""

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from trove_upgrade.domain import tree

#: Characters of one message.  The largest are the facts of a target with all its options; answers
#: have closer bounds.
LARGEST = 8_000_000
#: What the columns for whole numbers hold.
_LARGEST_NUMBER = 2**31 - 1


def fields_of(cls: type[Any], wire: Any) -> dict[str, Any]:
    """The fields of dataclass `cls` in `wire`, each of its type;
    keys that it does not know are dropped.

    Enumerations and times come as text, dataclasses as mappings, and are left to the caller.

    :raises KeyError: a field without a default is missing.
    :raises TypeError: `wire` is no mapping, or a field is of another type.
    :raises ValueError: a number is out of bounds, or the whole is too large.
    """
    if not isinstance(wire, Mapping):
        raise TypeError(f'a mapping was expected, not {type(wire).__name__}')
    tree.require(wire, characters=LARGEST)
    hints = typing.get_type_hints(cls)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.name in wire:
            found[field.name] = _checked(field.name, wire[field.name], hints[field.name])
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise KeyError(field.name)
    return found


def _checked(name: str, value: Any, kind: Any) -> Any:
    if not _fits(value, kind):
        raise TypeError(f'{name} is of type {type(value).__name__}')
    if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
        raise ValueError(f'{name} is out of bounds')
    return value


def _fits(value: Any, kind: Any) -> bool:
    """Text stands for what is no JSON type."""
    if isinstance(kind, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(kind))
    origin = typing.get_origin(kind) or kind
    if origin is collections.abc.Mapping or dataclasses.is_dataclass(origin):
        return isinstance(value, Mapping)
    if origin in {bool, types.NoneType}:
        return isinstance(value, origin)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str)
