# SPDX-License-Identifier: Apache-2.0
"""Options that name files or directories, and what they name them for."""

import enum
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from trove_upgrade.guestagent.datastores.mysql_family import (
    code_options,
    data_places,
    option_files,
    option_groups,
    option_lines,
)


class Purpose(enum.Enum):
    """Purposes of the paths that an option names."""

    A_MOMENT = enum.auto()  #: a directory, made anew and empty
    MADE_BY_THE_SERVER = enum.auto()  #: a file; its directory must be there
    CODE = enum.auto()  #: it is run, or holds what is: the image's own, see `code_options`
    DATA = enum.auto()  #: see `data_places`
    NO_PATH = enum.auto()  #: slashes in its value begin no path
    #: any other: a file that must be there, a directory of such, or no path at all
    A_FILE = enum.auto()


_OF_A_MOMENT = frozenset(
    {
        'tmpdir',
        'innodb-tmpdir',
        'slave-load-tmpdir',
        'replica-load-tmpdir',
        'secure-file-priv',
        'innodb-redo-log-archive-dirs',
    }
)
_MADE = frozenset(
    {
        'log-error',
        'slow-query-log-file',
        'log-slow-query-file',
        'general-log-file',
        'pid-file',
        'socket',
        'server-audit-file-path',
        'audit-log-file',
        'sql-error-log-filename',
        'mysqlx-socket',
        'log-isam',
        'admin-socket',
        'innodb-buffer-pool-filename',
    }
)
#: `data_places` asks the running server for them, under these names or those that the server
#: derives from them.
_DATA = frozenset(
    {*map(option_files.canonical, data_places.VARIABLES), 'log-bin', 'log-basename', 'relay-log'}
)
_NO_PATHS = frozenset(
    {
        'user',
        'init-connect',
        'init-slave',
        'init-replica',
        'plugin-load',
        'plugin-load-add',
        'early-plugin-load',
        'optimizer-switch',
        'wsrep-cluster-address',
        'ssl-cipher',
        'tls-ciphersuites',
        'ft-boolean-syntax',
        'password',
        'report-password',
        'sql-mode',
    }
)
#: Begun like one of the others.
_NAMED_FILES = frozenset(
    {
        'init-file',
        'ssl-ca',
        'ssl-capath',
        'ssl-cert',
        'ssl-key',
        'ssl-crl',
        'ssl-crlpath',
        'ft-stopword-file',
    }
)
#: Logs of plugins and storage engines.
_LOG = re.compile(
    r'(?:^|-)log-file(?:-?name|-path)?$|^(?:server-)?audit[-.].*[-.]file(?:-?name|-path)?$'
)
#: A server takes a name that is cut short, as long as it is one option's.
_FULL = {
    **dict.fromkeys(_OF_A_MOMENT, Purpose.A_MOMENT),
    **dict.fromkeys(_MADE, Purpose.MADE_BY_THE_SERVER),
    **dict.fromkeys(_DATA, Purpose.DATA),
    **dict.fromkeys(code_options.NAMES, Purpose.CODE),
    **dict.fromkeys(_NO_PATHS, Purpose.NO_PATH),
    **dict.fromkeys(_NAMED_FILES, Purpose.A_FILE),
}
_BETWEEN = re.compile(r'[;:,=]')
_SIGNS = 32  #: that one name may have
_PATHS = 128  #: of one value: each is looked for
#: Of clients too: without them none gets in where TLS is required.
_OF_CLIENTS = ('ssl-', 'tls-')


def purpose(option: option_files.Option) -> Purpose:
    """Return what the paths in this option's value are for."""
    name = option.name.removeprefix('loose-')
    if name in _FULL:
        return _FULL[name]
    if _LOG.search(name):
        return Purpose.MADE_BY_THE_SERVER
    cut_short = {meant for full, meant in _FULL.items() if full.startswith(name)}
    return cut_short.pop() if len(cut_short) == 1 else Purpose.A_FILE


def counts(option: option_files.Option, groups: option_groups.ServerGroups) -> bool:
    """Return True where what this option names must come along: a server that reads `groups` reads
    it, or clients need it to get in.
    """
    name = option.name.removeprefix('loose-')
    return groups.has(option.group) or name.startswith(_OF_CLIENTS)


def paths_in(
    value: str,
    data_directory: pathlib.Path | None = None,
    *,
    comes: bool = False,
    exists: Callable[[str], bool] = os.path.lexists,
) -> Iterator[pathlib.Path]:
    """Paths of one value: all of it, or its parts between colons, semicolons, commas and equals
    signs, as in FILE:/a or /a:/b.

    Such a sign may also belong to a name: of what begins at one place, that counts which is there,
    and the shortest where nothing is. With `data_directory` also relative ones that lead out of it,
    as `../keys/ca.pem`, from where the server counts them.  With `comes` each that it could be: the
    file itself may still come.  `exists` tells whether a text is a file's name.
    """
    passed = 0
    for start, readings in _readings(value, data_directory):
        if comes:
            yield from (path for _, path in readings)
        elif start >= passed:
            there = [reading for reading in readings if exists(str(reading[1]))]
            passed = (there or readings)[0][0]
            yield from (path for _, path in there or readings[:1])


def in_doubt(
    value: str, data_directory: pathlib.Path, exists: Callable[[str], bool] = os.path.lexists
) -> Sequence[pathlib.Path]:
    """Return paths of which each is there and could be what one place of `value` names, as with
    `/a,b` where there is `/a`, too.
    """
    for _, readings in _readings(value, data_directory):
        there = [path for _, path in readings if exists(str(path))]
        if len(there) > 1:
            return there
    return ()


def _readings(
    value: str, data_directory: pathlib.Path | None
) -> Iterator[tuple[int, list[tuple[int, pathlib.Path]]]]:
    """Yield each place where a path may begin, and the paths from there, shortest first, with their
    ends.
    """
    signs = [match.start() for match in _BETWEEN.finditer(value)]
    found = 0
    for start in (0, *(sign + 1 for sign in signs)):
        if found >= _PATHS:
            return
        ends = [sign for sign in signs if sign >= start]
        readings = []
        for end in (*ends[:_SIGNS], len(value)):
            text = value[start:end].strip()
            if '\0' in text:
                continue
            if text.startswith('/'):
                readings.append((end, option_lines.absolute(text)))
            elif data_directory is not None and '..' in text.split('/'):
                readings.append((end, data_directory / text))
        if readings:
            found += 1
            yield start, readings


def paths_of(options: Iterable[option_files.Option]) -> dict[pathlib.Path, str]:
    """Map each path to its option, of all that must be there when a server starts: neither places
    of data nor what it makes itself.
    """
    found: dict[pathlib.Path, str] = {}
    for option in options:
        if purpose(option) in {Purpose.A_FILE, Purpose.A_MOMENT, Purpose.CODE}:
            found.update(
                dict.fromkeys(paths_in(option.value or ''), f'{option.name}, {option.place}')
            )
    return found
