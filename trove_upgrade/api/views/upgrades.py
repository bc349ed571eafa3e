# SPDX-License-Identifier: Apache-2.0
"""Upgrades, upgrade targets and upgrade checks: resources of our own."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from trove_upgrade.api.call import Call
from trove_upgrade.api.views import shapes
from trove_upgrade.domain import (
    actions,
    admission,
    concealment,
    downtime,
    instances,
    notes,
    states,
    versions,
)
from trove_upgrade.domain.actions import Action
from trove_upgrade.domain.estimates import PastUpgrade, estimate
from trove_upgrade.domain.holds import OnFailure
from trove_upgrade.domain.printable import printable
from trove_upgrade.domain.upgrade_checks import UpgradeCheck
from trove_upgrade.domain.upgrades import StepRun, Upgrade

#: Versions by id, those that still exist.
Versions = Mapping[str, instances.DatastoreVersion]
_OF_DATA = (
    'opened_at',
    'downtime_seconds',
    'downtime',
    'rollback_possible_until',
    'on_failure',
    'hold',
    'not_before',
    'held_since',
    'held_until',
    notes.WARNINGS,
    notes.REMARKS,
)
#: Notes of an upgrade by kind, as an answer holds them.
Notes = Mapping[str, list[dict[str, str]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prospect:
    """Expectations of an upgrade that goes on, by past ones; None: nothing is known."""

    expected_downtime: dict[str, Any] | None = None
    expected_seconds_left: float | None = None


NO_PROSPECT = Prospect()


def show(
    call: Call,
    upgrade: Upgrade,
    known: Versions,
    *,
    is_whole: bool = True,
    prospect: Prospect = NO_PROSPECT,
) -> dict[str, Any]:
    """An upgrade with its steps, and all that its tenant should learn of it.

    Where the row is not `is_whole`, an earlier release has kept more in its data than is read: what
    it says is null.
    """
    found = _notes(call, upgrade)
    document = {**_item(call, upgrade, known, found), **found, **vars(prospect)}
    return (
        document if is_whole else {**document, **dict.fromkeys((*_OF_DATA, notes.SETTINGS_CHANGED))}
    )


def item(call: Call, upgrade: Upgrade, known: Versions, *, is_whole: bool = True) -> dict[str, Any]:
    """An upgrade as it stands in a list: without the settings that have changed, which can be many.

    Where the row is not `is_whole`, what its data says is null: it is too
    long to be read for a list.
    """
    document = _item(call, upgrade, known, _notes(call, upgrade))
    return document if is_whole else {**document, **dict.fromkeys(_OF_DATA)}


def _item(call: Call, upgrade: Upgrade, known: Versions, found: Notes) -> dict[str, Any]:
    parts = downtime.of(upgrade)
    document = {
        'id': upgrade.id,
        'instance_id': upgrade.instance_id,
        'instance_name': upgrade.instance_name,
        'project_id': upgrade.project_id,
        'state': str(upgrade.state),
        'step': str(upgrade.step),
        'attempt': upgrade.attempt,
        'cancellable': is_cancellable(upgrade),
        'former_version': _version(upgrade.former_version_id, known),
        'target_version': _version(upgrade.target_version_id, known),
        'target_number': upgrade.target_number,
        'created_at': shapes.time(upgrade.created_at),
        'updated_at': shapes.time(upgrade.updated_at),
        'ended_at': shapes.time(upgrade.ended_at),
        'cause': _said(call, upgrade, upgrade.cause),
        'error_code': _said(call, upgrade, upgrade.error_code),
        'opened_at': shapes.precise_time(upgrade.progress.restore.opened_at),
        'downtime_seconds': upgrade.progress.restore.downtime_seconds,
        'downtime': None if parts is None else dataclasses.asdict(parts),
        'rollback_possible_until': admission.rollback_possible_until(upgrade),
        **_choices(call, upgrade),
        'request_id': upgrade.request_id,
        'steps': [
            {**_step(each), 'message': _said(call, upgrade, each.message)} for each in upgrade.steps
        ],
        notes.WARNINGS: found[notes.WARNINGS],
        notes.REMARKS: found[notes.REMARKS],
        'links': shapes.links(call, 'upgrades', upgrade.id),
    }
    if call.is_admin:
        document.update(
            former_image_id=upgrade.former_image_id, target_image_id=upgrade.target_image_id or None
        )
    if call.is_admin or upgrade.user_id == call.context.user_id:
        # only an operator knows it of upgrades that another user has asked for
        document['user_id'] = upgrade.user_id
    return document


def _said(call: Call, upgrade: Upgrade, sentence: str | None) -> str | None:
    """A sentence of an upgrade: with image and server ids for callers that can look them up."""
    if sentence is None:
        return None
    shown = printable(sentence)  # earlier releases wrote it as the guest had it
    return (
        shown
        if call.is_admin
        else concealment.for_tenant(
            shown, (upgrade.former_image_id, upgrade.target_image_id, upgrade.server_id)
        )
    )


def _notes(call: Call, upgrade: Upgrade) -> Notes:
    """Return the notes that the caller may see. Called once for each view: there can be hundreds,
    and each is searched for addresses.
    """
    found = upgrade.notes
    return (found if call.is_admin else found.for_tenant()).to_answer()


def _choices(call: Call, upgrade: Upgrade) -> dict[str, Any]:
    """Show the choices of the user who has asked for it, and the hold that came of them."""
    choices, hold = upgrade.progress.choices, upgrade.progress.hold
    rolls_back = choices.rolls_back(call.services.settings.rolls_back)
    is_held = upgrade.state is states.UpgradeState.HELD
    return {
        'on_failure': OnFailure.ROLLBACK if rolls_back else OnFailure.ERROR,
        'hold': choices.hold,
        'not_before': shapes.time(choices.not_before),
        'held_since': shapes.time(hold.since),
        'held_until': shapes.time(hold.until) if is_held else None,
    }


def is_cancellable(upgrade: Upgrade) -> bool:
    """Return whether the upgrade could still end with the former server untouched: Nova has not
    been asked for anything.
    """
    is_taken = actions.is_taken(Action.ABORT, upgrade)
    return not is_taken and actions.abort_obstacle(upgrade) is None


def action(call: Call, verdict: actions.Verdict, *, is_allowed: bool) -> dict[str, Any]:
    """Show what an action would do, or why the caller cannot take it."""
    if not is_allowed:
        return {
            'action': str(verdict.action),
            'allowed': False,
            'reason_code': str(actions.Reason.FORBIDDEN),
            'reason': 'The policy does not let you take this action. Ask the operator for it.',
        }
    sentence = printable(verdict.sentence)
    return {
        'action': str(verdict.action),
        'allowed': verdict.allowed,
        'reason_code': str(verdict.code),
        'reason': sentence if call.is_admin else concealment.for_tenant(sentence),
    }


def target(
    row: instances.DatastoreVersion, current_id: str, verdict: versions.Verdict
) -> dict[str, Any]:
    """A version of the instance's datastore, and whether it may be upgraded to."""
    return {
        'id': row.id,
        'name': row.name,
        'version': row.number,
        'active': row.active,
        'current': row.id == current_id,
        'allowed': verdict.allowed,
        'reason': verdict.reason,
        'reason_code': str(verdict.code),
    }


