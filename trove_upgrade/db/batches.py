# SPDX-License-Identifier: Apache-2.0
"""Lists of ids, as long as a statement takes them."""

from collections.abc import Iterator, Sequence

_IDS = 500


def of_ids(ids: Sequence[str]) -> Iterator[list[str]]:
    """Cut `ids` into lists of 500 at most, in their order."""
    for first in range(0, len(ids), _IDS):
        yield list(ids[first : first + _IDS])
