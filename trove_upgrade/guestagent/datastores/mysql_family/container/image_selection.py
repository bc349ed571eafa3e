# SPDX-License-Identifier: Apache-2.0
"""Selection of the image that this root disk runs: the former one or the target's, as the record of
the container has them, once it has taken the configuration.
"""

import dataclasses
from collections.abc import Callable

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckOutcome, CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import scratch
from trove_upgrade.guestagent.datastores.mysql_family.container.image_arrival import ImageArrival
from trove_upgrade.guestagent.datastores.mysql_family.container.images import Images
from trove_upgrade.guestagent.datastores.mysql_family.container.record import (
    ImageChoice,
    Record,
    Records,
)
from trove_upgrade.guestagent.datastores.mysql_family.container.tried import Tried
from trove_upgrade.guestagent.machine.progress import Progress


class ImageSelection:
    """Writes into the record which of the two is run."""

    def __init__(
        self,
        arrival: ImageArrival,
        images: Images,
        records: Records,
        trial: Callable[[ImageChoice, Record], CheckResult],
        tried: Tried,
    ) -> None:
        """`trial`: tries the configuration with an image; `tried`: what it was tried with on the
        former root disk.
        """
        self._arrival = arrival
        self._images = images
        self._records = records
        self._trial = trial
        self._tried = tried
        self._expected: TargetFacts | None = None

    def expect(self, target: TargetFacts) -> None:
        """Take the call's word for the target.  A taskmanager of the release before leaves out the
        fact that counts.
        """
        self._expected = None if target.container_image is None else target

    def select(self, record: Record, options: GuestOptions) -> CheckResult:
        """Bring the image here and try it.  What that very image has accepted on the former root
        disk, by the digest of all that was tried, it accepts here.
        """
        self._images.wait_for_engine()
        backwards = options.rollback
        choice = record.former if backwards else self._target(record)
        chosen = self._arrival.bring(choice, exact=backwards)
        tried = self._choose(chosen, record, choice, backwards=backwards)
        if tried.outcome != CheckOutcome.REFUSED or backwards:
            return tried
        mended = self._images.renew(choice, lambda _percent, _sentence: None, exact=False)
        return (
            tried
            if mended.image_id == chosen.image_id
            else self._choose(mended, record, choice, backwards=False)
        )

    def renew(self, options: GuestOptions, progress: Progress) -> CheckResult | None:
        """Try the image again where it is another one than before: an operator mends a broken one
        under its tag.
        """
        record = self._records.require()
        self._images.wait_for_engine()
        backwards = options.rollback
        choice = record.former if backwards else self._target(record)
        if self._arrival.is_settled(choice, record.chosen, self._wanted_id(record, options)):
            return None  # an agent that starts again asks no registry while the database is down
        found = self._images.renew(choice, progress, exact=backwards)
        if (
            record.chosen is not None
            and found.image_id == record.chosen.image_id
            and found.reference == record.chosen.reference
        ):
            return None
        progress(
            None,
            f'Trying the configuration with container image {found.reference}, which is another '
            'one now.',
        )
        return self._choose(found, record, choice, backwards=backwards)

    def _wanted_id(self, record: Record, options: GuestOptions) -> str | None:
        """Return the only id that may run here; None: the name counts, whose image can be mended.
        An operator who mends an image whose id the version names gives it the new id, too.
        """
        if options.rollback:
            return record.former.image_id
        return None if self._expected is None else self._expected.container_image_id or None

    def _target(self, record: Record) -> ImageChoice:
        """The former root disk may have been taken over: an image of another repository than the
        target's is none of ours.
        """
        if self._expected is None or self._images.is_of_target(record.target, self._expected):
            return record.target
        return ImageChoice(self._images.reference(self._expected), '')

    def _choose(
        self, image: ImageChoice, record: Record, accepted: ImageChoice, *, backwards: bool
    ) -> CheckResult:
        """Run `image` from now on if it takes the configuration, as `accepted` has on the former
        one.
        """
        is_another = image.image_id != accepted.image_id or not (
            backwards or self._tried.is_same(image, record)
        )
        tried = (
            self._trial(image, record)
            if is_another
            else CheckResult.ok(
                scratch.NAME,
                f'Container image {image.reference} has accepted the configuration before.',
            )
        )
        if tried.outcome != CheckOutcome.REFUSED:
            self._records.write(dataclasses.replace(record, chosen=image))
        return tried
