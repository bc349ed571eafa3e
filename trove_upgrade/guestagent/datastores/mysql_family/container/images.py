# SPDX-License-Identifier: Apache-2.0
"""Container images that an upgrade is about, and bringing them here. None is ever removed: an undo
needs the old one.
"""

import os
import pathlib
from collections.abc import Callable, Sequence

from trove_upgrade.domain import exceptions, image_reference, logs
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.image_reference import ImageReference
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family.container import repositories
from trove_upgrade.guestagent.datastores.mysql_family.container.names import DATABASE
from trove_upgrade.guestagent.datastores.mysql_family.container.record import ImageChoice
from trove_upgrade.guestagent.machine import listing
from trove_upgrade.guestagent.machine.containers import errors
from trove_upgrade.guestagent.machine.containers.answers import Container, Image
from trove_upgrade.guestagent.machine.containers.engine import Engine
from trove_upgrade.guestagent.machine.progress import Progress
from trove_upgrade.waiting import wait_until

LOG = logs.get_logger(__name__)

CHECK = 'container_image'
#: The target's facts and the guest's configuration name none.
UNKNOWN = 'CONTAINER_IMAGE_UNKNOWN'
#: An image of a database with what unpacking it takes; an engine that runs out of space in the
#: middle can take the guest along.
_NEEDED_BYTES = 1 << 30
_ENGINE_SECONDS = 60
_POLL_SECONDS = 0.02
_CHARACTERS = 200  #: what a message quotes of a number that is none


