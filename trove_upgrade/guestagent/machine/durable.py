# SPDX-License-Identifier: Apache-2.0
"""Files that are there after a power cut, whole, once a call has returned: written beside, synced,
renamed, directory synced.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from trove_upgrade.guestagent.machine import untrusted_files

#: What is written beside a file has one name, and the threads of RPC calls, jobs and heartbeats
#: write the same files: one at a time. Other processes write none of them (cmd.guestagent: one
#: agent in a guest).
_WRITING = threading.Lock()
#: No document of ours comes near: the longest lists the differences of one comparison.
_JSON_BYTES = 64 << 20
_TELLS_SINCE = (5, 8)


def sync_directory(directory: pathlib.Path) -> None:
    """Make the names in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directories(directories: Iterable[pathlib.Path]) -> None:
    """Make the names in each of them durable; one that another process has removed meanwhile has
    none.
    """
    for directory in directories:
        with contextlib.suppress(FileNotFoundError):
            sync_directory(directory)


def sync_file_system(directory: str) -> None:
    """Make all that was written to the file system of `directory` durable: contents, names,
    owners, modes and times, of every file there, in one call.

    :raises OSError: it cannot be done, or what was written since the last call is lost; the last
        only by a kernel that tells it, see `sync_content`.
    """
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if library.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), directory)
    finally:
        os.close(descriptor)


def tells_of_lost_writes(kernel_release: str) -> bool:
    """Return whether `sync_file_system` tells of a write that has failed with this kernel.  Source:
    syncfs(2): it does so since Linux 5.8.
    """
    found = re.match(r'(\d+)\.(\d+)', kernel_release)
    return found is not None and (int(found[1]), int(found[2])) >= _TELLS_SINCE


def sync_content(descriptor: int) -> None:
    """Sync one file where the sync of its file system would not tell that its content is lost.

    :raises OSError: it is lost.
    """
    if not tells_of_lost_writes(os.uname().release):
        os.fsync(descriptor)


def make_directory(directory: pathlib.Path, mode: int = 0o755) -> None:
    """Make `directory` and its parents, each one durable in its parent.  Safe to repeat."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=mode)
    directory.chmod(mode)
    sync_directory(directory.parent)


def write(path: pathlib.Path, content: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `content`, all or nothing; the directory must exist.

    :raises OSError: the old content, if there was any, is still there.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        write_below(directory, path.name, content, mode)
    finally:
        os.close(directory)


def write_below(directory: int, name: str, content: bytes, mode: int = 0o644) -> None:
    """Write as `write` does, in the directory that a descriptor has open: a user who may rename it
    leads nothing elsewhere.

    :raises OSError: the old content, if there was any, is still there.
    """
    beside = f'.{name}.new'
    with _WRITING:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=directory)
        descriptor = os.open(
            beside,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
            mode,
            dir_fd=directory,
        )
        with os.fdopen(descriptor, 'wb') as stream:
            os.fchmod(stream.fileno(), mode)  # whatever the umask says
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(beside, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)


def write_json(path: pathlib.Path, document: Mapping[str, Any]) -> None:
    """Replace `path` by `document` as JSON, for its owner alone.  Raises as `write`."""
    write(path, json.dumps(document, sort_keys=True).encode(), 0o600)


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """The document in `path`, never by way of a link, and never of a pipe or a device.

    :raises FileNotFoundError: there is none.
    :raises OSError: it is no plain file.
    :raises ValueError: it is not a JSON object, or longer than any of ours.
    """
    with os.fdopen(untrusted_files.open_regular(path), 'rb') as stream:
        raw = stream.read(_JSON_BYTES + 1)
    if len(raw) > _JSON_BYTES:
        raise ValueError(f'{path} is longer than {_JSON_BYTES} bytes')
    document = json.loads(raw)
    if not isinstance(document, dict):
        raise ValueError(f'{path} holds no JSON object')  # noqa: TRY004 - what is on a disk has no type, only a form
    return document


def remove(path: pathlib.Path) -> None:
    """Remove a file durably.  Safe to repeat."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)
