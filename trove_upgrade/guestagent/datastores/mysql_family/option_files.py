# SPDX-License-Identifier: Apache-2.0
"""Option files of the MySQL family, read as the server reads them.

Source: MariaDB Knowledge Base, "Configuring MariaDB with Option Files": groups, `!include`, `!includedir` (files ending in .cnf),
dashes and underscores alike.
"""
import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence

from trove_upgrade.guestagent.datastores.mysql_family import option_lines, option_source

#: Groups that any MariaDB or MySQL server of the last versions reads; those with a version in the name come in addition.
SERVER_GROUPS: tuple[str, ...] = ('mysqld', 'server', 'mariadb', 'mariadbd', 'client-server', 'galera')

_VERSIONED_GROUP = re.compile(r'(mysqld|mariadb|mariadbd)-(\d+(?:\.\d+)*)$')
_PREFIXES = ('loose-', 'skip-', 'disable-', 'enable-', 'maximum-')
_MAX_DEPTH = 10


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of one group, where it was found."""

    group: str
    name: str            #: as written, but with dashes for underscores and in lower case
    value: str | None    #: None where there is no equals sign
    path: pathlib.Path
    line: int

    @property
    def place(self) -> str:
        """For a person: where to look."""
        return f'{self.path}:{self.line}'

    @property
    def is_loose(self) -> bool:
        """Whether a server that does not know it only warns."""
        return self.name.startswith('loose-')

    @property
    def bare_name(self) -> str:
        """Without the prefixes that a server takes off before it looks the name up."""
        return bare(self.name)


@dataclasses.dataclass(frozen=True)
class Configuration:
    """All options in the order in which the server meets them: the last one of a name counts."""

    options: tuple[Option, ...]
    files: tuple[pathlib.Path, ...]
    unread: tuple[str, ...] = ()    #: what was not read and why, for a person
    directories: tuple[pathlib.Path, ...] = ()    #: that `!includedir` names and that are there
    absent: tuple[pathlib.Path, ...] = ()    #: named by a line that includes, and not there: servers pass over them

    def value(self, name: str, groups: Sequence[str]) -> str | None:
        """The last value of `name` in any of `groups`, or None."""
        wanted = canonical(name)
        values = [option.value for option in self.options if option.group in groups and option.name == wanted]
        return values[-1] if values else None

    def of_server(self, groups: Iterable[str]) -> tuple[Option, ...]:
        """What a server that reads `groups` sees."""
        read_groups = frozenset(groups)
        return tuple(option for option in self.options if option.group in read_groups)


def canonical(name: str) -> str:
    """Dashes for underscores, lower case, no leading dashes."""
    return name.strip().lower().replace('_', '-').lstrip('-')


def bare(name: str) -> str:
    """`name` without loose-, skip-, enable-, disable- and maximum-, in this order of meeting."""
    plain = canonical(name)
    stripped = True
    while stripped:
        stripped = False
        for prefix in _PREFIXES:
            if plain.startswith(prefix):
                plain, stripped = plain[len(prefix):], True
    return plain


def groups_of(version: str) -> tuple[str, ...]:
    """The groups that a server of `version` (e.g. 10.11.14-MariaDB) reads, as its --help says."""
    number = re.match(r'\d+\.\d+', version)
    series = number.group() if number else ''
    return SERVER_GROUPS + tuple(f'{group}-{series}' for group in ('mysqld', 'mariadb', 'mariadbd'))


def is_server_group(group: str) -> bool:
    """Whether servers of some version read `group`."""
    return group in SERVER_GROUPS or _VERSIONED_GROUP.match(group) is not None


def read(path: pathlib.Path, *, follow_includes: bool = True) -> Configuration:
    """Read `path` and what it includes.  A file that is not there, or not readable as text, counts as empty, as with the server."""
    return _all([path], follow=follow_includes)


def read_all(paths: Iterable[pathlib.Path]) -> Configuration:
    """Several files in order, each with its includes; a file that is named twice counts the first time."""
    return _all(paths, follow=True)


def _all(paths: Iterable[pathlib.Path], *, follow: bool) -> Configuration:
    source = option_source.Source()
    options = tuple(option for path in paths for option in _read(path, path.parent, source, None, 0, follow=follow))
    return Configuration(options, tuple(source.files), tuple(source.unread), tuple(source.directories), tuple(source.absent))


def from_command_line(arguments: Sequence[str]) -> tuple[Option, ...]:
    """The long options of a command line, as if they stood in a file of group `mysqld`."""
    found = []
    for position, argument in enumerate(arguments):
        if argument.startswith('--') and len(argument) > len('--'):
            name, equals, value = argument.partition('=')
            found.append(Option('mysqld', canonical(name), value if equals else None,
                                pathlib.Path('command line'), position))
    return tuple(found)


def _read(path: pathlib.Path, base: pathlib.Path, source: option_source.Source, includer: os.stat_result | None, depth: int, *,
          follow: bool) -> Iterator[Option]:
    found = source.content(path, base, includer) if depth <= _MAX_DEPTH else None
    if found is None:
        return
    content, status = found
    group = None
    for number, line in option_lines.parse(content):
        match line:
            case option_lines.Include():
                if follow and source.may_include(path):
                    for included in _included(line, path, base, source, status):
                        yield from _read(included, base, source, status, depth + 1, follow=follow)
            case option_lines.Group(name):
                group = name
            case option_lines.Setting(name, value) if group is not None:
                yield Option(group, canonical(name), value, path, number)


def _included(line: option_lines.Include, parent: pathlib.Path, base: pathlib.Path, source: option_source.Source,
              includer: os.stat_result) -> list[pathlib.Path]:
    target = pathlib.Path(line.argument)
    if not target.is_absolute():
        target = parent.parent / target
    return source.named(target, base, includer) if line.directive == '!includedir' else [target]
