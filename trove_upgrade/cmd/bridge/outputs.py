# SPDX-License-Identifier: Apache-2.0
"""Files that a command writes for an operator."""

import os
import pathlib
import sys
import tempfile

STDOUT = '-'


def write(path: str, text: str) -> None:
    """Write a file whole or not at all, for this account alone, as causes may name addresses; `-`
    is stdout.
    """
    if path == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    target = pathlib.Path(path)
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
