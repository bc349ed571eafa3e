# SPDX-License-Identifier: Apache-2.0
"""Files that a command writes for an operator."""

import io
import os
import pathlib
import stat
import sys
import tempfile

STDOUT = '-'


def write(path: str, text: str) -> None:
    """Write a file whole or not at all, for this account alone, as causes may name addresses; `-`
    is stdout.  A link stays, and its file is written; so does what is no regular file, such as a
    device or a pipe.
    """
    if path == STDOUT:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding='utf-8', newline='')
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    named = pathlib.Path(path)
    if not _is_regular(named):
        with named.open('w', encoding='utf-8', newline='') as sink:
            sink.write(text)
        return
    target = named.resolve()
    number, name = tempfile.mkstemp(prefix=f'.{target.name[:100]}.', dir=target.parent)  # 0600
    beside = pathlib.Path(name)
    try:
        with os.fdopen(number, 'w', encoding='utf-8', newline='') as sink:
            sink.write(text)
            sink.flush()
            os.fsync(number)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _is_regular(path: pathlib.Path) -> bool:
    """Return whether a path leads to a file, or to none yet."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True