def expected(
    history: Sequence[PastUpgrade], row: instances.Instance, target_version_id: str
) -> dict[str, Any] | None:
    """Show how long an upgrade of an instance will take its database away; None: nothing is
    known of such upgrades.
    """
    found = estimate(history, row.version.id, target_version_id, row.volume_size_gb)
    return None if found is None else dataclasses.asdict(found)


def check(call: Call, check: UpgradeCheck) -> dict[str, Any]:
    """Show a stored preflight report; a tenant sees its sentences without the cloud's addresses."""

    def said(sentence: str | None) -> str | None:
        if sentence is None:
            return None
        return printable(sentence) if call.is_admin else concealment.for_tenant(printable(sentence))

    return {
        'id': check.id,
        'instance_id': check.instance_id,
        'target_version_id': check.target_version_id,
        'state': check.state,
        'allowed': check.allowed,
        'created_at': shapes.time(check.created_at),
        'updated_at': shapes.time(check.updated_at),
        'cause': said(check.cause),
        'error_code': said(check.error_code),
        'results': [
            {
                'name': printable(each.name),
                'outcome': printable(each.outcome),
                'message': said(each.message),
                'code': said(each.code),
            }
            for each in check.results
        ],
        'links': shapes.links(call, f'instances/{check.instance_id}/upgrade-checks', check.id),
    }


def _version(version_id: str, known: Versions) -> dict[str, Any]:
    version = known.get(version_id)
    return {'id': version_id} | (
        {'name': version.name, 'version': version.number} if version else {}
    )


def _step(run: StepRun) -> dict[str, Any]:
    return {
        'step': str(run.step),
        'attempt': run.attempt,
        'started_at': shapes.precise_time(run.started_at),
        'ended_at': shapes.precise_time(run.ended_at),
        'runs': run.runs,
        'outcome': run.outcome,
        'percent': run.percent,
    }
