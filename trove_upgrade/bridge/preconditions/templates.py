# SPDX-License-Identifier: Apache-2.0
"""Precondition: on this controller, Trove finds the configuration template of each version.

Source of the order: trove/common/template.py, SingleInstanceConfigTemplate.get_template (Trove 26).
For each name in it the operator's directory comes before those that Trove ships.
"""

import dataclasses
import pathlib
import re
import shutil
from collections.abc import Iterator, Sequence

from trove_upgrade.domain.instances import DatastoreVersion
from trove_upgrade.domain.upgrade_checks import CheckResult

_FILE = 'config.template'
_NUMBERS = re.compile(r'(\d+)(?:\.(\d+))?')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copy:
    """Copy of a directory that would give a version the templates of its series."""

    source: pathlib.Path
    target: pathlib.Path

    def make(self) -> None:
        """Copy; a directory that exists is an error.

        :raises OSError: it cannot be written.
        """
        shutil.copytree(self.source, self.target)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """Template of a version, and what would mend it."""

    result: CheckResult
    copy: Copy | None = None


@dataclasses.dataclass(frozen=True)
class _Chosen:
    path: pathlib.Path
    is_of_series: bool  #: False: it is the one of all versions of the datastore, or of the manager


@dataclasses.dataclass(frozen=True, kw_only=True)
class Templates:
    """Looks into the directories of templates, the operator's first."""

    directories: tuple[pathlib.Path, ...]

    def look(self, versions: Sequence[DatastoreVersion]) -> Iterator[Finding]:
        """Yield a finding for each version."""
        for version in sorted(versions, key=lambda one: (one.datastore_name, one.name)):
            yield self._of(version)

    def _of(self, version: DatastoreVersion) -> Finding:
        name = f'template of {version.datastore_name} {version.name}'
        chosen = self._chosen(version)
        if chosen is not None and chosen.is_of_series:
            return Finding(result=CheckResult.ok(name, f'Trove takes {chosen.path}.'))
        copy = self._copy(version)
        advice = '' if copy is None else f' Copy {copy.source} to {copy.target}.'
        if chosen is None:
            message = f'Trove finds none: no guest of this version can be made.{advice}'
            result = CheckResult.refused(name, message, 'BRIDGE_TEMPLATE_MISSING')
        elif copy is None:
            result = CheckResult.ok(name, f'Trove takes {chosen.path}, as for all versions.')
        else:
            message = f'Trove takes {chosen.path}, and not that of the series.{advice}'
            result = CheckResult.warning(name, message, 'BRIDGE_TEMPLATE_CHANGES')
        return Finding(result=result, copy=copy)

    def _chosen(self, version: DatastoreVersion) -> _Chosen | None:
        general = (version.datastore_name, version.manager)
        for below in (*_of_series(version), *general):
            for directory in self.directories:
                path = directory / below / _FILE
                if path.is_file():
                    return _Chosen(path, below not in general)
        return None

    def _copy(self, version: DatastoreVersion) -> Copy | None:
        """Return the copy of a directory that has the version's series under another name: `5.5`
        for `5.5-ga`.
        """
        series = _series(version.version or version.name)
        if series is None:
            return None
        for directory in self.directories:
            for template in sorted((directory / version.datastore_name).glob(f'*/{_FILE}')):
                if _series(template.parent.name) == series:
                    target = self.directories[0] / version.datastore_name / version.name
                    return Copy(source=template.parent, target=target)
        return None


def _of_series(version: DatastoreVersion) -> tuple[str, ...]:
    """Return the names that are looked for below each directory, before the general ones."""
    datastore = version.datastore_name
    major, minor = _series(version.version or version.name) or ('0', '0')
    return (
        f'{datastore}/{version.name}',
        f'{datastore}/{major}.{minor}',
        f'{datastore}/{major}',
    )


def _series(text: str) -> tuple[str, str] | None:
    """Return major and minor as semantic_version coerces them; None: it cannot."""
    found = _NUMBERS.match(text)
    return None if found is None else (str(int(found[1])), str(int(found[2] or 0)))
