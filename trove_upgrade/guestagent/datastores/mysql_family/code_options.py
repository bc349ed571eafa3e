# SPDX-License-Identifier: Apache-2.0
"""Options that name what is run or loaded, or the user that a server runs as: such names must be the image's own.

Option files come from the former root disk, which may have been taken over.  The server's user reads most of them, but root's clients,
a start script and its backup programs read theirs as root: none may lead root to what came with the files.
"""

import contextlib
import os
import pathlib
import pwd
import re
from collections.abc import Collection, Iterable, Iterator

from trove_upgrade.guestagent.datastores.mysql_family import option_files, trusted_places
from trove_upgrade.guestagent.datastores.mysql_family.packages import Packages

#: What they name is run, or holds what is.
NAMES = frozenset(
    {
        'basedir',
        'chroot',
        'crash-script',
        'ledir',
        'malloc-lib',
        'mysqladmin',
        'mysqld',
        'plugin-dir',
        'wsrep-notify-cmd',
        'wsrep-provider',
    }
)
#: A name without a directory is one of the image's: a start script looks it up itself.
_LOOKED_UP = frozenset({'malloc-lib', 'mysqladmin', 'mysqld'})
_NONE = frozenset({'', 'none', 'off', '0'})
_COMMANDS = frozenset({'pager', 'post-system', 'pre-system'})
_USER = 'user'
#: Start scripts and the server itself change to the user that such a group names; clients take it for the name of an account.
_START_GROUP = re.compile(r'safe|multi')
#: Programs take the beginning of a name for the name.
_SHORTEST = 2
#: Made anew at each start, below /run as a rule.
_OF_A_BOOT = frozenset({'socket', 'pid-file'})
_NO_PATHS = re.compile(
    r'password|prompt|delimiter|init-command|execute|where|ssl-cipher|tls-cipher'
)
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
    name, value = option.bare_name, (option.value or '').strip()
    if _means(name, {_USER}):
        if (of_server or _START_GROUP.search(option.group)) and not _is_the_user(value, user):
            yield f'is {value!r}, and the server runs as {user}'
    elif _means(name, _COMMANDS):
        if not of_server and value and not _HARMLESS_PAGER.fullmatch(value):
            yield 'starts a program for root'
    elif _means(name, NAMES):
        if not _is_of_the_image(name, value, packages, root):
            yield f'names {value}, which is of no package, and programs or libraries come from the image alone'
    elif (
        not of_server
        and value.startswith('/')
        and name not in _OF_A_BOOT
        and not _NO_PATHS.search(name)
        and _is_trusted(pathlib.Path(value), packages, root)
    ):
        yield f'leads a program of root to {value}, a place that the system trusts'


def _means(name: str, names: Collection[str]) -> bool:
    """True for each of `names`, and for what could be the beginning of one."""
    return name in names or (
        len(name) >= _SHORTEST and any(known.startswith(name) for known in names)
    )


def _is_the_user(value: str, user: str) -> bool:
    if value in {'', user}:
        return True
    with contextlib.suppress(KeyError, ValueError, OverflowError):
        return pwd.getpwuid(int(value)).pw_name == user
    return False


def _is_of_the_image(name: str, value: str, packages: Packages, root: pathlib.Path) -> bool:
    """False also for what is not there yet: it could come later."""
    if value.lower() in _NONE or ('/' not in value and name in _LOOKED_UP):
        return True
    if not value.startswith('/') or any(letter.isspace() for letter in value):
        return False
    real = pathlib.Path(os.path.realpath(value))
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
        '/tmp',  # noqa: S108  # nosec B108 # a place that is judged: nothing is made there
        '/var/tmp',  # noqa: S108  # nosec B108 # a place that is judged: nothing is made there
        '/run/mysqld',
        '/var/run/mysqld',
        '/run/mariadb',
        '/var/run/mariadb',
    )
    return (
        trusted_places.is_trusted(inside, packages.own)
        and not packages.own(inside)
        and not any(inside.is_relative_to(place) for place in kept)
    )
