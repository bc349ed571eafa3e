# SPDX-License-Identifier: Apache-2.0
"""The version that the service shows."""

from trove_upgrade.bridge.verification.result import Verified
from trove_upgrade.domain.database_service import DatabaseInstance, OfferedVersion

NAME = 'version'


def check(shown: DatabaseInstance, target: OfferedVersion) -> Verified:
    """Compare names and numbers: an instance is shown without the id of its version, and one name
    may stand for several numbers.
    """
    found = _words(shown.version_name, shown.version_number)
    wanted = _words(target.name, target.number)
    is_other_number = (
        None not in {shown.version_number, target.number} and shown.version_number != target.number
    )
    if shown.version_name != target.name or is_other_number:
        return Verified.failed(NAME, f'The service shows version {found}; the target is {wanted}.')
    return Verified.ok(NAME, f'The service shows version {found}.')


def _words(name: str, number: str | None) -> str:
    return name if number in {None, name} else f'{name} ({number})'
