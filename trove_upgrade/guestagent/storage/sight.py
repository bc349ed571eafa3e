# SPDX-License-Identifier: Apache-2.0
"""Sight of the database's user: the tenant can have the server look at any path that it names.

A report goes to the tenant.  So root's look at a path must tell no more than the server's: of what
is in a directory that the database's user cannot search, reports have one sentence, whether there
is anything or not.
"""

import os
import pathlib
import pwd
import stat
from collections.abc import Collection, Sequence

_LINKS = 40  #: as the kernel follows.  Source: path_resolution(7)
_SEARCH, _LIST = 0o1, 0o4
_NO_USER = -1


class Sight:
    """One user's view of the running root disk, by modes of directories alone: access lists count
    as their masks.
    """

    def __init__(
        self, uid: int, groups: Collection[int], top: pathlib.Path = pathlib.Path('/')
    ) -> None:
        """`top`, a path without links, and what is not below it count as seen."""
        self.uid = uid
        self._groups = frozenset(groups)
        self._top = top

    @classmethod
    def of_number(cls, uid: int, gid: int, top: pathlib.Path = pathlib.Path('/')) -> 'Sight':
        """Sight of a user's number, with the groups of its name, if it has one."""
        try:
            account = pwd.getpwuid(uid)
        except KeyError:
            return cls(uid, (gid,), top)
        return cls(uid, {gid, *os.getgrouplist(account.pw_name, account.pw_gid)}, top)

    @classmethod
    def of_owner(cls, data_directory: pathlib.Path, top: pathlib.Path) -> 'Sight':
        """Sight of the server's user, the owner of the data directory; of one that sees what all
        see, where there is none.
        """
        try:
            status = data_directory.lstat()
        except OSError:
            return cls(_NO_USER, (), top)
        return cls.of_number(status.st_uid, status.st_gid, top)

    def reaches(self, path: pathlib.Path) -> bool:
        """Return True where this user can learn whether `path` is there: each directory on the way,
        links followed, lets the user pass.
        """
        here, waiting, links = pathlib.Path('/'), list(reversed(_parts(path))), 0
        while waiting:
            name = waiting.pop()
            if name == '..':
                here = here.parent
                continue
            if not self._may(here, _SEARCH):
                return False
            here /= name
            try:
                target = here.readlink()
            except (OSError, ValueError):  # no link, not there, or a name that cannot be
                continue
            links += 1
            if links > _LINKS:
                return True  # the user gets the same error
            here = pathlib.Path('/') if target.is_absolute() else here.parent
            waiting.extend(reversed(_parts(target)))
        return True

    def lists(self, directory: pathlib.Path) -> bool:
        """Return True where the user can see the names in `directory`; also where there is none,
        and the user can learn that.
        """
        return self.reaches(directory / 'any') and self._may(directory, _LIST)

    def _may(self, directory: pathlib.Path, right: int) -> bool:
        if self.uid == 0 or self._top not in directory.parents:
            return True
        try:
            status = directory.stat()
        except (OSError, ValueError):
            return True  # what is in nothing is not there, and the user was let to see so
        if not stat.S_ISDIR(status.st_mode):
            return True
        if status.st_uid == self.uid:
            return bool(status.st_mode & right << 6)
        return bool(status.st_mode & (right << 3 if status.st_gid in self._groups else right))


def _parts(path: pathlib.Path) -> Sequence[str]:
    return [part for part in path.parts if part not in {'/', '//'}]
