# SPDX-License-Identifier: Apache-2.0
"""Calls of a step to the guest: the arguments, the pace, and what the answers mean."""

import dataclasses
import datetime
from collections.abc import Callable, Mapping
from typing import Any

from trove_upgrade.domain import exceptions, guests, ports, upgrade_info, versions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.outcomes import Wait
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrades import Upgrade


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calls:
    """Builds guest calls and paces them."""

    datastores: ports.DatastoreRepository
    clock: ports.Clock
    options: GuestOptions  #: the operator's choices
    poll_seconds: float  #: at first
    poll_max_seconds: float
    call_timeout_seconds: float  #: how long one call may last

    def facts(self, version_id: str, manager: str, number: str) -> TargetFacts:
        """Return what registering the target version recorded of its image,
        with what the upgrade itself says.
        """
        recorded = self._recorded(version_id)
        return dataclasses.replace(
            self._of_version(recorded, version_id, number),
            server_version=recorded.server_version or spoken(number),
            datastore_manager=manager,
            configuration_parameters=tuple(self.datastores.configuration_parameters(version_id)),
        )

    def _recorded(self, version_id: str) -> TargetFacts:
        return TargetFacts.from_wire(self.datastores.target_facts(version_id))

    def _of_version(self, facts: TargetFacts, version_id: str, number: str) -> TargetFacts:
        """Return `facts` with what Trove's upgrade says of the version: a guest that runs
        containers makes the image's tag of its number, as Trove's agent does.
        """
        try:
            version = self.datastores.version_by_id(version_id)
        except exceptions.DatastoreVersionNotFound:
            # deleted by an operator since: the upgrade itself knows the number
            return dataclasses.replace(facts, version_number=number)
        return dataclasses.replace(
            facts,
            version_number=version.number,
            version_name=version.name,
            image_id=version.image_id or '',
            others={**facts.others, 'packages': version.packages},
        )

    def with_facts(self, upgrade: Upgrade) -> guests.GuestCall:
        """Make a call for what is checked against the target; the facts are too many to travel with
        every other call.
        """
        call = self.plain(
            upgrade,
            self.facts(upgrade.target_version_id, upgrade.datastore_manager, upgrade.target_number),
        )
        if not self.options.carry_image:
            return call
        former = self._recorded(upgrade.former_version_id).container_image_id
        return dataclasses.replace(
            call, options=dataclasses.replace(call.options, former_image_id=former)
        )

    def plain(
        self,
        upgrade: Upgrade,
        target: TargetFacts | None = None,
        *,
        seconds: float | None = None,
    ) -> guests.GuestCall:
        """A call with the step's own deadline, or `seconds` from now."""
        now, deadline = self.clock.now(), upgrade.step_deadline
        if deadline is None or seconds is not None:
            deadline = now + datetime.timedelta(seconds=3600 if seconds is None else seconds)
        if target is None:
            target = self._short(upgrade)
        # frozen; the version may have been given another one since, or have tags
        if upgrade.wanted_image_id:
            target = dataclasses.replace(target, image_id=upgrade.wanted_image_id)
        options = dataclasses.replace(
            self.options,
            rollback=upgrade.is_rolling_back,
            # the former guest is not believed about the image that its successor is to run
            carry_image=self.options.carry_image and bool(target.container_image_id),
        )
        return guests.GuestCall(
            instance_id=upgrade.instance_id,
            upgrade_id=upgrade.id,
            attempt=upgrade.attempt,
            generation=upgrade.generation,
            deadline=deadline,
            target=target,
            options=options,
            upgrade_info=_facts_of(upgrade),
            seconds=guests.whole_seconds((deadline - now).total_seconds()),
        )

    def _short(self, upgrade: Upgrade) -> TargetFacts:
        """The facts that each call carries."""
        version_id, number = upgrade.wanted_version_id, upgrade.wanted_number
        recorded = self._recorded(version_id)
        own = TargetFacts(
            server_version=spoken(number),
            datastore_manager=upgrade.datastore_manager,
            container_image=recorded.container_image or '',
            container_image_id=recorded.container_image_id,
        )
        return self._of_version(own, version_id, number)

    def may_carry(self, upgrade: Upgrade, image_id: str) -> bool:
        """Return whether the volume may bring the container image of this id: the operator lets
        images be carried, and the version that is to serve names it.
        """
        named = self._recorded(upgrade.wanted_version_id).container_image_id
        return self.options.carry_image and named == image_id

    def ask_again(self, upgrade: Upgrade, answer: guests.GuestAnswer) -> Wait:
        """The guest works: soon at first, then less often."""
        runs = next(
            (
                run.runs
                for run in reversed(upgrade.steps)
                if run.step is upgrade.step and run.attempt == upgrade.attempt
            ),
            0,
        )
        seconds = min(self.poll_max_seconds, self.poll_seconds * 1.5 ** min(runs, 40))
        return Wait(
            upgrade=upgrade, seconds=seconds, message=answer.message, percent=answer.percent
        )


def _facts_of(upgrade: Upgrade) -> Mapping[str, Any]:
    """Return the facts of pre_upgrade as they travel; none where what an earlier release has stored
    is not of their form: the guest refuses what it cannot do without them.
    """
    try:
        return upgrade.progress.quiesce.info.checked()
    except upgrade_info.Invalid:
        return {}


def answered(
    ask: Callable[[guests.GuestCall], guests.GuestAnswer],
    call: guests.GuestCall,
    failure: type[exceptions.StepRefused] | type[exceptions.StepFailed],
) -> guests.GuestAnswer:
    """An answer that is RUNNING or DONE.

    :raises StepRefused, StepFailed: as `failure` says, if the guest refused or failed.
    """
    return settled(ask(call), failure)


def settled(
    answer: guests.GuestAnswer, failure: type[exceptions.StepRefused] | type[exceptions.StepFailed]
) -> guests.GuestAnswer:
    """Return the answer if it is RUNNING or DONE. Raises as `answered`."""
    if answer.state in {guests.JobState.REFUSED, guests.JobState.FAILED}:
        raise failure(answer.message, answer.code or f'GUEST_{answer.state}')
    return answer


def spoken(number: str) -> str:
    """A version as a server says it: '11.8.6', from names such as mariadb-11.8.6; as it is where
    nothing reads as one.
    """
    read = versions.read_number(number)
    return '.'.join(str(part) for part in read) if read else number
