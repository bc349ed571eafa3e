# SPDX-License-Identifier: Apache-2.0
"""Owners of the files that a container sees: by number, which is the same inside and outside."""

import contextlib
import os
import pathlib

from trove_upgrade.guestagent.machine import durable, untrusted_files


def make(directory: pathlib.Path, uid: int, gid: int) -> None:
    """Let `directory` be there and belong to the container's user.  Safe to repeat."""
    durable.make_directory(directory)
    os.chown(directory, uid, gid, follow_symlinks=False)


def give(top: pathlib.Path, uid: int, gid: int) -> None:
    """Give `top` and all below to the container's user, links themselves and not what they lead
    to.  Safe to repeat.
    """
    for _, directories, files, descriptor in untrusted_files.walk(top):
        for name in ('.', *directories, *files):
            with contextlib.suppress(FileNotFoundError):  # it has gone since it was listed
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if (status.st_uid, status.st_gid) != (uid, gid):
                    os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)
