# SPDX-License-Identifier: Apache-2.0
"""Option files of the MySQL family, read as the server reads them.

Source: MariaDB Knowledge Base, "Configuring MariaDB with Option Files": groups, `!include`,
`!includedir` (files ending in .cnf), dashes and underscores alike.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from trove_upgrade.guestagent.datastores.mysql_family import (
    option_groups,
    option_lines,
    option_source,
)

_PREFIXES = ('loose-', 'skip-', 'disable-', 'enable-', 'maximum-')
_MAX_DEPTH = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """One option of one group, where it was found."""

    group: str  #: in lower case
    name: str  #: as written, but with dashes for underscores and in lower case
    value: str | None  #: None where there is no equals sign
    path: pathlib.Path
    line: int

    @property
    def place(self) -> str:
        """Return the file and line, for a person who looks there."""
        return f'{self.path}:{self.line}'

    @property
    def is_loose(self) -> bool:
        """Return whether a server that does not know it only warns."""
        return self.name.startswith('loose-')

    @property
    def bare_name(self) -> str:
        """Return the name without the prefixes that a server takes off before it looks the name
        up.
        """
        return bare(self.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configuration:
    """All options in the order in which the server meets them: the last one of a name counts."""

    options: tuple[Option, ...]
    files: tuple[pathlib.Path, ...]
    unread: tuple[str, ...] = ()  #: what was not read and why, for a person
    directories: tuple[pathlib.Path, ...] = ()  #: that `!includedir` names and that are there
    #: named by a line that includes, and not there: servers pass over files
    absent: tuple[pathlib.Path, ...] = ()
    #: those that the servers of this configuration read
    groups: option_groups.ServerGroups = option_groups.ANY

    def value(self, name: str, groups: Sequence[str]) -> str | None:
        """The last value of `name` in any of `groups`, or None."""
        plain_name = canonical(name)
        values = [
            option.value
            for option in self.options
            if option.group in groups and option.name.removeprefix('loose-') == plain_name
        ]
        return values[-1] if values else None

    def server_value(self, name: str) -> str | None:
        """The last value of `name` in a group that each server of its dialect reads, or None."""
        return self.value(name, self.groups.names)

    def of_servers(self) -> tuple[Option, ...]:
        """Return the options that servers of its dialect see, of any version."""
        return tuple(option for option in self.options if self.groups.has(option.group))

    def of_server(self, groups: Iterable[str]) -> tuple[Option, ...]:
        """Return what a server that reads `groups` sees."""
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
                plain, stripped = plain[len(prefix) :], True
    return plain


def read(path: pathlib.Path, *, follow_includes: bool = True) -> Configuration:
    """Read `path` and what it includes.  A file that is not there counts as empty, as with the
    server.
    """
    return _all([path], option_groups.ANY, follow=follow_includes)


def read_all(
    paths: Iterable[pathlib.Path], groups: option_groups.ServerGroups = option_groups.ANY
) -> Configuration:
    """Read several files in order, each with its includes; a file that is named twice counts the
    first time.

    `groups` are those of the servers that read them.
    """
    return _all(paths, groups, follow=True)


def _all(
    paths: Iterable[pathlib.Path], groups: option_groups.ServerGroups, *, follow: bool
) -> Configuration:
    source = option_source.Source()
    options = tuple(
        option
        for path in paths
        for option in _read(path, path.parent, source, None, 0, follow=follow)
    )
    return Configuration(
        options=options,
        files=tuple(source.files),
        unread=tuple(source.unread),
        directories=tuple(source.directories),
        absent=tuple(source.absent),
        groups=groups,
    )


def from_command_line(arguments: Sequence[str]) -> tuple[Option, ...]:
    """The long options of a command line, as if they stood in a file of group `mysqld`."""
    found = []
    for position, argument in enumerate(arguments):
        if argument.startswith('--') and len(argument) > len('--'):
            name, equals, value = argument.partition('=')
            found.append(
                Option(
                    group='mysqld',
                    name=canonical(name),
                    value=value if equals else None,
                    path=pathlib.Path('command line'),
                    line=position,
                )
            )
    return tuple(found)


def _read(
    path: pathlib.Path,
    base: pathlib.Path,
    source: option_source.Source,
    includer: os.stat_result | None,
    depth: int,
    *,
    follow: bool,
) -> Iterator[Option]:
    found = source.content(path, base, includer) if depth <= _MAX_DEPTH else None
    if found is None:
        return
    content, status = found
    group = None
    for number, line in option_lines.parse(content):
        match line:
            case option_lines.Include():
                if follow and source.may_include(path):
                    for included in (
                        source.named(line.path, base, status) if line.is_directory else [line.path]
                    ):
                        yield from _read(included, base, source, status, depth + 1, follow=follow)
            case option_lines.Group(name):
                group = name
            case option_lines.Setting(name, value) if group is not None:
                yield Option(group=group, name=canonical(name), value=value, path=path, line=number)
            case option_lines.Unclear(reason):
                source.refuse(path, reason)
