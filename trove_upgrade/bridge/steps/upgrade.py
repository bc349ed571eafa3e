# SPDX-License-Identifier: Apache-2.0
"""Step `upgrade`: hands the member to the ordinary upgrade, by the API, and waits for its end."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

from trove_upgrade.bridge.server_ports import ServerPorts
from trove_upgrade.bridge.steps.step import Done, Save, Stopped
from trove_upgrade.bridge.verification.expected import addresses_of, groups_of
from trove_upgrade.bridge.visit import Settle, Visit
from trove_upgrade.domain import exceptions, states
from trove_upgrade.domain.bridge_ends import OtherUpgrade, UpgradeAborted, UpgradeHeld
from trove_upgrade.domain.bridge_runs import NO_UPGRADE, Member, Nic
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.database_service import DatabaseInstance, DatabaseServiceRefused
from trove_upgrade.domain.pace import Hosts
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.domain.waits import Pause


class UpgradeNotCompleted(exceptions.TroveUpgradeError):
    """The upgrade of a member has ended otherwise than wished."""

    code = 'BRIDGE_UPGRADE_NOT_COMPLETED'
    template = (
        'Upgrade {upgrade_id} of instance {instance_id} is {state}: {cause} Look at it with '
        '"trove-upgrade-manage upgrade show {upgrade_id}"; retry it or roll it back.'
    )


class UpgradeNotBegun(exceptions.TroveUpgradeError):
    """The API has taken the request, and no upgrade is in the tables."""

    code = 'BRIDGE_UPGRADE_NOT_BEGUN'
    template = (
        'The API has accepted the upgrade of instance {instance_id}, and the tables have none: '
        'the API that answers at the catalogue\'s "database" endpoint is not that of this '
        'product, has another database, or has handed the request to Trove, as our agent was not '
        'heard lately. Look at its pipeline, and at the guest.'
    )


class Api(Protocol):
    """API of the database service, as an operator's client speaks it."""

    def instance(self, instance_id: str) -> DatabaseInstance:
        """Return an instance as the service shows it."""

    def upgrade(self, instance_id: str, version_id: str) -> None:
        """Ask for an upgrade.

        :raises TroveUpgradeError: it is refused, or no answer came.
        """


class Upgrades(Protocol):
    """Upgrades in the tables."""

    def latest_of(self, instance_id: str) -> Upgrade | None:
        """Return the newest upgrade of an instance; None: it has none."""

    def get(self, upgrade_id: str) -> Upgrade:
        """Return an upgrade as it is now."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpgradeMember:
    """Asks once, whatever is killed meanwhile, and waits."""

    api: Api
    upgrades: Upgrades
    server_ports: ServerPorts
    pause: Pause
    tell: Callable[[Member, str], None]
    is_stopping: Callable[[], bool]
    settle_hosts: Settle
    look_seconds: float = 2.0

    def run(self, member: Member, visit: Visit, save: Save) -> Done:  # noqa: ARG002 - as each step
        if member.facts.upgrade_id is None:
            member = self._begun(member, save)
        upgrade = self._ended(member, save)
        if upgrade.error_code == Code.ABORTED_ON_REQUEST:
            raise UpgradeAborted(upgrade_id=upgrade.id, instance_id=member.instance_id)
        if upgrade.state is not states.UpgradeState.COMPLETED:
            raise UpgradeNotCompleted(
                upgrade_id=upgrade.id,
                instance_id=member.instance_id,
                state=upgrade.state,
                cause=upgrade.cause or 'it has told no cause.',
            )
        return Done(member, f'Upgrade {upgrade.id} is COMPLETED.')

    def _begun(self, member: Member, save: Save) -> Member:
        """Return the member with its upgrade's id.  A request whose answer was lost is found again
        by what is newer than before.
        """
        latest = self.upgrades.latest_of(member.instance_id)
        if member.facts.asked_after is None:
            before = NO_UPGRADE if latest is None else latest.id
            member = save(self._as_it_is(member).learned(asked_after=before))
        began = self._newer(member, latest)
        if began is None:
            began = self._asked(member)
        if began is None:
            raise UpgradeNotBegun(instance_id=member.instance_id)
        if began.target_version_id != member.facts.target_version_id:
            raise OtherUpgrade(
                instance_id=member.instance_id,
                upgrade_id=began.id,
                version_id=began.target_version_id,
            )
        _require_not_held(began)
        return save(member.learned(upgrade_id=began.id))

    def settle(self, member: Member) -> Member:
        """Return a member that is to be turned back with its upgrade, where one has begun, another
        client's too, and else as one for which none was asked.
        """
        latest = self.upgrades.latest_of(member.instance_id)
        is_handed_over = member.facts.is_handed_over
        began = self._newer(member, latest) if is_handed_over else None
        if began is None and latest is not None and latest.state in states.ACTIVE:
            began = latest  # one that is held needs our agent as soon as it proceeds
        if began is None:
            return member.learned(asked_after=None)
        before = member.facts.asked_after if is_handed_over else NO_UPGRADE
        return member.learned(asked_after=before, upgrade_id=began.id)

    def _asked(self, member: Member) -> Upgrade | None:
        """Ask.  A refusal may come of an earlier request of ours that began late."""
        try:
            self.api.upgrade(member.instance_id, member.facts.target_version_id or '')
        except DatabaseServiceRefused as error:
            began = self._newer(member, self.upgrades.latest_of(member.instance_id))
            if began is not None:
                return began
            if error.error_code == Code.UPGRADE_HELD:
                found = str(error.facts['found']).rstrip('.')
                raise UpgradeHeld(instance_id=member.instance_id, found=found) from error
            raise
        return self._newer(member, self.upgrades.latest_of(member.instance_id))

    @staticmethod
    def _newer(member: Member, latest: Upgrade | None) -> Upgrade | None:
        is_newer = latest is not None and latest.id != member.facts.asked_after
        return latest if is_newer else None

    def _as_it_is(self, member: Member) -> Member:
        """Return the member with what its instance has now, to be compared afterwards.

        :raises NoRoom: enough other members load the server's host.
        """
        shown = self.api.instance(member.instance_id)
        server = self.server_ports.find(member.server_id)
        self.settle_hosts(
            member, Hosts(hypervisor=server.hypervisor)
        )  # no node leads there any more
        ports = server.ports
        nics = tuple(
            Nic(port_id=port_id, security_groups=groups)
            for port_id, groups in groups_of(ports).items()
        )
        return member.learned(nics=nics, addresses=addresses_of(shown, ports))

    def _ended(self, member: Member, save: Save) -> Upgrade:
        """Wait without a deadline: each step of an upgrade has its own, a hold has none."""
        told = None
        while True:
            upgrade = self.upgrades.get(member.facts.upgrade_id or '')
            if upgrade.state not in states.ACTIVE:
                return upgrade
            _require_not_held(upgrade)
            if upgrade.step is not told:
                told = upgrade.step
                self.tell(member, f'Upgrade {upgrade.id}: {told}')
            member = save(member)  # an operator may have ended the run, or another host has it
            if self.is_stopping():
                raise Stopped
            self.pause.sleep(self.look_seconds)


def _require_not_held(upgrade: Upgrade) -> None:
    """Let no member wait for an upgrade that waits itself; ours never does.

    :raises UpgradeHeld: it is held, or is to be.
    """
    if upgrade.state is states.UpgradeState.HELD or upgrade.is_to_be_held:
        found = f'upgrade {upgrade.id}, which another client has begun, is held'
        raise UpgradeHeld(instance_id=upgrade.instance_id, found=found)
