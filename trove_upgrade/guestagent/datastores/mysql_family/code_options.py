# SPDX-License-Identifier: Apache-2.0
"""Options that name what is run or loaded, or the user that a server runs as: such names must be the image's own.

Option files come from the former root disk, which may have been taken over.  The server's user reads most of them, but root's clients,
a start script and its backup programs read theirs as root: none may lead root to what came with the files.
"""

import os
import pathlib
import re
from collections.abc import Iterable, Iterator

from trove_upgrade.guestagent.datastores.mysql_family import option_files, trusted_places
from trove_upgrade.guestagent.datastores.mysql_family.packages import Packages

#: What they name is run, or holds what is.
NAMES = frozenset(
    {
        'basedir',
        'chroot',
        'ledir',
        'malloc-lib',
        'mysqladmin',
        'mysqld',
        'plugin-dir',
        'wsrep-notify-cmd',
        'wsrep-provider',
    }
)
_USER = 'user'
_PAGER = 'pager'
#: Start scripts and the server itself change to the user that these groups name; clients take it for the name of an account.
_SAFE_GROUPS = frozenset({'mysqld_safe', 'mariadbd-safe', 'mysqld_multi'})
#: Made anew at each start, below /run as a rule.
_OF_A_BOOT = frozenset({'socket', 'pid-file'})
_HARMLESS_PAGER = re.compile(r'(?:/usr)?(?:/bin/)?(?:less|more|cat)(?: +-[\w-]+)*')


def refused(
    options: Iterable[option_files.Option], packages: Packages, root: pathlib.Path, user: str
) -> list[str]:
    """Return sentences' parts for each option that is not let through; `user` is the server's, `root` / outside of tests."""
    return list(
        dict.fromkeys(
            f'{option.name} {reason} ({option.place})'
            for option in options
            for reason in _reasons(option, packages, root, user)
        )
    )


def _reasons(
    option: option_files.Option, packages: Packages, root: pathlib.Path, user: str
) -> Iterator[str]:
    of_server = option_files.is_server_group(option.group)
    value = option.value or ''
    if option.bare_name == _USER and (of_server or option.group in _SAFE_GROUPS):
        if value not in {'', user}:
            yield f'is {value!r}, and the server runs as {user}'
    elif option.bare_name == _PAGER and not of_server:
        if value and not _HARMLESS_PAGER.fullmatch(value):
            yield f'starts a program for root: {value!r}'
    elif option.bare_name in NAMES:
        if value.startswith('/') and not _is_of_the_image(pathlib.Path(value), packages, root):
            yield (
                f'names {value}, which is of no package, and programs or libraries come from the image alone'
            )
    elif (
        not of_server
        and value.startswith('/')
        and option.bare_name not in _OF_A_BOOT
        and _is_trusted(pathlib.Path(value), packages, root)
    ):
        yield f'leads a program of root to {value}, a place that the system trusts'


def _is_of_the_image(path: pathlib.Path, packages: Packages, root: pathlib.Path) -> bool:
    """False also for what is not there yet: it could come later."""
    real = pathlib.Path(os.path.realpath(path))
    inside = trusted_places.inside(real, pathlib.Path(os.path.realpath(root)))
    return packages.own(inside) or inside.is_relative_to('/usr')


def _is_trusted(path: pathlib.Path, packages: Packages, root: pathlib.Path) -> bool:
    """False for files of packages, as of character sets, and for certificates of the system."""
    inside = trusted_places.inside(
        pathlib.Path(os.path.normpath(path)), pathlib.Path(os.path.realpath(root))
    )
    kept = (
        '/usr/share',
        '/etc/ssl',
        '/etc/pki',
        '/tmp',  # noqa: S108
        '/var/tmp',  # noqa: S108
        '/run/mysqld',
        '/var/run/mysqld',
        '/run/mariadb',
        '/var/run/mariadb',
    )
    return (
        trusted_places.is_trusted(inside)
        and not packages.own(inside)
        and not any(inside.is_relative_to(place) for place in kept)
    )
