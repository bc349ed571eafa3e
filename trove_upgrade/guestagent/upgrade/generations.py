# SPDX-License-Identifier: Apache-2.0
"""Generations: an overtaken taskmanager is not listened to any more."""

from trove_upgrade.domain import exceptions, guests
from trove_upgrade.guestagent.upgrade.work import Guest

CODE = 'GENERATION_OLD'


def require(own: Guest, call: guests.GuestCall) -> None:
    """Remember the call's generation wherever that can be done now.

    :raises StepFailed: GENERATION_OLD; a higher one was seen.
    """
    highest = own.marks.highest_generation(call.upgrade_id)
    if call.generation < highest:
        raise exceptions.StepFailed(
            f'A call of upgrade {call.upgrade_id} comes from a taskmanager that has lost its '
            f'claim: generation {call.generation}, and {highest} was seen. It should stop.',
            CODE,
        )
    own.marks.see_generation(call.upgrade_id, call.generation)


def carry_over(own: Guest, call: guests.GuestCall) -> None:
    """Keep on the mounted volume what the root disk knows, and refuse if the volume knows of a
    higher one.

    The job's own call may be older than one that has joined it since: what the root disk has seen
    counts for both.

    :raises StepFailed: GENERATION_OLD; a higher one was seen on an earlier root disk.
    """
    on_root, on_volume = own.marks.generations(call.upgrade_id)
    known = max(call.generation, on_root)
    if known < on_volume:
        raise exceptions.StepFailed(
            f'A call of upgrade {call.upgrade_id} comes from a taskmanager that has lost its '
            f'claim: generation {known}, and {on_volume} was seen before the rebuild. It should '
            'stop.',
            CODE,
        )
    own.marks.see_generation(call.upgrade_id, known)
