# SPDX-License-Identifier: Apache-2.0
"""Options that name what is run or loaded, or the user that a server runs as: such names must be
the image's own.

Option files come from the former root disk, which may have been taken over.  The server's user
reads most of them, but root's clients, a start script and its backup programs read theirs as root:
none may lead root to what came with the files.
"""

import contextlib
import os
import pathlib
import pwd
import re
from collections.abc import Collection, Iterable, Iterator

from trove_upgrade.guestagent.datastores.mysql_family import (
    option_files,
    option_groups,
    option_lines,
    trusted_places,
)
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
#: A program's name is made with what they have.
_PARTS_OF_NAMES = frozenset({'mysqld-version', 'wsrep-sst-method'})
_PART_OF_A_NAME = re.compile(r'[\w-]*(?:\.[\w-]+)*')
#: Of mariadb-backup and xtrabackup, which read the groups of servers, too.
_WRITTEN_BY_BACKUPS = frozenset({'extra-lsndir', 'incremental-dir', 'target-dir'})
#: Files that start scripts of root make, remove, or whose directory they give to the server; they
#: read the groups of servers, too.
_OF_START_SCRIPTS = frozenset({'log-basename', 'log-error', 'pid-file', 'socket'})
#: Start scripts part lines at white space.
_AN_OPTION = re.compile(r'\s--[A-Za-z]')
#: A name without a directory is one of the image's: a start script looks it up itself.
_LOOKED_UP = frozenset({'malloc-lib', 'mysqladmin', 'mysqld'})
_NONE = frozenset({'none', 'off', '0'})
#: For these such a word is a directory, below whatever one the program works in.
_DIRECTORIES = frozenset({'basedir', 'chroot', 'ledir', 'plugin-dir'})
_COMMANDS = frozenset({'pager', 'post-system', 'pre-system'})
_USER = 'user'
#: Start scripts and servers, one of several and one with a suffix too, change to the user that such
#: a group names; clients take it for the name of an account.
_START_GROUP = re.compile(
    r'safe|multi|^(?:mysqld|mariadbd)(?:$|[^a-z])|^(?:mariadb|server)(?:$|[^a-z-])'
)
#: Programs take the beginning of a name for the name.
_SHORTEST = 2
_SWITCH = re.compile(r'(?:loose-|maximum-)*(?:skip|disable|enable)-')
_DATA_DIRECTORY = 'var/lib/mysql/data'  #: Trove's
#: Made anew at each start, in /run itself or below a directory of a database's.
_OF_A_BOOT = frozenset({'socket', 'pid-file'})
_RUN = re.compile(r'(?:/var)?/run/(?:[\w.-]*(?:sql|maria|percona)[\w.-]*/)*[\w.@-]+\.(?:sock|pid)')
_NO_PATHS = re.compile(
    r'password|prompt|delimiter|init-command|execute|where|ssl-cipher|tls-cipher'
)
#: Without flags that write a log or read keys, which can run commands.
_FLAGS = (
    r'(?:-[aABcCdeEfFgGiIJLmMnNqQrRsSuUwWX\d]+|--chop-long-lines|--no-init|'
    r'--quit-if-one-screen|--RAW-CONTROL-CHARS|--quit-at-eof)'
)
_HARMLESS_PAGER = re.compile(rf'(?:(?:/usr)?/bin/)?(?:less|more|cat)(?: +{_FLAGS})*')


def refused(
    options: Iterable[option_files.Option],
    packages: Packages,
    root: pathlib.Path,
    user: str,
    groups: option_groups.ServerGroups,
) -> list[str]:
    """Return sentences' parts for each option that is not let through.

    `user` is the server's, which reads `groups`; `root` is / outside of tests.
    """
    return list(
        dict.fromkeys(
            f'{option.name} {reason} ({option.place})'
            for option in options
            for reason in _reasons(option, packages, root, user, groups)
        )
    )


