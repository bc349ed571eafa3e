# SPDX-License-Identifier: Apache-2.0
"""Names beside files' places: what a restore brings is written under one first, and a restore that
is killed leaves them.
"""

import contextlib
import os
import re
import secrets

_BEGINNING = '.trove-upgrade-'
_NAME = re.compile(rf'{re.escape(_BEGINNING)}[0-9a-f]{{16}}-\d+')


def prefix() -> str:
    """Return what the names of one restore begin with; a number makes it a name.  An intruder who
    has written the manifest cannot know it.
    """
    return f'{_BEGINNING}{secrets.token_hex(8)}-'


def is_one(name: str) -> bool:
    """Return whether a file of this name is one that some restore has written."""
    return _NAME.fullmatch(name) is not None


def remove_left(directory: str, own_prefix: str) -> None:
    """Remove what killed restores have left in a directory: it has the secrets of the files that it
    was to become.  What begins with `own_prefix` stays: links may lead to one directory by two
    names.

    :raises OSError: it cannot be removed, or the directory cannot be read.
    """
    for name in filter(is_one, os.listdir(directory)):  # noqa: PTH208 - odd bytes stay as they are
        if not name.startswith(own_prefix):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(f'{directory}/{name}')  # noqa: PTH108 - odd bytes stay as they are
