# SPDX-License-Identifier: Apache-2.0
"""Failures that a run goes on with, as they are told when an operator accepts them."""

from collections import Counter
from collections.abc import Sequence

from trove_upgrade.domain.bridge_ends import NO_FAILURES
from trove_upgrade.domain.bridge_runs import ENDED, Member, MemberState


def accepted_line(members: Sequence[Member]) -> str:
    """Return how many of a run's members have failed, or are turned back, and with which codes."""
    counted = Counter(member.error_code or '-' for member in members if _has_failed(member))
    if not counted:
        return 'Failures accepted: none.'
    codes = sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    told = ', '.join(f'{count} {code}' for code, count in codes)
    return f'Failures accepted: {counted.total()} ({told}). They count no more.'


def _has_failed(member: Member) -> bool:
    """Return whether the pace counts it as a failure."""
    is_turned_back = member.is_undoing and member.state not in ENDED
    return member.state is MemberState.FAILED or (
        is_turned_back and member.error_code not in NO_FAILURES
    )
