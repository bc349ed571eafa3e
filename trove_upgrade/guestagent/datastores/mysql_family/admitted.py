# SPDX-License-Identifier: Apache-2.0
"""Files and directories of the former root disk that this one lets in: the other half of
`preserved`, and its own judge.

The former root disk may have been taken over, and so the list that it has written.  A file comes if
the restored configuration names it, or if it is one of the database's own option files; if no place
of the system and no package has to do with it; if it leads to nothing that is not open to all; and
if no option in it names code.
"""

import contextlib
import functools
import itertools
import os
import pathlib
import stat
from collections.abc import Iterator, Mapping, Sequence

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    client_options,
    code_options,
    configuration_checks,
    made_anew,
    named_directories,
    option_files,
    option_groups,
    option_lines,
    option_paths,
    option_source,
    preserved,
    trusted_places,
)
from trove_upgrade.guestagent.datastores.mysql_family.option_paths import Purpose
from trove_upgrade.guestagent.datastores.mysql_family.packages import Packages
from trove_upgrade.guestagent.machine import untrusted_files

_OPTION_FILE_BYTES = 256 << 10
_LINKS = 40  #: as the kernel follows.  Source: path_resolution(7)


class Admission:
    """The rules of one root disk for one stash."""

    def __init__(
        self,
        context: base.DriverContext,
        stashed: base.Stashed,
        client_file: pathlib.Path,
        user: str,
    ) -> None:
        """:param user: of the server."""
        self._context = context
        self._stashed = stashed
        self._client_file = client_file
        self._user = user
        self._root = pathlib.Path(os.path.realpath(context.etc.parent))
        self._packages = Packages(context.etc.parent)
        prefix = f'{context.run / preserved.LIST}/'
        listed = {
            '/' + name.removeprefix(prefix) for name in stashed.files if name.startswith(prefix)
        }
        self._listed = [name for name in stashed.files if name in listed]

    def admitted(self, configuration: option_files.Configuration) -> Sequence[str]:
        """Return what may come now; `configuration` is that of this root disk as it stands, and
        names more with each file that has come.

        :raises StepFailed: FILE_NOT_KEPT; an option in one of them names code.
        """
        named = self._named(configuration)
        found = [name for name in self._listed if self._may_come(pathlib.Path(name), named)]
        self._require_harmless(
            [name for name in found if self._is_option_file(pathlib.Path(name), configuration)],
            configuration.groups,
        )
        return found

    def make(self, configuration: option_files.Configuration, coming: Sequence[str]) -> None:
        """Make, with owner and mode, directories and logs that are named, or above a file that
        comes, and that this root disk lacks.

        Safe to repeat.  Nothing that is there is changed, no link is followed, and nothing is made
        in a place that the system trusts.
        """
        copies = self._context.run / preserved.TO_MAKE
        if not copies.is_dir():
            return
        named = self._named(configuration)
        above = {parent for name in coming for parent in pathlib.Path(name).parents}
        for names, _, others, descriptor in untrusted_files.walk(
            copies, levels=untrusted_files.LEVELS
        ):
            directory = pathlib.Path('/').joinpath(*names)
            is_needed = directory in above or named.passes(directory)
            if names and is_needed and not self._is_trusted(directory, is_directory=True):
                made_anew.make(directory, os.fstat(descriptor))
            for name in others:
                log = directory / name
                if named.passes(log) and not self._is_trusted(log, is_directory=False):
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        made_anew.make(log, status)

    def judge(self, configuration: option_files.Configuration) -> CheckResult:
        """Judge the whole, as this root disk reads it, when all has come."""
        if configuration.unread:
            return configuration_checks.check_read(configuration)
        clients = option_files.read(self._client_file, follow_includes=False).options
        refused = [
            *preserved.unjudged(configuration, self._client_file, self._context.volume),
            *code_options.refused(
                [*configuration.options, *clients],
                self._packages,
                self._context.etc.parent,
                self._user,
                configuration.groups,
            ),
            *client_options.refused(
                [*self._that_have_come(configuration.options), *clients], configuration.groups
            ),
        ]
        if refused:
            return preserved.refusal(refused, self._context.etc / 'mysql')
        return CheckResult.ok(
            preserved.NAME, 'No restored option file leads to what is not of the image.'
        )

    def _is_trusted(self, path: pathlib.Path, *, is_directory: bool) -> bool:
        inside = trusted_places.inside(path, self._context.etc.parent)
        rule = (
            trusted_places.is_trusted_for_directories if is_directory else trusted_places.is_trusted
        )
        return self._packages.own(inside) or rule(inside, self._packages.own)

    def _is_option_file(
        self, path: pathlib.Path, configuration: option_files.Configuration
    ) -> bool:
        """Tell whether it is an option file, as far as is known by now; `judge` sees the rest."""
        etc = self._context.etc
        places = {etc, etc / 'mysql', *configuration.directories}
        return (
            path == self._client_file
            or path in configuration.absent
            or (path.parent in places and option_source.is_included(path.name))
            or (path.parent == etc and path.name.startswith('my.cnf'))
        )

    def left(self, configuration: option_files.Configuration) -> Sequence[str]:
        """Return what is named and does not come because this root disk has a file there."""
        named = self._named(configuration)
        return [
            name
            for name in self._listed
            if named.has(path := pathlib.Path(name))
            and not self._is_of_the_database(path)
            and os.path.lexists(path)
            and path.is_relative_to(self._context.etc.parent)
        ]

    def _may_come(self, path: pathlib.Path, named: '_Named') -> bool:
        if (
            '..' in path.parts
            or preserved.is_never_kept(path)
            or not path.is_relative_to(self._context.etc.parent)
        ):
            return False
        if self._is_of_the_database(path) and (
            option_source.is_included(path.name) or named.has(path)
        ):
            return self._leads_to_the_open(path) and not (
                path == self._client_file and str(path) in self._stashed.links
            )
        inside = trusted_places.inside(path, self._context.etc.parent)
        real = pathlib.Path(os.path.realpath(path.parent)) / path.name
        return (
            named.has(path)
            and real.is_relative_to(self._root)
            and not self._packages.own(inside)
            and not trusted_places.is_trusted(inside, self._packages.own)
            and not trusted_places.is_trusted(
                trusted_places.inside(real, self._root), self._packages.own
            )
            and not os.path.lexists(path)
            and self._leads_to_the_open(path)
        )

    def _is_of_the_database(self, path: pathlib.Path) -> bool:
        """An option file, or what lies beside them, and reached by no link that leads elsewhere."""
        etc = self._context.etc
        real = pathlib.Path(os.path.realpath(path.parent)) / path.name
        if path == self._client_file or (path.parent == etc and path.name.startswith('my.cnf')):
            return real == self._root / path.relative_to(etc.parent)
        return (
            path.is_relative_to(etc / 'mysql')
            and real.is_relative_to(os.path.realpath(etc / 'mysql'))
            and path != etc / 'mysql'
        )

    def _leads_to_the_open(self, path: pathlib.Path) -> bool:
        """Tell whether it leads to what all may read; not a link to what only some may read here,
        or to what is not there in a place that the system trusts.
        """
        target = self._stashed.links.get(str(path))
        if target is None:
            return True
        real = pathlib.Path(os.path.realpath(path.parent / target))
        if real.is_relative_to(os.path.realpath(self._context.volume)):
            return True
        rule = (
            trusted_places.is_trusted_for_directories
            if str(real) in self._made
            else trusted_places.is_trusted
        )
        is_trusted = rule(trusted_places.inside(real, self._root), self._packages.own)
        if not is_trusted and (str(real) in self._made or str(real) in self._listed):
            return True  # it has come, or is going to
        try:
            return bool(real.stat().st_mode & stat.S_IROTH)
        except (OSError, ValueError):
            return not is_trusted

    @functools.cached_property
    def _made(self) -> frozenset[str]:
        """Directories, and logs, that the former root disk has listed to be made."""
        top = f'{self._context.run / preserved.TO_MAKE}/'
        return frozenset(
            f'/{name.removeprefix(top)}' for name in self._stashed.paths if name.startswith(top)
        )

    def _named(self, configuration: option_files.Configuration) -> '_Named':
        clients = option_files.read(self._client_file, follow_includes=False).options
        found: dict[Purpose, list[pathlib.Path]] = {purpose: [] for purpose in Purpose}
        for option in (*configuration.options, *clients):
            if not option_paths.counts(option, configuration.groups):
                continue
            found[option_paths.purpose(option)].extend(
                option_paths.paths_in(option.value or '', self._context.data_directory, comes=True)
            )
        files = (configuration.files, configuration.absent, configuration.directories)
        return _Named(
            [*found[Purpose.A_FILE], *itertools.chain(*files)],
            [*found[Purpose.A_MOMENT], *found[Purpose.MADE_BY_THE_SERVER]],
            self._stashed.links,
        )

    def _that_have_come(
        self, options: Sequence[option_files.Option]
    ) -> Sequence[option_files.Option]:
        """Return the options without those of files that the image has by itself; what is read by a
        link that has come, has come.
        """
        listed = {*self._listed, *(_place(name) for name in self._listed)}
        return [
            option
            for option in options
            if not listed.isdisjoint((str(option.path), os.path.realpath(option.path)))
        ]

    def _require_harmless(
        self, option_files_that_come: Sequence[str], groups: option_groups.ServerGroups
    ) -> None:
        names = [name for name in option_files_that_come if name not in self._stashed.links]
        long = [name for name in names if len(self._stashed.content(name)) > _OPTION_FILE_BYTES]
        options = [option for name in names for option in self._options(name)]
        reasons = [
            f'{name} is an option file of more than {_OPTION_FILE_BYTES >> 10} KiB' for name in long
        ]
        reasons += code_options.refused(
            options, self._packages, self._context.etc.parent, self._user, groups
        )
        reasons += client_options.refused(options, groups)
        reasons += [reason for name in names for reason in self._unclear(name)]
        if reasons:
            result = preserved.refusal(reasons, self._context.etc / 'mysql')
            raise exceptions.StepFailed(result.message, str(result.code))

    def _unclear(self, name: str) -> list[str]:
        lines = option_lines.parse(self._stashed.content(name))
        return [
            f'{name} {line.reason}' for _, line in lines if isinstance(line, option_lines.Unclear)
        ]

    def _options(self, name: str) -> Iterator[option_files.Option]:
        content, group = self._stashed.content(name), ''
        for number, line in option_lines.parse(content):
            match line:
                case option_lines.Group(title):
                    group = title
                case option_lines.Setting(key, value):
                    yield option_files.Option(
                        group=group,
                        name=option_files.canonical(key),
                        value=value,
                        path=pathlib.Path(name),
                        line=number,
                    )


