# SPDX-License-Identifier: Apache-2.0
"""Users and groups by name: the same name has different numbers on different images."""

import functools
import grp
import pwd
from typing import Protocol


class Accounts(Protocol):
    """The accounts of the running root disk."""

    def user_name(self, uid: int) -> str | None:
        """Return the user's name; None if the number has none."""

    def group_name(self, gid: int) -> str | None:
        """Return the group's name; None if the number has none."""

    def user_id(self, name: str) -> int | None:
        """Return the user's number; None if there is no such user."""

    def group_id(self, name: str) -> int | None:
        """Return the group's number; None if there is no such group."""


class SystemAccounts:
    """Implements Accounts by what the C library knows."""

    def user_name(self, uid: int) -> str | None:
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return None

    def group_name(self, gid: int) -> str | None:
        try:
            return grp.getgrgid(gid).gr_name
        except KeyError:
            return None

    def user_id(self, name: str) -> int | None:
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            return None

    def group_id(self, name: str) -> int | None:
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            return None


class Remembered:
    """Asks another Accounts once for each name and number; for the length of one operation, in
    which none changes.
    """

    def __init__(self, accounts: Accounts) -> None:
        self.user_name = functools.cache(accounts.user_name)
        self.group_name = functools.cache(accounts.group_name)
        self.user_id = functools.cache(accounts.user_id)
        self.group_id = functools.cache(accounts.group_id)
