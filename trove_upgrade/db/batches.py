# SPDX-License-Identifier: Apache-2.0
"""Lists of ids, as long as a statement takes them."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar('T')
_IDS = 500


def of_ids(ids: Sequence[T]) -> Iterator[list[T]]:
    """Cut `ids`, or rows that have one each, into lists of 500 at most, in their order."""
    for first in range(0, len(ids), _IDS):
        yield list(ids[first : first + _IDS])
