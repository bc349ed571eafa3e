# SPDX-License-Identifier: Apache-2.0
"""The start of the database's container by the engine at boot: its restart policy, which the engine
keeps on the root disk.
"""

import pathlib
from typing import Any

from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import autostart
from trove_upgrade.guestagent.datastores.mysql_family.container.names import DATABASE
from trove_upgrade.guestagent.machine import durable
from trove_upgrade.guestagent.machine import service as service_module
from trove_upgrade.guestagent.machine.containers.engine import Engine

OFF = 'no'
#: What Trove's agent gives, and what a container gets whose own would not bring it back after a
#: boot.
DURABLE = 'unless-stopped'
DURABLE_POLICIES = frozenset({'always', DURABLE})
_ENGINE_SERVICE = 'docker'


class ContainerAutostart(autostart.Autostart):
    """Start of the database's container at boot, by its restart policy in the place of a
    service.
    """

    def __init__(
        self, engine: Engine, service: service_module.ServicePort, memory: pathlib.Path
    ) -> None:
        super().__init__(service, memory)
        self._engine = engine

    def switch_off(self) -> None:
        """The engine starts it neither at boot nor when it ends.  A second call forgets nothing of
        what the first remembered.
        """
        container = self._engine.inspect(DATABASE)
        if container is None:
            return
        remembered = self._memories()
        if container.restart_policy != OFF or 'policy' not in remembered:
            durable.make_directory(self._memory.parent, 0o700)
            durable.write_json(self._memory, {'policy': container.restart_policy})
        self._engine.set_restart_policy(DATABASE, OFF)

    def policy(self) -> str:
        """Return the restart policy as it is, or as it was before it was switched off."""
        container = self._engine.inspect(DATABASE)
        if container is not None and container.restart_policy != OFF:
            return container.restart_policy
        return str(self._memories().get('policy') or OFF)

    def remember_running(self) -> None:
        """Remember nothing: there is one container, of a known name."""

    def switch_on_ours(self) -> None:
        """The engine starts it at boot; one that is not made yet gets its policy at its opening."""
        container = self._engine.inspect(DATABASE)
        if container is not None and container.restart_policy not in DURABLE_POLICIES:
            self._engine.set_restart_policy(DATABASE, DURABLE)

    def undo(self) -> None:
        """Restore the restart policy that was before `switch_off`."""
        policy = self._memories().get('policy')
        container = self._engine.inspect(DATABASE)
        if policy is not None and container is not None and container.restart_policy != policy:
            self._engine.set_restart_policy(DATABASE, str(policy))

    def running(self) -> str | None:
        """The container's name if it runs."""
        container = self._engine.inspect(DATABASE)
        return DATABASE if container is not None and container.running else None

    def former(self) -> str:
        """Return the name of the one container that runs the database."""
        return DATABASE

    def durability(self) -> CheckResult:
        """Check that a plain reboot brings the database back."""
        name, container = 'guest_autostart', self._engine.inspect(DATABASE)
        policy = container.restart_policy if container is not None else None
        if policy not in DURABLE_POLICIES:
            return CheckResult.refused(
                name,
                (
                    'The database would not come back after a reboot: the restart policy of '
                    f'container {DATABASE} is {policy}. Retry the upgrade.'
                ),
                Code.AUTOSTART_NOT_DURABLE,
            )
        if self._service.exists(_ENGINE_SERVICE) and not self._service.is_enabled(_ENGINE_SERVICE):
            return CheckResult.refused(
                name,
                (
                    f'The database would not come back after a reboot: service {_ENGINE_SERVICE} '
                    'is not enabled. Build the image with it enabled, or enable it, and retry the '
                    'upgrade.'
                ),
                Code.AUTOSTART_NOT_DURABLE,
            )
        return CheckResult.ok(name, f'Container {DATABASE} is started at boot ({policy}).')

    def _memories(self) -> dict[str, Any]:
        try:
            return durable.read_json(self._memory)
        except FileNotFoundError:
            return {}
