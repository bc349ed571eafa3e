# SPDX-License-Identifier: Apache-2.0
"""The highest number of the requests that this guest has taken, on its root disk before a request
is carried out.

A file of one size, written in place: one `fdatasync` for each request.  What is torn, short or not
of its form counts as unknown, and numbers begin at 0 again.  That lets no old request in: each
start of the agent draws a session of its own, and within one start the number is held in memory,
whatever the disk has.
"""

import errno
import os
import pathlib
import stat
import threading
import zlib

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.codes import Code
from trove_upgrade.guestagent.machine import durable, untrusted_files
from trove_upgrade.sealing import messages

LOG = logs.get_logger(__name__)

_DIGITS = 19
_BYTES = _DIGITS + 1 + 8 + 1
_FLAGS = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Sequence:
    """Numbers of requests that were taken, safe to share between threads: of two requests with one
    number, one is taken.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """`path`: in a directory that is root's alone; made at the first request."""
        self._path = path
        self._lock = threading.Lock()
        self._highest = _read(path)

    @property
    def highest(self) -> int:
        """The highest number that was taken; 0: none."""
        return self._highest

    def take(self, number: int) -> bool:
        """Return False unless `number` is above all before it; where it is, it is on the disk when
        this returns.

        :raises StepFailed: MARK_NOT_WRITTEN; the number is used up, and its request must not be
            carried out.
        """
        with self._lock:
            if number <= self._highest:
                return False
            self._highest = number
            try:
                self._write(_record(number))
            except OSError as error:
                raise not_written(self._path, error) from error
        return True

    def _write(self, record: bytes) -> None:
        try:
            descriptor = os.open(self._path, _FLAGS)
        except FileNotFoundError:
            descriptor = None
        if descriptor is not None:
            try:
                status = os.fstat(descriptor)
                if stat.S_ISREG(status.st_mode) and status.st_size == len(record):
                    if os.pwrite(descriptor, record, 0) != len(record):
                        raise OSError(errno.EIO, os.strerror(errno.EIO), str(self._path))
                    os.fdatasync(descriptor)
                    return
            finally:
                os.close(descriptor)
        durable.make_directory(self._path.parent, 0o700)
        durable.write(self._path, record, 0o600)


def not_written(path: pathlib.Path, error: OSError) -> exceptions.StepFailed:
    """Return the refusal of a request that cannot be remembered."""
    return exceptions.StepFailed(
        f'The call was not begun: {path} cannot be written ({error.strerror}). Look at the root '
        'disk of the guest, then try again.',
        Code.MARK_NOT_WRITTEN,
    )


def _record(number: int) -> bytes:
    digits = f'{number:0{_DIGITS}d}'.encode()
    return b'%s %08x\n' % (digits, zlib.crc32(digits))


def _read(path: pathlib.Path) -> int:
    """Read the highest number; 0: there is none, or it is unknown."""
    try:
        with os.fdopen(untrusted_files.open_regular(path), 'rb') as stream:
            found = stream.read(_BYTES + 1)
    except FileNotFoundError:
        return 0
    except OSError as error:
        LOG.warning('%s cannot be read, the number in it counts as unknown: %s', path, error)
        return 0
    digits = found[:_DIGITS]
    if digits.isdigit():
        number = int(digits)
        if found == _record(number) and number <= messages.LARGEST_NUMBER:
            return number
    LOG.warning('%s is not of its form, the number in it counts as unknown', path)
    return 0
