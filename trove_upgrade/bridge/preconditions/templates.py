# SPDX-License-Identifier: Apache-2.0
"""Precondition: on a controller, Trove finds the configuration template of each version.  Pure: the
files that it has were listed before.

Source of the order: trove/common/template.py, SingleInstanceConfigTemplate.get_template (Trove 26).
For each name in it the operator's directory comes before those that Trove ships.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from trove_upgrade.domain.instances import DatastoreVersion
from trove_upgrade.domain.upgrade_checks import CheckResult

#: Name of each template; the version is that of its directory.
FILE = 'config.template'
#: End of the name of a copy that is not whole yet: it is listed as no template.
PART = '.trove-upgrade-part'
_NUMBERS = re.compile(r'(\d+)(?:\.(\d+))?')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copy:
    """Copy of a directory that would give a version the templates of its series."""

    source: PurePosixPath
    target: PurePosixPath


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """Template of a version, and what would mend it."""

    version: DatastoreVersion
    result: CheckResult
    taken: PurePosixPath | None  #: the template that Trove takes
    copy: Copy | None = None


@dataclasses.dataclass(frozen=True)
class _Chosen:
    path: PurePosixPath
    is_of_series: bool  #: False: it is the one of all versions of the datastore, or of the manager


@dataclasses.dataclass(frozen=True, kw_only=True)
class Templates:
    """Directories of templates, the operator's first, and the templates that they have."""

    place: str  #: in words that follow: "on this host"
    directories: tuple[PurePosixPath, ...]
    files: frozenset[PurePosixPath]

    def look(self, versions: Sequence[DatastoreVersion]) -> Iterator[Finding]:
        """Yield a finding for each version."""
        for version in sorted(versions, key=lambda one: (one.datastore_name, one.name)):
            yield self._of(version)

    def _of(self, version: DatastoreVersion) -> Finding:
        name = f'{name_of(version)} {self.place}'
        chosen = self._chosen(version)
        taken = None if chosen is None else chosen.path
        if chosen is not None and chosen.is_of_series:
            result = CheckResult.ok(name, f'Trove takes {chosen.path}.')
            return Finding(version=version, result=result, taken=taken)
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
        return Finding(version=version, result=result, taken=taken, copy=copy)

    def _chosen(self, version: DatastoreVersion) -> _Chosen | None:
        general = (version.datastore_name, version.manager)
        for below in (*_of_series(version), *general):
            for directory in self.directories:
                path = directory / below / FILE
                if path in self.files:
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
            of_datastore = directory / version.datastore_name
            for template in sorted(self.files):
                is_there = template.parent.parent == of_datastore
                if is_there and _series(template.parent.name) == series:
                    target = self.directories[0] / version.datastore_name / version.name
                    return Copy(source=template.parent, target=target)
        return None


def name_of(version: DatastoreVersion) -> str:
    """Return the name of a check of the version's template."""
    return f'template of {version.datastore_name} {version.name}'


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
