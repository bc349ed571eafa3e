# SPDX-License-Identifier: Apache-2.0
"""A guest that does not answer: the message depends on whether, when, and in which boot its agent
was heard before.
"""

import datetime

from trove_upgrade.domain import exceptions, guests


def explained(
    error: exceptions.GuestUnavailable, last: guests.LastWord | None, boot_id: str | None = None
) -> exceptions.GuestUnavailable:
    """`error` with what the last word of the guest adds to it;
    one that is of a known kind already stays.

    `boot_id` is the boot that the upgrade counts on; None: it counts on none.
    """
    if type(error) is not exceptions.GuestUnavailable:
        return error
    if last is None:
        return exceptions.GuestNeverHeard(**error.facts)
    restarted = bool(boot_id) and last.boot_id != boot_id
    kind = exceptions.GuestRestarted if restarted else exceptions.GuestSilent
    return kind(**error.facts, seen_at=moment(last.seen_at))


def is_of_outage(error: exceptions.TroveUpgradeError) -> bool:
    """Return True where the broker or Nova gave no answer: nothing is known of the guest, and it
    does not count as a silent one.
    """
    return isinstance(
        error,
        exceptions.ComputeUnavailable | exceptions.MessagingUnavailable | exceptions.GuestNotAsked,
    )


def moment(seen_at: datetime.datetime) -> str:
    """A time as it stands in a message."""
    return f'{seen_at.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC'