def _place(name: str) -> str:
    """Resolve all links of a path but the last name's."""
    above, last = os.path.split(name)
    return os.path.join(os.path.realpath(above), last)  # noqa: PTH118 - odd bytes stay as they are


class _Named:
    """Paths that a configuration names, with the links on the way to them, and what those lead
    to.
    """

    def __init__(
        self,
        files: Sequence[pathlib.Path],
        made_anew: Sequence[pathlib.Path],
        links: Mapping[str, str],
    ) -> None:
        """Walk to each path; of `made_anew` the `links` on the way come alone."""
        self._links = links
        self._ends: set[pathlib.Path] = set()
        self._on_the_way: set[pathlib.Path] = set()
        self._ways: set[pathlib.Path] = set()
        for path in files:
            self._ends |= set(_walk(path, self._on_the_way))
        for path in made_anew:
            _walk(path, self._ways)

    def has(self, path: pathlib.Path) -> bool:
        """Tell whether it is named, or is read by a server in a directory that is named."""
        return (
            path in self._on_the_way
            or (named_directories.is_read(path.name) and self._is_below(path))
            or (path in self._ways and str(path) in self._links)
        )

    def passes(self, path: pathlib.Path) -> bool:
        """Tell whether it is on the way to what is named, that itself included, or is a directory
        in one.
        """
        return path in self._ways or self.has(path) or self._is_below(path)

    def _is_below(self, path: pathlib.Path) -> bool:
        return not self._ends.isdisjoint(path.parents)


def _walk(path: pathlib.Path, passed: set[pathlib.Path]) -> list[pathlib.Path]:
    """Add every name on the way to `passed`; return where it ends, or nothing for links without an
    end.
    """
    here, waiting, links = pathlib.Path('/'), list(reversed(path.parts[1:])), 0
    while waiting:
        name = waiting.pop()
        if name == '..':
            here = here.parent
            continue
        here /= name
        passed.add(here)
        with contextlib.suppress(OSError, ValueError):  # no link, or a name that cannot be
            target = here.readlink()
            links += 1
            if links > _LINKS:
                return []
            here = pathlib.Path('/') if target.is_absolute() else here.parent
            waiting.extend(part for part in reversed(target.parts) if part != '/')
    return [here]


def empty_ones(context: base.DriverContext, stashed: Sequence[str]) -> Sequence[str]:
    """Return the `stashed` copies of what is to be made; they stand below the agent's own place for
    what is of a boot.
    """
    top = str(context.run / preserved.TO_MAKE)
    return [
        name
        for name in stashed
        if (name == top or name.startswith(f'{top}/')) and '..' not in pathlib.Path(name).parts
    ]
