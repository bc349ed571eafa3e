# SPDX-License-Identifier: Apache-2.0
"""Files with an agent's account, or the guest's key, that the database server's user can read,
where the server is a service of the guest.

A superuser of the database reads them with `LOAD_FILE`, from anywhere.  Guests that Trove has made
have its files with mode 0644; a rebuild writes them with 0600.
"""

import dataclasses
import grp
import itertools
import os
import pathlib
import pwd
import stat
from collections.abc import Iterator

from trove_upgrade.domain import secret_files

_LIMIT_FILES = 1000
_LIMIT_BYTES = 1 << 20
#: Below the root; looked into for an account.
_CONFIGURATIONS = ('etc/trove/**/*', 'etc/trove-*', 'etc/trove-upgrade/**/*')
#: Below the root; the guest's key, and what an editor or an operator leaves beside it.
_KEYS = ('etc/trove/*trove-upgrade-guest.key*',)
#: Below the root; user data of the server, in whatever form.  Sources: cloud-init 25.1,
#: cloudinit/cmd/main.py and helpers.py.
_COPIES = (
    'var/lib/cloud/seed/*/user-data',
    'var/lib/cloud/instances/*/user-data.txt*',
    'var/lib/cloud/instances/*/vendor-data*.txt*',
    'var/lib/cloud/instances/*/cloud-config.txt',
    'var/lib/cloud/instances/*/obj.pkl',
    'run/cloud-init/instance-data-sensitive.json',
    'run/cloud-init/combined-cloud-config.json',
)
#: Of a config drive that is mounted, and the drive itself.  Source: Nova, "Store metadata on a
#: configuration drive".
_DRIVES = ('dev/disk/by-label/config-2', 'dev/disk/by-label/CONFIG-2')
_ON_DRIVE = ('openstack/*/user_data', 'ec2/*/user-data')
_KINDS_OF_DRIVES = frozenset({'iso9660', 'vfat'})


@dataclasses.dataclass(frozen=True)
class Reader:
    """A user of the guest by numbers, as the kernel asks for them."""

    uid: int
    groups: frozenset[int]

    @classmethod
    def of(cls, uid: int) -> 'Reader':
        """Return the user with the groups that the guest knows it in."""
        try:
            account = pwd.getpwuid(uid)
        except KeyError:
            return cls(uid, frozenset())
        named = {group.gr_gid for group in grp.getgrall() if account.pw_name in group.gr_mem}
        return cls(uid, frozenset({account.pw_gid, *named}))

    def may(self, status: os.stat_result, permission: int) -> bool:
        """Tell whether the mode lets it do `permission`, of the bits 4, 2 and 1; root may
        everything.
        """
        if self.uid == 0:
            return True
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid in self.groups else 0
        return bool(status.st_mode >> shift & permission)

    def reads(self, path: pathlib.Path, root: pathlib.Path) -> bool:
        """Tell whether it reaches the file through each directory below `root`, links followed, and
        can read it.
        """
        real, top = pathlib.Path(os.path.realpath(path)), pathlib.Path(os.path.realpath(root))
        directories = itertools.takewhile(lambda parent: parent != top, real.parents)
        try:
            return self.may(real.stat(), 4) and all(
                self.may(directory.stat(), 1) for directory in directories
            )
        except OSError:
            return False


def exposed(root: pathlib.Path, reader: Reader) -> list[pathlib.Path]:
    """Return the files that hold an agent's account, the guest's key, or user data, and that
    `reader` can read.
    """
    candidates = itertools.chain(
        ((path, True) for path in _matching(root, _KEYS)),
        ((path, False) for path in _matching(root, _CONFIGURATIONS)),
        ((path, True) for path in _copies(root)),
    )
    found = [
        path
        for path, is_secret in itertools.islice(candidates, _LIMIT_FILES)
        if reader.reads(path, root) and (is_secret or secret_files.holds_account(_text(path)))
    ]
    return sorted(set(found), key=str)


def _copies(root: pathlib.Path) -> Iterator[pathlib.Path]:
    yield from _matching(root, _COPIES)
    yield from (root / name for name in _DRIVES if stat.S_ISBLK(_mode(root / name)))
    for mount_point in _mounted_drives(root):
        yield from _matching(root / mount_point.lstrip('/'), _ON_DRIVE)


def _matching(top: pathlib.Path, patterns: tuple[str, ...]) -> Iterator[pathlib.Path]:
    for pattern in patterns:
        yield from (path for path in top.glob(pattern) if stat.S_ISREG(_mode(path)))


def _mode(path: pathlib.Path) -> int:
    """Return the mode of a path, 0 where nothing can be looked at: what goes meanwhile was not
    there, and no link without an end refuses an upgrade.
    """
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _mounted_drives(root: pathlib.Path) -> list[str]:
    """Mount points of drives, where the kernel writes a space in octal."""
    try:
        lines = (root / 'proc/mounts').read_text('utf-8', 'replace').splitlines()
    except OSError:
        return []
    fields = [line.split(' ') for line in lines]
    return [
        field[1].replace('\\040', ' ')
        for field in fields
        if len(field) > 2 and field[2] in _KINDS_OF_DRIVES
    ]


def _text(path: pathlib.Path) -> str:
    try:
        with path.open('rb') as stream:
            return stream.read(_LIMIT_BYTES).decode(errors='replace')
    except OSError:
        return ''
