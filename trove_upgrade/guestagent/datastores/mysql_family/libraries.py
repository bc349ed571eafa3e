# SPDX-License-Identifier: Apache-2.0
"""Shared libraries that the server loads at the wish of its users: plugins, loadable functions,
components of MySQL.

The new root disk has those of its image alone.  The server starts without a plugin or a function
that it does not find, with a line in its log; each statement that uses one fails from then on.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import checks, connection, option_files

NAME = 'plugins'
#: Source: MySQL 9 Reference Manual, "Installing and Uninstalling Components".  Its file is named
#: like the rest, without a suffix.
_COMPONENT = 'file://'
_NO_SUCH_TABLE = 1146
#: Each names libraries: `name=library` or `library`, joined with semicolons.
_OPTIONS = frozenset({'plugin-load', 'plugin-load-add', 'early-plugin-load'})


@dataclasses.dataclass(frozen=True, order=True)
class Library:
    """One file of the plugin directory."""

    file: str
    used_for: str  #: as a person knows it

    @property
    def stem(self) -> str:
        """Return the name by which two names of one file are compared."""
        return stem(self.file)

    def __str__(self) -> str:
        return self.used_for if self.used_for == self.file else f'{self.used_for} ({self.file})'


def stem(file: str) -> str:
    """Return a file's name without directories and suffix, in lower case."""
    return file.rpartition('/')[2].removesuffix('.so').lower()


def of_server(
    session: connection.Session, configuration: option_files.Configuration
) -> list[Library]:
    """List the libraries that the server loads and its image did not choose, each file once.

    :raises SessionError: the server said no, or has gone.
    """
    found = [Library(file, file) for file in configured(configuration)]
    found += [
        Library(str(file), str(name))
        for name, file in session.rows('SELECT name, dl FROM mysql.plugin')
    ]
    found += [
        Library(str(file), f'function {name}')
        for name, file in session.rows('SELECT name, dl FROM mysql.func')
    ]
    for urn in _components(session):
        found += [
            Library(name, f'component {name}')
            for name in urn.removeprefix(_COMPONENT).split(';')
            if name
        ]
    return sorted({library.stem: library for library in found}.values())


def _components(session: connection.Session) -> list[str]:
    try:
        return [str(row[0]) for row in session.rows('SELECT component_urn FROM mysql.component')]
    except connection.SessionError as error:
        if error.number == _NO_SUCH_TABLE:  # MariaDB has none, nor has MySQL before 8.0
            return []
        raise


def configured(configuration: option_files.Configuration) -> Sequence[str]:
    """Files that the configuration names."""
    found = []
    for option in configuration.of_servers():
        if option.bare_name in _OPTIONS and option.value:
            found += [
                part.rpartition('=')[2].strip() for part in option.value.split(';') if part.strip()
            ]
    return list(dict.fromkeys(found))


def modules(libraries: Sequence[Library]) -> set[str]:
    """Names that the options of these may begin with."""
    return {pathlib.Path(library.file).stem for library in libraries}


def plugins(probe: checks.Probe) -> CheckResult:
    """Libraries that the server loads must be in the target's image, too."""
    loaded = of_server(probe.session, probe.configuration)
    if not loaded:
        return CheckResult.ok(
            NAME, "The server loads no plugins, functions or components of its users' choice."
        )
    if probe.target.plugins is None:
        return CheckResult.warning(
            NAME,
            (
                'It cannot be told whether the target has what the server loads, '
                f'{_named(loaded)}: it was registered without facts. See that its image has them.'
            ),
            Code.TARGET_FACTS_MISSING,
        )
    there = {stem(str(entry)) for entry in probe.target.plugins}
    missing = [library for library in loaded if library.stem not in there]
    if missing:
        return refusal(missing)
    return CheckResult.ok(NAME, f'The target has all that the server loads: {_named(loaded)}.')


def refusal(missing: Sequence[Library]) -> CheckResult:
    """Make the result that names the libraries that the target lacks."""
    return CheckResult.refused(
        NAME,
        (
            f'The server cannot be upgraded: the target lacks the libraries of {_named(missing)}. '
            f'Uninstall or drop what uses them, or have the operator add them to the image.'
        ),
        'PLUGIN_MISSING',
    )


def _named(libraries: Sequence[Library]) -> str:
    return ', '.join(str(library) for library in libraries)
