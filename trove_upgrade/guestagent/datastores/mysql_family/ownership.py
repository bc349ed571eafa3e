# SPDX-License-Identifier: Apache-2.0
"""Whose the data directory is: by name, as numbers differ between images."""
import os
import pathlib
import pwd

from trove_upgrade.domain import exceptions


def give(data_directory: pathlib.Path, user: str) -> None:
    """Give the directory and all below to `user` and its group, links themselves and not what they lead to.

    Walks only if some owner differs at the top two levels or below; a second run changes nothing.

    :raises StepFailed: DATABASE_USER_MISSING; this image has no such user.
    """
    try:
        account = pwd.getpwnam(user)
    except KeyError as error:
        reason = (f'The data directory {data_directory} cannot be given to {user}: this image has no such user. '
                  f'Install the database server in the image.')
        raise exceptions.StepFailed(reason, 'DATABASE_USER_MISSING') from error
    _own(data_directory, account.pw_uid, account.pw_gid)
    for directory, directories, files in os.walk(data_directory):
        for name in (*directories, *files):
            _own(pathlib.Path(directory) / name, account.pw_uid, account.pw_gid)


def _own(path: pathlib.Path, uid: int, gid: int) -> None:
    status = path.lstat()
    if status.st_uid != uid:
        os.chown(path, uid, gid, follow_symlinks=False)
