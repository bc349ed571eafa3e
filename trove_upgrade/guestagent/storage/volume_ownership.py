# SPDX-License-Identifier: Apache-2.0
"""The volume's top directory, root's again: what is kept beside the data is safe from the
database's user only then.

Trove's agent gives the whole volume to that user when it mounts it (trove 26, cmd/guest.py), and so
did the agents of old, when they made the instance.
The owner of a directory can rename what is in it, also what belongs to another user: that user
could put a link, or forged marks and a forged stash, where root is about to write or to read.  So
root takes the top whenever the server has been stopped, and no process of the user runs; the data
stays the user's.  An undo gives the top back as it was.
"""

import contextlib
import dataclasses
import os
import pathlib
import stat

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.machine import untrusted_files

LOG = logs.get_logger(__name__)

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TOP_MODE = 0o755


@dataclasses.dataclass(frozen=True, kw_only=True)
class Top:
    """Owner, group and mode of the volume's top."""

    uid: int
    gid: int
    mode: int

    @classmethod
    def of(cls, volume: pathlib.Path) -> 'Top':
        """Return those that it has now.

        :raises OSError: it is not there.
        """
        status = volume.stat()
        return cls(uid=status.st_uid, gid=status.st_gid, mode=stat.S_IMODE(status.st_mode))

    def is_roots(self) -> bool:
        """Return whether root alone can write there."""
        return self.uid == 0 and not self.mode & 0o022

    def is_of(self, user: int | None, group: int) -> bool:
        """Return whether this user, with this group, and root alone can write there."""
        return (
            self.uid == user
            and not self.mode & 0o002
            and (not self.mode & 0o020 or self.gid == group)
        )


TAKEN = Top(uid=0, gid=0, mode=_TOP_MODE)


def is_private(directory: pathlib.Path) -> bool:
    """Return whether only root can have written here: a real directory of root's that no other user
    may enter.

    :raises OSError: it is not there.
    """
    return _is_private(os.lstat(directory))


def _is_private(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) and status.st_uid == 0 and not status.st_mode & 0o077


def is_ours(kept: pathlib.Path) -> bool:
    """Return whether what stands in `kept`, a directory on the volume, can be root's work alone:
    its parent is not another's, either.
    """
    return _look_at(kept) is True


def is_of_others(kept: pathlib.Path) -> bool:
    """Return whether `kept` is there and others than root can write there; False where it is not
    there, as on a volume that is not mounted.

    From one look: `is_ours` and then a look for the name would take a volume that is mounted in
    between for one of others.
    """
    return _look_at(kept) is False


def _look_at(kept: pathlib.Path) -> bool | None:
    """Tell whether only root can write to it; None: it is not there."""
    try:
        above = os.lstat(kept.parent)
        return is_private(kept) and above.st_uid == 0 and not above.st_mode & 0o022
    except FileNotFoundError:
        return None


def anew(kept: pathlib.Path) -> None:
    """Make the parent of `kept` root's; what stands at `kept` goes unless it is root's alone.
    Durable; safe to repeat.

    For the moment after the clean stop: whatever was put there is of no use to an
    upgrade that only begins.

    :raises OSError: it cannot be done; nothing may be written there.
    """
    top = os.open(kept.parent, _FLAGS)
    try:
        _own(top)
        status = _look(top, kept.name)
        if status is not None and not _is_private(status):
            LOG.warning(
                "%s is not root's alone, and is removed: Trove's agent has given it to the "
                "database's user, or that user has made it",
                kept,
            )
            if stat.S_ISDIR(status.st_mode):
                untrusted_files.remove_tree(kept.name, top)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(kept.name, dir_fd=top)
            os.fsync(top)
    finally:
        os.close(top)


def give_back(volume: pathlib.Path, top: Top) -> None:
    """Make the top of the mounted volume what it was before `anew`.  Durable; safe to repeat.

    Last of all that root does there: from then on its owner may move what is in it.

    :raises OSError: it cannot be done.
    """
    if Top.of(volume) == top:
        return
    opened = os.open(volume, _FLAGS)
    try:
        os.fchown(opened, top.uid, top.gid)
        os.fchmod(opened, top.mode)
        os.fsync(opened)
    finally:
        os.close(opened)


def back(kept: pathlib.Path) -> None:
    """Make the parent of `kept`, and `kept` with all that is in it, root's again.  Durable; safe to
    repeat.

    For a root disk on which no server has run since `anew`: only Trove's agent can have given it
    away meanwhile.  Links are removed: the agent makes none there.

    :raises OSError: it cannot be done.
    """
    top = os.open(kept.parent, _FLAGS)
    try:
        _own(top)
        status = _look(top, kept.name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            return
        for _, directories, files, descriptor in untrusted_files.walk(kept.name, below=top):
            os.fchown(descriptor, 0, 0)
            os.fchmod(descriptor, 0o700)
            for name in (*directories, *files):
                _take(descriptor, name)
            os.fsync(descriptor)
        os.fsync(top)
    finally:
        os.close(top)


def _own(top: int) -> None:
    status = os.fstat(top)
    if status.st_uid != 0 or status.st_gid != 0 or status.st_mode & 0o022:
        os.fchown(top, 0, 0)
        os.fchmod(top, _TOP_MODE)
        os.fsync(top)


def _look(top: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=top, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _take(directory: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # it has gone since it was listed
        kind = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        if stat.S_ISREG(kind) or stat.S_ISDIR(kind):
            os.chown(name, 0, 0, dir_fd=directory, follow_symlinks=False)
        else:
            os.unlink(name, dir_fd=directory)
