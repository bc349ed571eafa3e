# SPDX-License-Identifier: Apache-2.0
"""Owners of what comes from another root disk: the same name, else the same number, and never
another account.
"""

from collections.abc import Callable

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.storage.stash.accounts import Accounts, Remembered
from trove_upgrade.guestagent.storage.stash.manifest import Entry


class _Nameless:
    """Root alone is called the same everywhere."""

    def user_name(self, number: int) -> str | None:
        return 'root' if number == 0 else None

    def user_id(self, name: str) -> int | None:
        return 0 if name == 'root' else None

    group_name, group_id = user_name, user_id


class Owners:
    """Numbers on this root disk for owners and groups of the former one."""

    def __init__(self, stash: str, accounts: Accounts | None) -> None:
        """`stash` is its name, for messages.  Without `accounts` numbers count: a container has
        names of its own.
        """
        self._stash = stash
        self._accounts = Remembered(accounts) if accounts is not None else _Nameless()
        self.remarks: list[str] = []

    def of(self, entry: Entry) -> tuple[int, int]:
        """Return the owner and the group that `entry` gets.

        :raises StepFailed: STASH_OWNER_UNKNOWN; its number is another account's here, which root
            is, too.
        """
        known = self._accounts
        return (
            self._number(entry, 'user', entry.owner, entry.uid, known.user_id, known.user_name),
            self._number(entry, 'group', entry.group, entry.gid, known.group_id, known.group_name),
        )

    def _number(
        self,
        entry: Entry,
        kind: str,
        name: str | None,
        former: int,
        number_of: Callable[[str], int | None],
        name_of: Callable[[int], str | None],
    ) -> int:
        number = None if name is None else number_of(name)
        if number is not None and (number != 0 or name == 'root'):
            return number
        another = 'root' if former == 0 else name_of(former)
        if number is not None or another is not None:
            raise exceptions.StepFailed(
                f'The stash {self._stash} cannot be restored: {entry.path!r} belongs to {kind} '
                f'{name!r} with number {former}. This image has no such {kind}, and the number is '
                f'that of {another or "root"!r} here. Nothing was written. Build an image with '
                f'that {kind}, or give the file to another one before the upgrade.',
                'STASH_OWNER_UNKNOWN',
            )
        if name is not None and not isinstance(self._accounts, _Nameless):
            self.remarks.append(
                f'{entry.path!r} belongs to number {former} now: this image has no {kind} {name!r}'
            )
        return former
