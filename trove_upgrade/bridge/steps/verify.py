# SPDX-License-Identifier: Apache-2.0
"""Step `verify`: looks at an upgraded member by the API, as its tenant would."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from trove_upgrade.bridge.steps.step import Done, Save
from trove_upgrade.bridge.visit import Visit
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.bridge_runs import Member, Verdict, Verified


class NotVerified(exceptions.TroveUpgradeError):
    """An upgraded instance is not as it should be."""

    code = 'BRIDGE_NOT_VERIFIED'
    template = (
        'Instance {instance_id} was upgraded, and is not as it should be: {found} Mend it there; '
        'the upgrade itself is complete.'
    )


class Verifier(Protocol):
    """Looks at one member."""

    def verify(self, member: Member) -> Sequence[Verified]:
        """Return the result of every look.

        :raises TroveUpgradeError: a service gives no answer.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verify:
    """Records every result; one that failed fails the member."""

    verifier: Verifier

    def run(self, member: Member, visit: Visit, save: Save) -> Done:  # noqa: ARG002 - as each step
        verified = tuple(self.verifier.verify(member))
        member = save(member.learned(verified=verified))
        failed = [one for one in verified if one.verdict is Verdict.FAILED]
        if failed:
            found = ' '.join(f'{one.name}: {one.message}' for one in failed)
            raise NotVerified(instance_id=member.instance_id, found=found)
        return Done(member, _told(verified))


def _told(verified: Sequence[Verified]) -> str:
    well = ', '.join(one.name for one in verified if one.verdict is Verdict.OK)
    absent = ', '.join(one.name for one in verified if one.verdict is Verdict.NOT_OFFERED)
    return f'As it should be: {well}.' + (f' Not offered here: {absent}.' if absent else '')
