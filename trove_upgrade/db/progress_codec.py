# SPDX-License-Identifier: Apache-2.0
"""Progress of an upgrade <-> the flat JSON of `instance_upgrades.data`.

Keys are those that released services read and write beside this one: none is renamed, and one that
only a newer release knows is kept as it is.  Earlier releases stored what a guest had said without
a look: a value of another form counts as absent, except for an attempt, which then counts as an
earlier one.
"""

import datetime
from collections.abc import Mapping
from typing import Any

from trove_upgrade.domain import answers, holds, notes, progress
from trove_upgrade.domain.upgrade_info import NO_INFO, UNREADABLE, StoredInfo

Json = Mapping[str, Any]

_UNDOING, _ROLLING_BACK, _UNASKED = 'undoing', 'rolling_back', 'rebuild_unasked'
#: Names in a row that this release reads.
KEYS = frozenset(
    {
        _UNDOING,
        _ROLLING_BACK,
        'former_boot_id',
        'former_server_version',
        'former_agent_version',
        'former_had_key',
        'former_cannot_return',
        'guest_touched_in_attempt',
        'upgrade_info',
        'stopped_at',
        'quiesced_at',
        'rebuild_for_attempt',
        'rebuilds_in_attempt',
        'rebuild_accepted_in_attempt',
        'rebuild_post_until',
        _UNASKED,
        'boot_id',
        'agent_version',
        'server_version',
        'post_upgrade_sent_in_attempt',
        'data_untouched_in_attempt',
        'rollback_sent_in_attempt',
        'service_status_seen_at',
        'restored_boot_id',
        'fingerprint',
        'downtime_seconds',
        'opened_at',
        'open_seconds',
        'open_told_in_attempt',
        'verified_in_attempt',
        'verified_at',
        'on_failure',
        'hold',
        'not_before',
        'held_since',
        'held_until',
        'hold_over_at',
        'hold_kept_by',
        notes.WARNINGS,
        notes.REMARKS,
        notes.SETTINGS_CHANGED,
    }
)


def decode(stored: Json) -> progress.Progress:
    """Read the data of a row, within the bounds of `answers.stored`.  Never raises."""
    data = answers.stored(stored)
    return progress.Progress(
        direction=_direction(data),
        former=progress.FormerGuest(
            boot_id=_text(data, 'former_boot_id') or '',
            server_version=_text(data, 'former_server_version'),
            agent_version=_text(data, 'former_agent_version'),
            had_key=_flag(data, 'former_had_key'),
            cannot_return=_flag(data, 'former_cannot_return') is True,
        ),
        quiesce=progress.QuiesceProgress(
            told_in_attempt=_attempt(data, 'guest_touched_in_attempt'),
            info=_info(data),
            stopped_at=_text(data, 'stopped_at'),
            quiesced_at=_text(data, 'quiesced_at'),
        ),
        rebuild=_rebuild(data),
        new=progress.NewGuest(
            boot_id=_text(data, 'boot_id') or '',
            agent_version=_text(data, 'agent_version'),
            server_version=_text(data, 'server_version'),
        ),
        restore=_restore(data),
        verify=progress.VerifyProgress(
            passed_in_attempt=_attempt(data, 'verified_in_attempt'),
            passed_at=_time(data, 'verified_at'),
        ),
        notes=notes.Notes.of(data),
        choices=_choices(data),
        hold=_hold(data),
        others={name: value for name, value in data.items() if name not in KEYS},
        stored=data,
    )


def encode(found: progress.Progress) -> dict[str, Any]:
    """Return the data of a row.  What is not there yet has no key.

    An entry that has not changed since it was read stays as it was, with all that a later release
    has put into it; so do the notes before a new one.
    """
    entries = _entries(found)
    if found.stored:
        before = _entries(decode(found.stored))
        known = {name: found.stored[name] for name in KEYS if name in found.stored}
        for name, value in known.items():
            if entries.get(name) == before.get(name):
                entries[name] = value
            elif _continues(entries.get(name), before.get(name), value):
                entries[name] = [*value, *entries[name][len(value) :]]
    return {**found.others, **entries}


def _continues(now: Any, before: Any, stored: Any) -> bool:
    """Return whether the list `now` is `before`, which `stored` was read as, and more."""
    if not (isinstance(now, list) and isinstance(before, list) and isinstance(stored, list)):
        return False
    return len(stored) == len(before) and now[: len(before)] == before


def _entries(found: progress.Progress) -> dict[str, Any]:
    former, quiesce, rebuild = found.former, found.quiesce, found.rebuild
    restore, verify = found.restore, found.verify
    asked = rebuild.asked_in_attempt is not None
    entries = {
        **_direction_entries(found.direction),
        'former_boot_id': former.boot_id or None,
        'former_server_version': former.server_version,
        'former_agent_version': former.agent_version,
        'former_had_key': former.had_key,
        'former_cannot_return': former.cannot_return or None,
        'guest_touched_in_attempt': quiesce.told_in_attempt,
        'upgrade_info': dict(quiesce.info.wire) or None,
        'stopped_at': quiesce.stopped_at,
        'quiesced_at': quiesce.quiesced_at,
        'rebuild_for_attempt': rebuild.asked_in_attempt,
        'rebuilds_in_attempt': rebuild.times_asked if asked else None,
        'rebuild_accepted_in_attempt': rebuild.accepted_in_attempt,
        'rebuild_post_until': _written(rebuild.post_until),
        _UNASKED: rebuild.unasked and vars(rebuild.unasked),
        'boot_id': found.new.boot_id or None,
        'agent_version': found.new.agent_version,
        'server_version': found.new.server_version,
        'post_upgrade_sent_in_attempt': restore.sent_in_attempt,
        'data_untouched_in_attempt': restore.untouched_in_attempt,
        'rollback_sent_in_attempt': restore.sent_back_in_attempt,
        'service_status_seen_at': restore.status_seen_at,
        'restored_boot_id': restore.boot_id or None,
        'fingerprint': restore.fingerprint,
        'downtime_seconds': restore.downtime_seconds,
        'opened_at': _written(restore.opened_at),
        'open_seconds': restore.open_seconds,
        'open_told_in_attempt': restore.open_told_in_attempt,
        'verified_in_attempt': verify.passed_in_attempt,
        'verified_at': _written(verify.passed_at),
        **_hold_entries(found.choices, found.hold),
        **{name: entries or None for name, entries in found.notes.to_row().items()},
    }
    return {name: value for name, value in entries.items() if value is not None}


