# SPDX-License-Identifier: Apache-2.0
"""Pieces that are read and hashed while those before them are sent: on two processors neither
waits for the other.
"""

import collections
import contextlib
from collections.abc import Generator, Iterator
from concurrent import futures

#: Pieces in memory that are not sent yet.
_DEPTH = 2


@contextlib.contextmanager
def of(pieces: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """Give the same pieces in their order, each made ahead by one thread; what making one raises
    is raised where it would have been given.

    No piece is made any more once the context has ended.
    """
    with contextlib.closing(_given(pieces)) as given:
        yield given


def _given(pieces: Iterator[bytes]) -> Generator[bytes, None, None]:
    pool = futures.ThreadPoolExecutor(1, thread_name_prefix='read-ahead')
    try:
        waiting = collections.deque(pool.submit(next, pieces, None) for _ in range(_DEPTH))
        while (piece := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, pieces, None))
            yield piece
    finally:
        pool.shutdown(cancel_futures=True)
