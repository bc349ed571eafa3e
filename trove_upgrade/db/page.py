# SPDX-License-Identifier: Apache-2.0
"""A page of rows, and ids as they come from outside."""

import dataclasses
from typing import Generic, TypeVar

T = TypeVar('T')
_LONGEST_ID = 36


@dataclasses.dataclass(frozen=True)
class Page(Generic[T]):
    """Page of rows, and the marker that asks for those after them; None where there are none."""

    items: tuple[T, ...]
    next_marker: str | None


def plausible_id(value: str) -> bool:
    """Return whether a row of such an id can exist.  Servers refuse, or compare loosely, what is
    not plain text of that length.
    """
    return (
        0 < len(value) <= _LONGEST_ID
        and value.isascii()
        and value.isprintable()
        and ' ' not in value
    )
