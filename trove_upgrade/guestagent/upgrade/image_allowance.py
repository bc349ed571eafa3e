# SPDX-License-Identifier: Apache-2.0
"""Bounds of what images that are carried may take of a guest whose database serves: of the time of
the step, and of the volume.  They are optional: what exceeds a bound is not carried.
"""

import functools
import os

from trove_upgrade.guestagent.storage.stash import publish
from trove_upgrade.guestagent.upgrade import check
from trove_upgrade.guestagent.upgrade.carried_image import NotCarried
from trove_upgrade.guestagent.upgrade.work import Work

_MOST_SECONDS = 600.0
#: Of what the step has left: the fingerprint and the stop come after it.
_SHARE_OF_STEP = 1 / 4
#: What the database may write meanwhile, as a part of the volume.
_SLACK = 20


class Allowance:
    """Time and room for all images of one step."""

    def __init__(self, work: Work, ends_at: float) -> None:
        """`ends_at`: of the step, by the monotonic clock."""
        self._work = work
        now = work.guest.clock.monotonic()
        self._until = now + min(_MOST_SECONDS, (ends_at - now) * _SHARE_OF_STEP)

    def seconds(self) -> float:
        """Return how long the saving may still last.

        :raises NotCarried: its time is over.
        """
        left = self._until - self._work.guest.clock.monotonic()
        if left <= 0:
            raise NotCarried('its part of the time of the step is over')
        return left

    def progress(self, percent: int | None, sentence: str) -> None:
        """Report as the job does, which can be ended by that.

        :raises NotCarried: the time is over.
        :raises StepRefused, StepFailed: the job was aborted meanwhile, or is late.
        """
        self._work.progress(percent, sentence)
        self.seconds()

    def require(self) -> None:
        """Look once more at both bounds, while an archive grows.

        :raises NotCarried: one of them is exceeded.
        """
        self.seconds()
        if self.spare_bytes() < 0:
            raise NotCarried('what it leaves of the volume became too little meanwhile')

    def spare_bytes(self) -> int:
        """Return what archives may still take of the volume; less than 0: they have taken too much.

        :raises StepFailed: it cannot be told what the upgrade needs.
        """
        guest = self._work.guest
        numbers = os.statvfs(guest.layout.volume)
        free = min(guest.volume.free_bytes(), numbers.f_bavail * numbers.f_frsize)
        return free - self._reserved_bytes

    @functools.cached_property
    def _reserved_bytes(self) -> int:
        """Room that the upgrade itself needs, and the database until it is stopped."""
        guest, call = self._work.guest, self._work.call
        return (
            publish.measure(check.stash_roots(guest))
            + guest.settings.volume_margin_bytes
            + guest.driver.upgrade_bytes(call.target, call.options)
            + guest.volume.size_bytes() // _SLACK
        )
