# SPDX-License-Identifier: Apache-2.0
"""Owners of the server's files on the volume: by name, as numbers differ between images."""

import contextlib
import os
import pathlib
import pwd

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.machine import untrusted_files


def give(data_directory: pathlib.Path, user: str) -> None:
    """Give all of the server's on the volume to `user` and its group: the data directory, and what
    else its former user had there.

    Links are given themselves and not what they lead to.  A second run changes nothing.

    :raises StepFailed: DATABASE_USER_MISSING; this image has no such user.
    """
    try:
        account = pwd.getpwnam(user)
    except KeyError as error:
        reason = (
            f'The data directory {data_directory} cannot be given to {user}: this image has no '
            'such user. Install the database server in the image.'
        )
        raise exceptions.StepFailed(reason, 'DATABASE_USER_MISSING') from error
    give_beside(data_directory, account.pw_uid, account.pw_gid)
    for _, directories, files, descriptor in untrusted_files.walk(data_directory):
        for name in ('.', *directories, *files):
            _give(name, descriptor, None, account.pw_uid, account.pw_gid)


def give_beside(data_directory: pathlib.Path, uid: int, gid: int) -> None:
    """Give what the owner of the data directory owns beside it on the volume, such as binary logs,
    to `uid` and `gid`.

    It comes before the data directory changes hands, as that tells the former owner.  Root's stays
    root's.
    """
    former = untrusted_files.owner_of(data_directory)
    if former in {0, uid}:
        return
    with untrusted_files.directory(data_directory.parent) as volume:
        for name in os.listdir(volume):  # noqa: PTH208 - below the descriptor
            if name == data_directory.name:
                continue
            with contextlib.suppress(FileNotFoundError):  # it has gone since it was listed
                for _, directories, files, descriptor in untrusted_files.walk(name, below=volume):
                    for inner in (*directories, *files):
                        _give(inner, descriptor, former, uid, gid)
                _give(name, volume, former, uid, gid)


def _give(name: str, below: int, former: int | None, uid: int, gid: int) -> None:
    with contextlib.suppress(FileNotFoundError):  # it has gone since it was listed
        owner = os.stat(name, dir_fd=below, follow_symlinks=False).st_uid
        if owner != uid and former in {None, owner}:
            os.chown(name, uid, gid, dir_fd=below, follow_symlinks=False)
