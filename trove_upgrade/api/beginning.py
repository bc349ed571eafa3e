# SPDX-License-Identifier: Apache-2.0
"""Beginning of an upgrade, whichever request asks for it, and the choices that come with it."""

import datetime
from collections.abc import Mapping
from typing import Any, NoReturn

from trove_upgrade.api import errors, targets
from trove_upgrade.api.call import Call, HandedOn, utc_of
from trove_upgrade.api.services import GuestWithoutAgent
from trove_upgrade.db.migrations import gate
from trove_upgrade.domain import holds, instances, logs, refusals
from trove_upgrade.domain.upgrades import Upgrade

LOG = logs.get_logger(__name__)


def begin(
    call: Call, instance_id: str, asked: Mapping[str, Any], *, may_be_left: bool
) -> tuple[instances.Instance, Upgrade]:
    """Begin the upgrade that the body asks for, and nudge a taskmanager.

    `may_be_left`: Trove behind us could serve the request, too.

    :raises InstanceBusy: 422; something else holds the instance, and nothing was written.
    :raises InstanceHasNoServer: 422; there is nothing to rebuild.
    :raises GuestAgentMissing: 422; beside Trove, the guest has not told of our agent lately.
    :raises OlderService: 422; one that runs does not know the choices.
    :raises HandedOn: the guest has no agent, and the operator leaves such guests to Trove.
    """
    with call.services.repos.database.one_connection():
        choices = choices_of(call, asked)
        row, upgrade = _begin(call, instance_id, asked['datastore_version'], choices, may_be_left)
    LOG.info(
        'Upgrade %s of instance %s: PENDING, from %s %s to %s, asked for by user %s%s',
        upgrade.id,
        row.id,
        row.version.datastore_name,
        row.version.name,
        upgrade.target_number,
        call.context.user_id,
        ', to be held' if choices.asks_for_hold else '',
    )
    call.services.taskmanager.upgrade(call.context, upgrade)
    return row, upgrade


def choices_of(call: Call, asked: Mapping[str, Any]) -> holds.Choices:
    """Return the choices of a body that its schema has passed.

    :raises NotBeforeInvalid: the time has no zone, is none, is over or too far ahead.
    :raises HoldAndNotBefore: both are there.
    """
    on_failure = asked.get('on_failure')
    if asked.get('hold') and 'not_before' in asked:
        raise errors.HoldAndNotBefore
    return holds.Choices(
        on_failure=None if on_failure is None else holds.OnFailure(on_failure),
        hold=bool(asked.get('hold')),
        not_before=_not_before(call, asked.get('not_before')),
    )


def _not_before(call: Call, text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        moment = utc_of(text)
    except ValueError as error:
        raise errors.NotBeforeInvalid(found=f'it is {error}') from error
    longest = datetime.timedelta(seconds=call.services.settings.longest_hold_seconds)
    ahead = moment - call.services.repos.upgrades.now()
    if ahead > longest:
        raise errors.NotBeforeInvalid(found=f'it is more than {longest} ahead')
    if ahead < -holds.LATE:
        over = datetime.timedelta(seconds=-round(ahead.total_seconds()))
        raise errors.NotBeforeInvalid(found=f'it is over for {over}')
    return moment


def _begin(
    call: Call, instance_id: str, id_or_name: str, choices: holds.Choices, may_be_left: bool
) -> tuple[instances.Instance, Upgrade]:
    row, named = targets.instance_with_named(call, instance_id, id_or_name)
    settings = call.services.settings
    has_none = choices == holds.NO_CHOICES
    is_left = settings.guest_without_agent is GuestWithoutAgent.LEAVE and may_be_left and has_none
    guests = call.services.repos.guests
    if is_left and not guests.heard(row.id, settings.guest_silence_seconds):
        _leave(call, row)
    target = targets.target_of(call, row, id_or_name, named)
    if not has_none and gate.older_service(call.services.repos.services) is not None:
        raise refusals.OlderService(instance_id=row.id)
    # '' for a version that has tags only: the precheck takes the newest image that has them.
    return row, call.services.repos.upgrades.begin(
        row,
        target,
        target_image_id=target.image_id or '',
        request_id=call.context.request_id,
        user_id=call.context.user_id,
        agent_silence_seconds=(
            None if settings.guest_without_agent is None else settings.guest_silence_seconds
        ),
        choices=choices,
    )


def _leave(call: Call, instance: instances.Instance) -> NoReturn:
    """Leave the upgrade to Trove, unless one of ours still works on the volume.

    :raises HandedOn: none does.
    :raises InstanceBusy, InstanceNeedsRetry: one does.
    """
    obstacle = call.services.repos.upgrades.why_not_leave(instance)
    if obstacle is not None:
        raise obstacle
    LOG.info(
        'The upgrade of instance %s is left to Trove: its guest has not told of our agent lately, '
        'and [trove_upgrade] guest_without_agent is "pass"',
        instance.id,
    )
    raise HandedOn
