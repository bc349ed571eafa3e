# SPDX-License-Identifier: Apache-2.0
"""The list of data files: names, sizes and times at the clean stop, looked at again before the new
server's first start.

A difference means that something has written in between, and then no checksum taken before counts.
"""

import contextlib
import json
import os
import pathlib
import stat

from trove_upgrade.guestagent.machine import untrusted_files

_NAMED = 5


def listing(data_directory: pathlib.Path) -> bytes:
    """All plain files below `data_directory` as JSON, but those deeper than a server keeps any; odd
    bytes in names are escaped.
    """
    files: dict[str, list[int]] = {}
    for above, _, names, descriptor in untrusted_files.walk(
        data_directory, levels=untrusted_files.LEVELS
    ):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    files['/'.join((*above, name))] = [status.st_size, status.st_mtime_ns]
    return json.dumps(files, sort_keys=True).encode('ascii')


def differences(before: bytes, data_directory: pathlib.Path) -> list[str]:
    """Sentences on what is not as it was; at most a few, then how many more."""
    old, new = json.loads(before), json.loads(listing(data_directory))
    found = [f'{name!r} is gone' for name in sorted(old.keys() - new.keys())]
    found += [f'{name!r} is new' for name in sorted(new.keys() - old.keys())]
    found += [
        f'{name!r} has changed'
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    ]
    if len(found) > _NAMED:
        return [*found[:_NAMED], f'{len(found) - _NAMED} more']
    return found
