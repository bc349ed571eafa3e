# SPDX-License-Identifier: Apache-2.0
"""Precondition: each controller has the templates, and all of them take the same ones."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Protocol

from trove_upgrade.bridge.preconditions.templates import Copy, Finding, Templates, name_of
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.instances import DatastoreVersion
from trove_upgrade.domain.upgrade_checks import CheckResult


class TemplatesUnreadable(exceptions.TroveUpgradeError):
    """The directories of templates cannot be listed on a controller."""

    code = 'BRIDGE_TEMPLATES_UNREADABLE'
    template = (
        'The templates {place} cannot be listed: {found}. Let the account that looks read the '
        'directories of --template-path.'
    )


class TemplateNotCopied(exceptions.TroveUpgradeError):
    """A directory of templates could not be copied; none of it stands under the new name."""

    code = 'BRIDGE_TEMPLATE_NOT_COPIED'
    template = (
        '{source} was not copied to {target} {place}: {found}. Mend the cause, or copy it by hand.'
    )


class Controller(Protocol):
    """Host with Trove's directories of templates."""

    @property
    def place(self) -> str:
        """Return it in words that follow: "on this host", "on controller-2"."""

    def templates(self, directories: Sequence[PurePosixPath]) -> frozenset[PurePosixPath]:
        """Return the templates one and two levels below these directories; one that is not there
        has none.

        :raises TemplatesUnreadable, ReachError: they cannot be listed.
        """

    def copy(self, copy: Copy) -> None:
        """Make a copy whole or not at all; a target that is there stays as it is.

        :raises TemplateNotCopied, ReachError: it was not made.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Controllers:
    """Looks at each controller by itself, and compares them."""

    controllers: Sequence[Controller]
    directories: tuple[PurePosixPath, ...]

    def look(
        self, versions: Sequence[DatastoreVersion], *, is_fixing: bool
    ) -> Iterator[CheckResult]:
        """Yield a result for each controller and version, and one for each version that they do not
        agree on.  `is_fixing`: make the copies that would be proposed.
        """
        by_place: dict[str, list[Finding]] = {}
        for controller in self.controllers:
            try:
                found = list(self._templates_of(controller).look(versions))
                results = [_fixed(controller, one) if is_fixing else one.result for one in found]
                if results != [one.result for one in found]:
                    found = list(self._templates_of(controller).look(versions))
            except exceptions.TroveUpgradeError as error:
                name = f'templates {controller.place}'
                yield CheckResult.unknown(name, error.message, error.code)
                continue
            by_place[controller.place] = found
            yield from results
        yield from _differences(by_place)

    def _templates_of(self, controller: Controller) -> Templates:
        return Templates(
            place=controller.place,
            directories=self.directories,
            files=controller.templates(self.directories),
        )


def _fixed(controller: Controller, finding: Finding) -> CheckResult:
    copy = finding.copy
    if copy is None:
        return finding.result
    try:
        controller.copy(copy)
    except exceptions.TroveUpgradeError as error:
        found = f'{finding.result.message} It could not be copied: {error.message}'
        return dataclasses.replace(finding.result, message=found)
    message = f'Copied {copy.source} to {copy.target} {controller.place}.'
    return CheckResult.ok(finding.result.name, message)


def _differences(by_place: dict[str, list[Finding]]) -> Iterator[CheckResult]:
    """Yield a result for each version for which not all controllers take the same file."""
    for findings in zip(*by_place.values(), strict=True):
        if len({finding.taken for finding in findings}) > 1:
            taken = '; '.join(
                f'{place} {finding.taken or "none"}'
                for place, finding in zip(by_place, findings, strict=True)
            )
            yield CheckResult.warning(
                f'{name_of(findings[0].version)} on all controllers',
                f'They do not take the same: {taken}. A guest gets the configuration of the '
                'controller that works on it. Give all of them the same directories.',
                'BRIDGE_TEMPLATE_DIFFERS',
            )