class Images:
    """The images of one guest's engine."""

    def __init__(
        self,
        engine: Engine,
        repository: str | None,
        store: pathlib.Path | None,
        *,
        sleep: Callable[[float], None],
        monotonic: Callable[[], float],
        others: Sequence[str] = (),
    ) -> None:
        """`repository`: docker_image of Trove's configuration; `others`: further repositories that
        images are taken from; `store`: where images are written; None: the engine knows.
        """
        self._engine = engine
        self._repository = repository
        self._repositories = repositories.Repositories(repository, others)
        self._store = store
        self._sleep = sleep
        self._monotonic = monotonic

    def of_database(self) -> tuple[Container, Image]:
        """The database's container, and the image that it was made of.

        :raises StepRefused: CONTAINER_NOT_RUNNING; one of them has gone.
        """
        container = self._engine.inspect(DATABASE)
        image = self._engine.image(container.image_id) if container is not None else None
        if container is None or image is None:
            raise exceptions.StepRefused(
                f'The database cannot be upgraded: container {DATABASE} or its image has gone. '
                'Look who has removed it.',
                Code.CONTAINER_NOT_RUNNING,
            )
        return container, image

    def reference(self, target: TargetFacts) -> str:
        """The target's: what its facts name, else as Trove does it, the datastore version's number
        as the tag.

        The call that brings the target is not trusted with the repository.

        :raises StepRefused: CONTAINER_IMAGE_UNKNOWN; CONTAINER_IMAGE_INVALID;
            CONTAINER_REPOSITORY_NOT_ALLOWED.
        """
        if target.container_image:
            return self._repositories.require(target.container_image).exact
        number = target.version_number or target.server_version
        if not self._repository or not number:
            missing = (
                "docker_image is not set in the guest's trove-guestagent.conf"
                if number
                else 'the target names no version'
            )
            raise exceptions.StepRefused(
                f'The container image of the target cannot be told: {missing}. Set it, or register '
                'the target version with the fact container_image.',
                UNKNOWN,
            )
        if not image_reference.is_tag(number):
            raise exceptions.StepRefused(
                'The container image of the target cannot be told: its number '
                f'{repr(number)[:_CHARACTERS]} is no tag of an image. Correct the number of the '
                'datastore version.',
                repositories.INVALID,
            )
        return self._repositories.require(f'{self._repository}:{number}').exact

    def is_of_target(self, choice: ImageChoice, target: TargetFacts) -> bool:
        """Return True where a choice of another root disk has the repository that this one takes
        for the target, or none can be told.

        Where the target names a digest, the choice must have that one, too.

        :raises StepRefused: as `reference`, where the target names what this guest does not take.
        """
        try:
            own = ImageReference.parse(self.reference(target))
        except exceptions.StepRefused as error:
            if error.code != UNKNOWN:
                raise
            return True
        chosen = _read(choice.reference)
        return (
            chosen is not None
            and chosen.repository == own.repository
            and own.digest in {None, chosen.digest}
        )

    def check(self, target: TargetFacts) -> CheckResult:
        """Return whether it is here or there is room for it.  Nothing is brought here."""
        try:
            reference = self.reference(target)
            later = _brought_again(target)
            if self._engine.image(reference) is not None:
                return CheckResult.ok(CHECK, f'Container image {reference} is in the guest.{later}')
            self._require_room(reference)
            published = self._engine.is_published(reference)
        except errors.EngineRefused as error:
            # by way of a mirror a pull may work all the same: it has the last word
            return CheckResult.warning(CHECK, error.message, error.code)
        except (exceptions.StepRefused, exceptions.StepFailed) as error:
            return CheckResult.refused(CHECK, error.message, error.code)
        if not published:
            return CheckResult.refused(
                CHECK,
                (
                    f'The database cannot be upgraded: the registry does not know container image '
                    f'{reference}. Push it there, or correct the datastore version.'
                ),
                errors.ContainerImageNotFound.code,
            )
        return CheckResult.ok(
            CHECK, f'Container image {reference} is brought here before anything is stopped.{later}'
        )

    def bring(self, target: TargetFacts, progress: Progress) -> str:
        """Bring the target's image here; return a sentence about it.

        Raises as `reference` and `fetch`.
        """
        reference = self.reference(target)
        self.fetch(reference, progress)
        return f'Container image {reference} is in the guest.'

    def fetch(self, reference: str, progress: Progress) -> ImageChoice:
        """Bring it here unless it is here.

        :raises StepRefused: CONTAINER_IMAGE_INVALID, CONTAINER_REPOSITORY_NOT_ALLOWED: it is none
            that this guest takes, here or not.
        :raises StepFailed: CONTAINER_IMAGE_NOT_FOUND, CONTAINER_IMAGE_NOT_PULLED,
            CONTAINER_IMAGE_DIFFERS, CONTAINER_DISK_SPACE, ENGINE_NOT_ANSWERING.
        """
        picked = self._repositories.require(reference)
        found = self._engine.image(reference)
        if found is None:
            self._require_room(reference)
            self._engine.pull(reference, progress)
            found = self._engine.image(reference)
        if found is None:
            raise errors.ContainerImageNotFound(
                f'Container image {reference} cannot be used: it was brought here, and the engine '
                'does not have it. Look whether a program prunes images, and try again.'
            )
        if picked.digest and picked.digest not in {
            found.id,
            *(name.partition('@')[2] for name in found.digests),
        }:
            raise errors.ImageDiffers(
                f'Container image {reference} cannot be used: the engine has another one under '
                f'this name, {", ".join(found.digests) or found.id}. Remove that from the guest '
                'and retry the upgrade.'
            )
        return choice(reference, found)

    def fetch_again(self, picked: ImageChoice, progress: Progress, *, exact: bool) -> ImageChoice:
        """Return what `picked` names, on another root disk; by its digest where the tag has gone.

        `exact`: only that very image, by its digest if the tag has moved; where no digest is known,
        what the tag names now.  Without it a tag that has moved counts: an operator mends a broken
        image so.
        """
        found = self._tagged(picked, progress)
        if found is not None and (
            not exact or found.image_id == picked.image_id or not picked.digests
        ):
            return found
        own = _read(picked.reference)
        for digest in picked.digests:
            other = _read(digest)
            if own is not None and other is not None and other.repository == own.repository:
                return self.fetch(digest, progress)
        if found is None or exact:
            raise errors.ContainerImageNotFound(
                f'Container image {picked.reference} cannot be had: the registry does not know it '
                'any more, or has another under this name. Put that of before there again '
                f'({", ".join(picked.digests)}) and retry the upgrade.'
            )
        return found

    def renew(self, picked: ImageChoice, progress: Progress, *, exact: bool) -> ImageChoice:
        """`fetch_again`, and the registry is asked although the image is here: a mended one may
        stand under the tag now.

        A registry that has none, or is away, ends nothing that can go on with what is here.
        """
        self._repositories.require(picked.reference)
        if not exact and self._engine.image(picked.reference) is not None:
            progress(None, f'Looking for a mended container image {picked.reference}.')
            try:
                self._require_room(picked.reference)
                self._engine.pull(picked.reference, progress)
            except errors.EngineNotAnswering:
                raise
            except (errors.EngineError, exceptions.StepRefused) as error:
                LOG.warning(
                    'The container image that is in the guest is used again. %s', error.message
                )
        return self.fetch_again(picked, progress, exact=exact)

    def _tagged(self, picked: ImageChoice, progress: Progress) -> ImageChoice | None:
        try:
            return self.fetch(picked.reference, progress)
        except errors.ContainerImageNotFound:
            if not picked.digests:
                raise
            return None

    def wait_for_engine(self) -> None:
        """A guest that has just booted may be quicker than its engine.

        :raises EngineNotAnswering: it does not come.
        """
        answers = wait_until(
            self._engine.ping,
            _ENGINE_SECONDS,
            monotonic=self._monotonic,
            sleep=self._sleep,
            interval_seconds=_POLL_SECONDS,
        )
        if not answers:
            raise errors.EngineNotAnswering(
                "The database's container cannot be started: the container engine did not "
                f'answer for {_ENGINE_SECONDS} s. See that its service runs in the guest.'
            )

    def require(self, reference: str) -> ImageReference:
        """Return a reference that this guest takes, as it was read.

        :raises StepRefused: CONTAINER_IMAGE_INVALID; CONTAINER_REPOSITORY_NOT_ALLOWED.
        """
        return self._repositories.require(reference)

    def room(self) -> tuple[pathlib.Path, int]:
        """Return where the engine writes images, and the bytes that are free there."""
        place, numbers = _nearest(self._store or self._engine.image_directory())
        return place, numbers.f_bavail * numbers.f_frsize

    def _require_room(self, reference: str) -> None:
        place, free = self.room()
        if free < _NEEDED_BYTES:
            raise exceptions.StepRefused(
                (
                    f'Container image {reference} cannot be brought here: {place} has '
                    f'{free >> 20} MiB free and {_NEEDED_BYTES >> 20} MiB are wanted. Make room on '
                    "the guest's root disk."
                ),
                'CONTAINER_DISK_SPACE',
            )


def _nearest(directory: pathlib.Path) -> tuple[pathlib.Path, os.statvfs_result]:
    """The file system of `directory`, or of the nearest one above it that is there."""
    for place in (directory, *directory.parents):
        with listing.vanishing():
            return place, os.statvfs(place)
    return pathlib.Path('/'), os.statvfs('/')


def _brought_again(target: TargetFacts) -> str:
    """Return a sentence for an operator whose version leaves out what an image is carried by."""
    if target.container_image_id:
        return ''
    return (
        ' The datastore version names no container_image_id, so the data volume does not bring it '
        'to the new guest: unless the new guest image has it, the registry is asked once more '
        'while the database is down.'
    )


def choice(reference: str, image: Image) -> ImageChoice:
    """Record an image as it is now: reference, id and digests."""
    return ImageChoice(reference, image.id, tuple(image.digests))


def _read(reference: str) -> ImageReference | None:
    """Parse a reference; None where it is no name of an image: an engine's own record can have an
    id.
    """
    try:
        return ImageReference.parse(reference)
    except ValueError:
        return None
