# SPDX-License-Identifier: Apache-2.0
"""All checks of one instance."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

from trove_upgrade.bridge.server_ports import ServerPorts
from trove_upgrade.bridge.verification import backups, ports, rows, status, version
from trove_upgrade.bridge.verification.accounts import NAME as USER
from trove_upgrade.bridge.verification.accounts import Accounts
from trove_upgrade.bridge.verification.expected import Expected
from trove_upgrade.domain.database_service import (
    DatabaseInstance,
    DatabaseService,
    DatabaseServiceRefused,
    DatabaseServiceUnavailable,
    NotOffered,
)
from trove_upgrade.domain.ports import Clock
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.domain.verified import Outcome, Verified
from trove_upgrade.domain.waits import Pause, Tell, silent

_Check = Callable[[], Verified]


class Upgrades(Protocol):
    """Upgrades, as these checks need them."""

    def get(self, upgrade_id: str) -> Upgrade:
        """Return an upgrade with its whole progress.

        :raises UpgradeNotFound: there is none.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verifier:
    """Looks at an instance as its owner would, and compares it with what it was."""

    service: DatabaseService
    server_ports: ServerPorts
    upgrades: Upgrades
    clock: Clock
    pause: Pause
    token: Callable[[int], str]  #: so many random bytes as digits and small letters
    wait_seconds: float = 180.0  #: Trove's agent reports each minute
    look_seconds: float = 5.0  #: Trove takes 200 requests of a user a minute

    def verify(
        self, expected: Expected, tell: Tell = silent, record_user: Tell = silent
    ) -> tuple[Verified, ...]:
        """Return the result of every check; `tell` is called at each pause, and may raise.

        `record_user` keeps the name of the user that is about to be created.

        :raises InstanceNotFound: the service has no such instance.
        :raises UpgradeNotFound: there is no such upgrade.
        :raises ServerNotFound: Nova has no such server.
        :raises DatabaseServiceUnavailable, NetworkUnavailable, ComputeUnavailable: an outage, which
            is no fact of this instance.
        """
        shown = self._serving(expected.instance_id, tell)
        server_ports = self.server_ports.of(expected.server_id)
        upgrade = self.upgrades.get(expected.upgrade_id)
        accounts = Accounts(
            service=self.service, clock=self.clock, pause=self.pause, token=self.token
        )
        left = [] if expected.left_user is None else [expected.left_user]

        def record(name: str) -> None:
            record_user(name)
            left.append(name)  # a check without an answer is made once more

        instance_id, version_id = expected.instance_id, expected.version_id
        checks: dict[str, _Check] = {
            version.NAME: lambda: version.check(shown, self.service.version(version_id)),
            status.NAME: lambda: status.check(shown, self.wait_seconds),
            ports.GROUPS: lambda: ports.check_groups(server_ports, expected),
            ports.ADDRESSES: lambda: ports.check_addresses(shown, server_ports, expected),
            backups.NAME: lambda: backups.check(self.service, instance_id),
            USER: lambda: accounts.check(instance_id, tell, left=left, record=record),
            rows.NAME: lambda: rows.check(upgrade, instance_id, version_id),
        }
        return tuple(self._made(name, check, instance_id) for name, check in checks.items())

    def _serving(self, instance_id: str, tell: Tell) -> DatabaseInstance:
        """Return the instance once the service shows that it serves, or as it is in the end."""
        until = self.clock.monotonic() + self.wait_seconds
        while True:
            shown = self.service.instance(instance_id)
            if shown.is_serving or self.clock.monotonic() >= until:
                return shown
            tell(f'The service shows {shown.state}.')
            self.pause.sleep(self.look_seconds)

    def _made(self, name: str, check: _Check, instance_id: str) -> Verified:
        """Return the result.  A check that gets no answer is made once more; no answer then is a
        fault of this instance if the service answers otherwise: Trove gives it where its agent does
        not answer.
        """
        try:
            return self._once(name, check)
        except DatabaseServiceUnavailable:
            self.service.instance(instance_id)
        try:
            return self._once(name, check)
        except DatabaseServiceUnavailable as error:
            self.service.instance(instance_id)
            return Verified.failed(name, error.message)

    @staticmethod
    def _once(name: str, check: _Check) -> Verified:
        try:
            return check()
        except NotOffered as error:
            return Verified(name, Outcome.NOT_OFFERED, error.message)
        except DatabaseServiceRefused as error:
            return Verified.failed(name, error.message)