def _direction(data: Json) -> progress.Direction:
    """An upgrade that goes back was never being undone: nothing had been rebuilt then."""
    back, undoing = data.get(_ROLLING_BACK), data.get(_UNDOING)
    if back is not None:
        found = back if isinstance(back, Mapping) else {}
        return progress.Direction(
            way=progress.Way.BACK,
            cause=_text(found, 'cause'),
            error_code=_text(found, 'error_code'),
        )
    if undoing is not None:
        found = undoing if isinstance(undoing, Mapping) else {}
        return progress.Direction(
            way=progress.Way.UNDOING,
            cause=_text(found, 'cause'),
            error_code=_text(found, 'error_code'),
            attempt=_attempt(found, 'attempt'),
        )
    return progress.FORWARD


def _direction_entries(direction: progress.Direction) -> Json:
    why = {'cause': direction.cause, 'error_code': direction.error_code}
    match direction.way:
        case progress.Way.BACK:
            return {_ROLLING_BACK: why}
        case progress.Way.UNDOING:
            return {_UNDOING: {'attempt': direction.attempt, **why}}
    return {}


def _rebuild(data: Json) -> progress.RebuildProgress:
    return progress.RebuildProgress(
        asked_in_attempt=_attempt(data, 'rebuild_for_attempt'),
        times_asked=_attempt(data, 'rebuilds_in_attempt') or 1,
        accepted_in_attempt=_attempt(data, 'rebuild_accepted_in_attempt'),
        post_until=_time(data, 'rebuild_post_until'),
        unasked=_unasked(data),
    )


def _unasked(data: Json) -> progress.Unasked | None:
    found = _mapping(data, _UNASKED) or {}
    number, runs = _attempt(found, 'rebuild_attempt'), _attempt(found, 'runs')
    return None if number is None or runs is None else progress.Unasked(number, runs)


def _choices(data: Json) -> holds.Choices:
    on_failure = _text(data, 'on_failure')
    return holds.Choices(
        on_failure=holds.OnFailure(on_failure) if on_failure in set(holds.OnFailure) else None,
        hold=_flag(data, 'hold') is True,
        not_before=_time(data, 'not_before'),
    )


def _hold(data: Json) -> holds.Hold:
    return holds.Hold(
        since=_time(data, 'held_since'),
        until=_time(data, 'held_until'),
        over_at=_time(data, 'hold_over_at'),
        kept_by=_text(data, 'hold_kept_by'),
    )


def _hold_entries(choices: holds.Choices, hold: holds.Hold) -> Json:
    return {
        'held_since': _written(hold.since),
        'held_until': _written(hold.until),
        'hold_over_at': _written(hold.over_at),
        'hold_kept_by': hold.kept_by,
        'on_failure': choices.on_failure and str(choices.on_failure),
        'hold': choices.hold or None,
        'not_before': _written(choices.not_before),
    }


def _info(data: Json) -> StoredInfo:
    found = data.get('upgrade_info')
    if not found:
        return NO_INFO
    return StoredInfo(found) if isinstance(found, Mapping) else UNREADABLE


def _restore(data: Json) -> progress.RestoreProgress:
    return progress.RestoreProgress(
        sent_in_attempt=_attempt(data, 'post_upgrade_sent_in_attempt'),
        untouched_in_attempt=_attempt(data, 'data_untouched_in_attempt') or None,
        sent_back_in_attempt=_attempt(data, 'rollback_sent_in_attempt'),
        status_seen_at=_text(data, 'service_status_seen_at'),
        boot_id=_text(data, 'restored_boot_id') or '',
        fingerprint=_mapping(data, 'fingerprint'),
        downtime_seconds=_number(data, 'downtime_seconds'),
        opened_at=_time(data, 'opened_at'),
        open_seconds=_number(data, 'open_seconds'),
        open_told_in_attempt=_attempt(data, 'open_told_in_attempt'),
    )


def _attempt(data: Json, name: str) -> int | None:
    found = data.get(name)
    if found is None:
        return None
    is_number = isinstance(found, int) and not isinstance(found, bool)
    return found if is_number else progress.UNREADABLE_ATTEMPT


def _text(data: Json, name: str) -> str | None:
    found = data.get(name)
    return found if isinstance(found, str) else None


def _flag(data: Json, name: str) -> bool | None:
    found = data.get(name)
    return found if isinstance(found, bool) else None


def _number(data: Json, name: str) -> float | None:
    found = data.get(name)
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def _mapping(data: Json, name: str) -> Json | None:
    found = data.get(name)
    return found if isinstance(found, Mapping) else None


def _time(data: Json, name: str) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(_text(data, name) or '')
    except ValueError:
        return None
    return found if found.utcoffset() is not None else None


def _written(moment: datetime.datetime | None) -> str | None:
    return moment.isoformat() if moment else None
