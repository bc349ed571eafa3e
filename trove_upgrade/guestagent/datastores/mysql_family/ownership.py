# SPDX-License-Identifier: Apache-2.0
"""Whose the data directory is: by name, as numbers differ between images."""
import contextlib
import os
import pathlib
import pwd

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent import foreign


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
    for _, directories, files, descriptor in foreign.walk(data_directory):
        for name in ('.', *directories, *files):
            with contextlib.suppress(FileNotFoundError):   # it has gone since it was listed
                if os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_uid != account.pw_uid:
                    os.chown(name, account.pw_uid, account.pw_gid, dir_fd=descriptor, follow_symlinks=False)
