# SPDX-License-Identifier: Apache-2.0
"""Lock of a directory of the cache: one process at a time makes what is kept in it."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(cache: Path, tell: Callable[[str], None], name: str = 'lock') -> Iterator[None]:
    """Wait until no other process has the lock of this name, and hold it.  The directory is made
    where it is not there; `tell` is called where it has to be waited for.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / name).open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f'waiting for another process that fills {cache}')
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
