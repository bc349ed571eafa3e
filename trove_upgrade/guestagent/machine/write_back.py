# SPDX-License-Identifier: Apache-2.0
"""Writing to the disk of what another program writes, while it does so.

A container engine makes a container's root by mounting and unmounting it, and with that the kernel
waits for the whole file system: for all of the image that was unpacked just before.  Source: Linux,
fs/super.c, `generic_shutdown_super`, and fs/overlayfs/super.c, `ovl_sync_fs`.
"""

import contextlib
import pathlib
import threading
from collections.abc import Callable, Iterator

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.machine import durable

LOG = logs.get_logger(__name__)

_EVERY_SECONDS = 0.3


@contextlib.contextmanager
def meanwhile(
    directory: pathlib.Path, sync: Callable[[str], None] = durable.sync_file_system
) -> Iterator[None]:
    """Sync the file system of `directory` again and again until the context ends.

    Where that cannot be done the writes come to the disk as they would without it.
    """
    ended = threading.Event()

    def write_back() -> None:
        try:
            while not ended.wait(_EVERY_SECONDS):
                sync(str(directory))
        except OSError as error:
            LOG.info('What is written below %s is not synced meanwhile: %s', directory, error)

    thread = threading.Thread(target=write_back, name='write-back', daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
