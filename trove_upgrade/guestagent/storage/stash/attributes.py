# SPDX-License-Identifier: Apache-2.0
"""Mode and extended attributes of what comes from a root disk that may have been taken over: it can
be read and lends no rights.
"""

import base64
import contextlib
import os
import struct
from collections.abc import Mapping

from trove_upgrade.guestagent.storage.stash.manifest import Entry, EntryKind

MODE_OF_FILES, MODE_OF_DIRECTORIES = 0o666, 0o777
_STICKY, _OTHERS_WRITE, _OF_THE_GROUP = 0o1000, 0o002, 0o070
#: All that programs may note of a file.  The other classes lend rights, or mean something to the
#: kernel.  Source: xattr(7).
_HARMLESS = 'user.'
#: Source: acl(5), and the kernel's posix_acl_xattr.h: a version, then tag, rights and number of
#: each entry.
ACCESS_LIST = 'system.posix_acl_access'
_VERSION, _ENTRY = struct.Struct('<I'), struct.Struct('<HHI')
_GROUP, _MASK = 0x04, 0x10


def mode(entry: Entry) -> int:
    """Return the mode of a file or a directory: nothing to run, no set-uid, no set-gid, and no
    rights that a mask seems to give.
    """
    found = entry.mode
    if ACCESS_LIST in entry.xattrs:
        found = found & ~_OF_THE_GROUP | _rights_of_the_group(entry.xattrs) << 3
    return of_file(found) if entry.kind is EntryKind.FILE else of_directory(found)


def of_file(found: int) -> int:
    """Return `found` without what makes a file a program."""
    return found & MODE_OF_FILES


def of_directory(found: int) -> int:
    """Return `found` without set-gid; where all may write, none may remove what is another's."""
    return found & (MODE_OF_DIRECTORIES | _STICKY) | (_STICKY if found & _OTHERS_WRITE else 0)


def set_extended(place: str | int, entry: Entry) -> None:
    """Give `place`, a path or a descriptor, those that lend no rights.

    :raises OSError: the file system has no place for them.
    """
    for name, value in entry.xattrs.items():
        if name.startswith(_HARMLESS):
            os.setxattr(
                place,
                name,
                base64.b64decode(value),
                follow_symlinks=isinstance(place, int),
            )


def _rights_of_the_group(xattrs: Mapping[str, str]) -> int:
    """Return those of the owning group: where there is an access list, the mode has its mask
    instead.  None of a list that cannot be read.
    """
    found: dict[int, int] = {}
    with contextlib.suppress(ValueError, struct.error):
        raw = base64.b64decode(xattrs[ACCESS_LIST])
        found = {tag: rights for tag, rights, _ in _ENTRY.iter_unpack(raw[_VERSION.size :])}
    return found.get(_GROUP, 0) & found.get(_MASK, 0o7) & 0o7
