# SPDX-License-Identifier: Apache-2.0
"""Step `verify`: looks at an upgraded member by the API, as its tenant would."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

from trove_upgrade.bridge.steps.step import Done, Save, Stopped
from trove_upgrade.bridge.verification.expected import Expected
from trove_upgrade.bridge.visit import Visit
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.bridge_runs import Member
from trove_upgrade.domain.verified import Outcome, Verified
from trove_upgrade.domain.waits import Tell


class NotVerified(exceptions.TroveUpgradeError):
    """An upgraded instance is not as it should be."""

    code = 'BRIDGE_NOT_VERIFIED'
    template = (
        'Instance {instance_id} was upgraded, and is not as it should be: {found} Mend it there; '
        'the upgrade itself is complete.'
    )


class Verifier(Protocol):
    """Looks at one instance."""

    def verify(self, expected: Expected, tell: Tell, record_user: Tell) -> Sequence[Verified]:
        """Return the result of every look; `tell` is called at each pause, and may raise;
        `record_user` with the name of a user that is about to be created.

        :raises TroveUpgradeError: a service gives no answer.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verify:
    """Records every result; one that failed fails the member."""

    verifier: Verifier
    is_stopping: Callable[[], bool]

    def run(self, member: Member, visit: Visit, save: Save) -> Done:  # noqa: ARG002 - as each step
        def paused(message: str) -> None:  # noqa: ARG001 - what is waited for is in its result
            save(member)  # an operator may have ended the run, or another host has it
            if self.is_stopping():
                raise Stopped

        def about_to_create(user: str) -> None:
            nonlocal member
            member = save(member.learned(check_user=user))

        verified = tuple(self.verifier.verify(_expected(member), paused, about_to_create))
        member = save(member.learned(verified=verified))
        failed = [one for one in verified if one.is_failure]
        if failed:
            found = ' '.join(f'{one.name}: {one.message}' for one in failed)
            raise NotVerified(instance_id=member.instance_id, found=found)
        return Done(member, _told(verified))


def _expected(member: Member) -> Expected:
    facts = member.facts
    return Expected(
        instance_id=member.instance_id,
        server_id=member.server_id or '',
        version_id=facts.target_version_id or '',
        addresses=facts.addresses,
        groups={nic.port_id: nic.security_groups for nic in facts.nics},
        upgrade_id=facts.upgrade_id or '',
        left_user=facts.check_user,
    )


def _told(verified: Sequence[Verified]) -> str:
    well = ', '.join(one.name for one in verified if one.outcome is Outcome.OK)
    absent = ', '.join(one.name for one in verified if one.outcome is Outcome.NOT_OFFERED)
    return f'As it should be: {well}.' + (f' Not offered here: {absent}.' if absent else '')
