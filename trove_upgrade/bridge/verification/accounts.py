# SPDX-License-Identifier: Apache-2.0
"""A user of the database that is created, listed and dropped again."""

import dataclasses
from collections.abc import Callable, Sequence

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.database_service import DatabaseService, DatabaseServiceUnavailable
from trove_upgrade.domain.ports import Clock
from trove_upgrade.domain.verified import Verified
from trove_upgrade.domain.waits import Pause, Tell
from trove_upgrade.waiting import wait_until

LOG = logs.get_logger(__name__)

NAME = 'user'
#: With seven more characters it is as long as a name of a MySQL user may be for Trove.  Source:
#: trove/common/db/mysql/models.py, MySQLUser (Trove 26).
PREFIX = 'tu_check_'
_LONGEST_NAME = 16
_TIMES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accounts:
    """Checks that the service reaches the database through its own agent.

    The name is recorded before the user is created, so that the next check drops one that a killed
    check has left, and no other.
    """

    service: DatabaseService
    clock: Clock
    pause: Pause
    token: Callable[[int], str]  #: so many random bytes as digits and small letters
    wait_seconds: float = 60.0  #: the agent does it after the service has answered
    look_seconds: float = 3.0

    def check(
        self, instance_id: str, tell: Tell, *, left: Sequence[str], record: Callable[[str], None]
    ) -> Verified:
        """Create a user, wait until it is listed, and drop it, whatever becomes of the rest.

        `left` are the names that earlier checks recorded.

        :raises NotOffered: the service has no users.
        """
        for name in set(left).intersection(self._names(instance_id)):
            self.service.drop_user(instance_id, name)
        name = f'{PREFIX}{self.token(8)}'[:_LONGEST_NAME]
        record(name)
        try:
            # kinds of characters that a server may ask for in a password
            self.service.create_user(instance_id, name, f'Tu-{self.token(16)}')
            was_listed = self._comes_true(lambda: name in self._names(instance_id), tell)
        except BaseException:  # an interruption, too
            self._drop(instance_id, name)
            raise
        if not self._drop(instance_id, name):
            return Verified.failed(NAME, f'User {name} could not be dropped. Drop it.')
        if not was_listed:
            return Verified.failed(
                NAME,
                f'User {name} was not listed within {self.wait_seconds:g} s. It is dropped; look '
                'whether it comes later, and at the agent of Trove in the guest.',
            )
        dropped = {name, *left}  # the agent may drop them in any order
        if not self._comes_true(lambda: dropped.isdisjoint(self._names(instance_id)), tell):
            listed = ', '.join(sorted(dropped.intersection(self._names(instance_id)))) or name
            return Verified.failed(
                NAME, f'User {listed} is still listed {self.wait_seconds:g} s after it was dropped.'
            )
        return Verified.ok(NAME, 'A user was created, listed and dropped.')

    def _names(self, instance_id: str) -> list[str]:
        """Return the names of users of such checks."""
        found = self.service.users(instance_id)
        return [user.name for user in found if user.name.startswith(PREFIX)]

    def _comes_true(self, condition: Callable[[], bool], tell: Tell) -> bool:
        def wait(seconds: float) -> None:
            tell('The agent of Trove is waited for.')
            self.pause.sleep(seconds)

        return wait_until(
            condition,
            self.wait_seconds,
            monotonic=self.clock.monotonic,
            sleep=wait,
            interval_seconds=self.look_seconds,
        )

    def _drop(self, instance_id: str, name: str) -> bool:
        """Return whether it is done; an outage is waited for a little."""
        remaining = _TIMES
        while True:
            try:
                self.service.drop_user(instance_id, name)
            except exceptions.TroveUpgradeError as error:
                LOG.warning('User %s of instance %s: %s', name, instance_id, error.message)
                remaining -= 1
                if not remaining or not isinstance(error, DatabaseServiceUnavailable):
                    return False
                self.pause.sleep(self.look_seconds)
            else:
                return True
