# SPDX-License-Identifier: Apache-2.0
"""Names in directories that servers, package managers and operators change while they are listed.

What has gone when it is looked at was not there: no error.  Path.glob and Path.rglob raise
FileNotFoundError for a directory that is removed while they are in it (Python 3.11).
"""

import contextlib
import errno
import fnmatch
import os
import pathlib
from collections.abc import Iterator

#: Errors of a name that has gone, or stands for another thing than a moment ago; ESRCH: below
#: /proc, of a process that has ended.
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESRCH, errno.ESTALE})


@contextlib.contextmanager
def vanishing() -> Iterator[None]:
    """Leave the block where what it looks at has gone.  Other errors are raised."""
    try:
        yield
    except OSError as error:
        if error.errno not in GONE:
            raise


def matching(directory: pathlib.Path, pattern: str = '*') -> list[pathlib.Path]:
    """Return what is in `directory` under a name like `pattern`, sorted; nothing where there is no
    such directory.

    :raises OSError: it is there and cannot be read.
    """
    names: list[str] = []
    with vanishing():
        names = os.listdir(directory)  # noqa: PTH208 - names are compared, not paths
    return sorted(directory / name for name in fnmatch.filter(names, pattern))
