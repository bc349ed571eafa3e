# SPDX-License-Identifier: Apache-2.0
"""Writing to the disk of what another program writes, while it does so.

A container engine makes a container's root by mounting and unmounting it, and with that the kernel
waits for the whole file system: for all of the image that was unpacked just before.  Source: Linux,
fs/super.c, `generic_shutdown_super`, and fs/overlayfs/super.c, `ovl_sync_fs`.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

_EVERY_SECONDS = 0.3
#: A disk that takes longer holds up what comes next, too, but no deadline of a job is seen here.
_END_SECONDS = 2.0


@contextlib.contextmanager
def meanwhile(sync: Callable[[], None] = os.sync) -> Iterator[None]:
    """Sync all file systems again and again until the context ends.

    Not the one alone: `syncfs` takes away the error of a write, which it tells once, from a call
    that makes files of ours durable.  Source: Linux, fs/sync.c and lib/errseq.c.
    """
    ended = threading.Event()

    def write_back() -> None:
        while not ended.wait(_EVERY_SECONDS):
            sync()

    thread = threading.Thread(target=write_back, name='write-back', daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_END_SECONDS)