def _reasons(
    option: option_files.Option,
    packages: Packages,
    root: pathlib.Path,
    user: str,
    groups: option_groups.ServerGroups,
) -> Iterator[str]:
    """Yield reasons to refuse: for an option of servers as such, of other programs as such, of both
    as both.
    """
    of_server = groups.has(option.group)
    of_others = not of_server or option.group in groups.shared
    name, value = option.bare_name, (option.value or '').strip()
    of_scripts = of_server or _START_GROUP.search(option.group) is not None
    if of_scripts and _AN_OPTION.search(f'{option.name}={value}'):
        yield 'is taken apart by start scripts, and a part of it begins like an option'
    if _means(name, {_USER}):
        if of_scripts and not _is_the_user(value, user):
            yield f'is {value!r}, and the server runs as {user}'
    elif _means(name, _COMMANDS):
        if of_others and value and not _HARMLESS_PAGER.fullmatch(value):
            yield 'starts a program for root'
    elif name not in NAMES and _means(name, _PARTS_OF_NAMES):
        if not _PART_OF_A_NAME.fullmatch(value):
            yield f"names {value!r}, which is more than a part of a program's name"
    elif _means(name, NAMES) or name.endswith('-plugin-dir'):
        if _is_switched_directory(option) or not _is_of_the_image(name, value, packages, root):
            yield (
                f'names {value}, which is of no package, and programs or libraries come from the '
                'image alone'
            )
    elif of_server and _means(name, _WRITTEN_BY_BACKUPS):
        yield 'lets backup programs of root write'
    elif _is_followed_by_root(
        name, is_of_clients=of_others and not of_scripts, of_scripts=of_scripts
    ) and _leads_to_trust(name, value, packages, root):
        yield f'leads a program of root to {value}, a place that the system trusts'


def _is_switched_directory(option: option_files.Option) -> bool:
    """Tell whether a directory is switched like a flag: programs take 0 or 1 for its name, below
    where they run.
    """
    return _SWITCH.match(option.name) is not None and _is_directory(option.bare_name)


def _is_directory(name: str) -> bool:
    return _means(name, _DIRECTORIES) or name.endswith('-plugin-dir')


def _is_followed_by_root(name: str, *, is_of_clients: bool, of_scripts: bool) -> bool:
    """Tell whether root follows it: what a start script makes or removes, and what a client reads
    or writes but its socket.
    """
    if of_scripts and name in _OF_START_SCRIPTS:
        return True
    return is_of_clients and name not in _OF_A_BOOT and not _NO_PATHS.search(name)


def _leads_to_trust(name: str, value: str, packages: Packages, root: pathlib.Path) -> bool:
    """Tell whether it leads to a place that the system trusts, but for what a server makes anew in
    /run.
    """
    path = _path(value, root)
    return (
        path is not None
        and not (name in _OF_A_BOOT and _is_below_run(path, root))
        and _is_trusted(path, packages, root)
    )


def _path(value: str, root: pathlib.Path) -> pathlib.Path | None:
    """Return where a value leads; relative ones are looked at if they lead out of the data
    directory.
    """
    if value.startswith('/'):
        return option_lines.absolute(value)
    if '..' in value.split('/') and '\0' not in value:
        return pathlib.Path(os.path.normpath(root / _DATA_DIRECTORY / value))
    return None


def _means(name: str, names: Collection[str]) -> bool:
    """Tell whether it is one of `names`, or could be the beginning of one."""
    return name in names or (
        len(name) >= _SHORTEST and any(known.startswith(name) for known in names)
    )


def _is_the_user(value: str, user: str) -> bool:
    if value in {'', user}:
        return True
    with contextlib.suppress(KeyError, ValueError, OverflowError):
        return pwd.getpwuid(int(value)).pw_name == user
    return False


def _is_below_run(path: pathlib.Path, root: pathlib.Path) -> bool:
    inside = trusted_places.inside(path, root)
    return _RUN.fullmatch(str(inside)) is not None


def _is_of_the_image(name: str, value: str, packages: Packages, root: pathlib.Path) -> bool:
    """Tell whether the image has it; not where it is not there yet: it could come later."""
    if not value or (value.lower() in _NONE and not _is_directory(name)):
        return True
    if '/' not in value and name in _LOOKED_UP:
        return True
    if not value.startswith('/') or any(letter.isspace() for letter in value):
        return False
    real = pathlib.Path(os.path.realpath(option_lines.absolute(value)))
    inside = trusted_places.inside(real, pathlib.Path(os.path.realpath(root)))
    return packages.own(inside) or inside.is_relative_to('/usr')


def _is_trusted(path: pathlib.Path, packages: Packages, root: pathlib.Path) -> bool:
    """Tell whether the system trusts the place; files of packages, as of character sets, and
    certificates of the system do not count.
    """
    inside = trusted_places.inside(
        pathlib.Path(os.path.normpath(path)), pathlib.Path(os.path.realpath(root))
    )
    kept = (
        '/usr/share',
        '/etc/ssl',
        '/etc/pki',
        '/tmp',  # noqa: S108  # nosec B108 # a place that is judged: nothing is made there
        '/var/tmp',  # noqa: S108  # nosec B108 # a place that is judged: nothing is made there
        '/dev/null',
        '/dev/shm',  # noqa: S108  # nosec B108 # a place that is judged: nothing is made there
        '/dev/stderr',
        '/dev/stdout',
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
