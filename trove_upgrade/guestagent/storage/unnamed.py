# SPDX-License-Identifier: Apache-2.0
"""Files without a name, until they are whole: the kernel frees one when the process that writes it
has gone, so that nothing is left over, and no other user can open it.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

#: So much is on its way to the disk at once: what others write there waits no longer for it.
_SYNC_BYTES = 8 << 20


@contextlib.contextmanager
def file(directory: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Give a file on the file system of `directory`, for writing and reading; root's alone.

    :raises OSError: EOPNOTSUPP and others: this file system has no files without a name.
    """
    flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
    with os.fdopen(os.open(directory, flags, 0o600), 'w+b') as stream:
        yield stream


def write(
    stream: BinaryIO,
    chunks: Iterable[bytes],
    limit_bytes: int,
    synced: Callable[[], None] = lambda: None,
) -> tuple[str, int]:
    """Write all of `chunks`, and return the sha256 and the size of it.  `synced` is called whenever
    what was written has come to the disk, and may raise.

    :raises OSError: it cannot be written.
    :raises TooLong: there is more than `limit_bytes`.
    """
    digest, size, unsynced = hashlib.sha256(), 0, 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit_bytes:
            raise TooLong(f'it has more than {limit_bytes} bytes')
        digest.update(chunk)
        stream.write(chunk)
        unsynced += len(chunk)
        if unsynced >= _SYNC_BYTES:
            unsynced = 0
            stream.flush()
            os.fdatasync(stream.fileno())
            synced()
    stream.flush()
    return digest.hexdigest(), size


class TooLong(ValueError):
    """Error of what would not end where it should."""


def link(stream: BinaryIO, name: str, directory: int) -> None:
    """Give a file its name in the directory that a descriptor has open; what had the name goes.
    Durable.

    :raises OSError: it cannot be done; what had the name may have gone.
    """
    os.fsync(stream.fileno())
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
    # with a descriptor of a directory Python follows the link of /proc (linkat), without one not
    os.link(f'/proc/self/fd/{stream.fileno()}', name, dst_dir_fd=directory, follow_symlinks=True)
    os.fsync(directory)
