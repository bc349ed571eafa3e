# SPDX-License-Identifier: Apache-2.0
"""Backups after an upgrade, and the image that Trove makes them with: its agent runs each one in a
container of an image of the target's number.

Without such an image the data is safe and every backup fails, so that the check warns and refuses
nothing. The agent takes the image only where the registry has it, whatever the guest has. Source:
trove/guestagent/datastore/service.py and mysql/service.py, get_backup_image (Trove 26).
"""

from collections.abc import Callable, Sequence

from trove_upgrade.domain import exceptions, image_reference, versions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.machine.containers.engine import Engine

CHECK = 'backup_image'
#: The registry has none under any name that Trove tries.
NOT_FOUND = 'BACKUP_IMAGE_NOT_FOUND'
#: It could not be asked.
UNKNOWN = 'BACKUP_IMAGE_UNKNOWN'

#: From `backup_docker_image` and the number of a version to the names that Trove tries, in its
#: order.
Names = Callable[[str, str], Sequence[str]]


def by_tag(repository: str, number: str) -> Sequence[str]:
    """The number as the tag, then without its last part, and so on; a tag that the operator has
    written is the only one.
    """
    if _has_tag(repository):
        return (repository,)
    parts = number.split('.')
    return tuple(f'{repository}:{".".join(parts[:count])}' for count in range(len(parts), 0, -1))


def by_name_for_mysql(repository: str, number: str) -> Sequence[str]:
    """Name images as `by_tag` does; where the operator has written a tag, the first two parts of
    the number stand behind the repository's name.
    """
    read = versions.read_number(number)
    if not _has_tag(repository) or read is None:
        return by_tag(repository, number)
    name, _, tag = repository.rpartition(':')
    major, minor = (*read, 0)[:2]
    return (f'{name}{major}.{minor}:{tag}',)


class BackupImages:
    """Looks for the image of one guest's backups."""

    def __init__(self, engine: Engine, repository: str | None, names: Names) -> None:
        """`repository`: backup_docker_image of Trove's configuration."""
        self._engine = engine
        self._repository = repository
        self._names = names

    def check(self, target: TargetFacts) -> CheckResult:
        """Ask the registry by way of the guest's engine; nothing is brought here, and nothing is
        refused.
        """
        number = target.version_number or target.server_version
        if not self._repository:
            return CheckResult.ok(
                CHECK,
                'Trove makes no backups of the instance, before and after: backup_docker_image is '
                'not set.',
            )
        if not number:
            return self._unknown('the target names no version')
        if not image_reference.is_tag(number):
            return self._unknown(
                f'the number of the target, {number[:40]!r}, is no tag of an image'
            )
        names = self._names(self._repository, number)
        try:
            found = next((name for name in names if self._engine.is_published(name)), None)
        except exceptions.StepFailed as error:
            return self._unknown(error.message.rstrip('.'))
        if found is None:
            return CheckResult.warning(
                CHECK,
                (
                    'Trove can make no backups after the upgrade: the registry does not know '
                    f'backup image {" or ".join(names)}. Push it there, or '
                    "correct backup_docker_image in the guest's trove-guestagent.conf."
                ),
                NOT_FOUND,
            )
        return CheckResult.ok(CHECK, f'Trove will make backups with image {found}.')

    @staticmethod
    def _unknown(found: str) -> CheckResult:
        return CheckResult.warning(
            CHECK,
            (
                f'It is not known whether Trove can make backups after the upgrade: {found}. Make '
                'a full backup when the upgrade has ended, and see that it completes.'
            ),
            UNKNOWN,
        )


def _has_tag(repository: str) -> bool:
    """Tell whether there is a tag, as Trove looks: a colon in the last part, for a registry's port
    stands before.
    """
    return repository.rpartition('/')[2].find(':') > 0
