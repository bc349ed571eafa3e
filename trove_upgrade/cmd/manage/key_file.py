# SPDX-License-Identifier: Apache-2.0
"""A new file with a guest's key, for its owner alone.  A file that is there already is never
written over.
"""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator

from trove_upgrade.domain import exceptions
from trove_upgrade.sealing.keys import GuestKey

_MODE = 0o600


class KeyFileNotWritten(exceptions.TroveUpgradeError):
    """The file is there already, or cannot be made."""

    code = 'GUEST_KEY_FILE_NOT_WRITTEN'
    template = (
        'The key of a guest cannot be written to {path}, and none was made: {found}. Name '
        'a file that does not exist, in a directory that can be written.'
    )


@contextlib.contextmanager
def made(path: str) -> Iterator[Callable[[GuestKey], None]]:
    """Make the file, empty; call what is handed out with its content.  It is removed again when the
    block raises.

    :raises KeyFileNotWritten: it cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except (OSError, ValueError) as error:
        found = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise KeyFileNotWritten(path=path, found=found) from error

    def write(key: GuestKey) -> None:
        with os.fdopen(os.dup(descriptor), 'wb') as stream:
            stream.write(key.to_file())
            stream.flush()
            os.fsync(stream.fileno())

    try:
        os.fchmod(descriptor, _MODE)  # whatever the umask leaves
        yield write
    except BaseException:
        pathlib.Path(path).unlink()
        raise
    finally:
        os.close(descriptor)
