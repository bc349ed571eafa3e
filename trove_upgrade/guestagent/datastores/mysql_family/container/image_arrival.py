# SPDX-License-Identifier: Apache-2.0
"""Arrival of the image on the next root disk, or of the former one on a way back: it is there
already, comes on the data volume, or from a registry, in this order.

An image that was loaded has no digests of a registry.  What stands for them is its id: the one that
the former guest has tried, or run, under the name that the record has, and that user data tells.
"""

import dataclasses
from collections.abc import Iterable

from trove_upgrade.domain.image_archive import ImageArchive, ImageSource
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores.mysql_family.container.images import Images
from trove_upgrade.guestagent.datastores.mysql_family.container.record import (
    ImageChoice,
    Records,
)
from trove_upgrade.guestagent.datastores.portable_image import Opened, PortableImage
from trove_upgrade.guestagent.machine.containers import errors, image_documents
from trove_upgrade.guestagent.machine.containers.engine import Engine
from trove_upgrade.guestagent.machine.containers.image_documents import Platform

_TAG_CHARACTERS = 128
#: The database serves from the disk that the engine saves to: it is never filled up.
_SPARE_BYTES = 512 << 20
#: An engine unpacks an archive beside its store first: that, and the image.
_TIMES_IN_STORE = 2
_STORE_FREE_BYTES = 256 << 20


class ImageArrival:
    """Way of the image to one guest."""

    def __init__(
        self, engine: Engine, images: Images, records: Records, number: str | None
    ) -> None:
        """`number`: of the datastore version that this root disk is for."""
        self._engine = engine
        self._images = images
        self._records = records
        self._number = number
        self._received: str | None = None  # id of the image that has come on the volume
        # why none can come from there: of a load that was begun
        self._refused: errors.EngineError | OSError | None = None
        self._pulled: set[str] = set()
        self.source: ImageSource | None = None  #: of the image that runs

    # --- before -----------------------------------------------------------------------------------

    def portable(self, choice: ImageChoice) -> PortableImage:
        """Give an image by its id: so it has no name in the archive.

        :raises StepFailed: it has gone, or there is no room for what an engine writes first.
        """
        image = self._engine.image(choice.image_id)
        if image is None:
            raise errors.ContainerImageNotFound(
                f'Container image {choice.reference} cannot be saved: the engine does not have it '
                'any more. Look whether a program prunes images.'
            )
        place, free = self._images.room()
        needed = image.size_bytes + image.size_bytes // 10 + _SPARE_BYTES
        if free < needed:
            raise errors.ImageNotLoaded(
                f'Container image {choice.reference} cannot be saved: {place} has {free >> 20} MiB '
                f'free, and {needed >> 20} MiB are wanted, as the engine writes the image there '
                "first. Make room on the guest's root disk."
            )
        return PortableImage(
            image_id=image.id,
            platform=self._engine.platform(),
            size_bytes=image.size_bytes,
            saved=lambda seconds: self._engine.saved(image.id, seconds),
        )

    def with_digests(self, choice: ImageChoice) -> ImageChoice:
        """Return what runs with the digests that its record has: by them a way back finds it, and
        an engine that has loaded it does not know them.
        """
        record = self._records.read()
        chosen = None if record is None else record.chosen
        if chosen is None or chosen.image_id != choice.image_id:
            return choice
        return dataclasses.replace(
            choice, digests=tuple(dict.fromkeys((*choice.digests, *chosen.digests)))
        )

    # --- after ------------------------------------------------------------------------------------

    def receive(self, archive: ImageArchive, opened: Opened) -> None:
        """Load it from its archive, unless the image is preloaded: as the record names it, or by
        the number as long as there is no record.  Safe to repeat: what has failed once it was
        begun is not tried again, as all of that takes its time while the database is down.

        :raises StepFailed: it cannot be loaded, or another image has come.
        :raises OSError: it cannot be opened.
        """
        self._images.wait_for_engine()
        if self._received is None and self._is_preloaded(archive):
            return
        # a load that was late can have ended since
        if self._engine.image(archive.image_id) is None:
            if self._refused is not None:
                raise self._refused
            self._require_room(archive)
            platform = self._engine.platform()
            try:
                self._load(archive, opened, platform)
            except (errors.EngineError, OSError) as error:
                self._refused = error
                raise
        self._received = archive.image_id

    def _require_room(self, archive: ImageArchive) -> None:
        """Look where the engine writes."""
        place, free = self._images.room()
        needed = _TIMES_IN_STORE * archive.size_bytes + _STORE_FREE_BYTES
        if free < needed:
            raise errors.ImageNotLoaded(
                f'The image from the data volume cannot be loaded: {place} has {free >> 20} MiB '
                f"free, and {needed >> 20} MiB are wanted. Make room on the guest's root disk."
            )

    def _load(self, archive: ImageArchive, opened: Opened, platform: Platform) -> None:
        try:
            with opened(platform) as image:
                self._engine.load(image.pieces, image.size_bytes)
        except image_documents.NotOneImage as error:
            raise errors.ImageNotLoaded(
                f'The image from the data volume cannot be loaded: {error}. Look at the '
                'former guest, which has put it there.'
            ) from error
        if self._engine.image(archive.image_id) is None:
            raise errors.ImageNotLoaded(
                'The image from the data volume cannot be used: the engine knows it by another id '
                'than the former one. See that both have the same kind of image store.'
            )

    def _is_preloaded(self, archive: ImageArchive) -> bool:
        """Return whether the image is here by its name.  As soon as the record can be read: that
        very image, and no older one of its name.
        """
        record = self._records.read()
        if record is not None:
            is_back = archive.image_id == record.former.image_id
            wanted = record.former if is_back else record.target
            here = self._engine.image(wanted.reference)
            return here is not None and (
                here.id == archive.image_id
                # of an engine with another kind of image store, by which ids differ
                or not (is_back or _shas(here.digests).isdisjoint(_shas(wanted.digests)))
            )
        if not self._number:
            return False
        reference = self._images.reference(TargetFacts(version_number=self._number))
        return self._engine.image(reference) is not None

    def prefetch(self) -> None:
        """Pull the image of the number, where none has come on the volume.  The stash cannot be
        read yet.  The engine lets a second pull join the first.
        """
        if self._received is None and self._number:
            self._images.wait_for_engine()
            reference = self._images.reference(TargetFacts(version_number=self._number))
            if self._engine.image(reference) is None:
                self._images.fetch(reference, _quiet)
                self._pulled.add(reference)

    def bring(self, choice: ImageChoice, *, exact: bool) -> ImageChoice:
        """Return the image to run here for `choice`; `exact`, and what is raised: as
        `Images.fetch_again`.
        """
        here = self._engine.image(choice.reference)
        if self._has_received(choice) and (here is None or here.id != self._received):
            self.source = ImageSource.CARRIED
            return self._named(choice)
        found = self._images.fetch_again(choice, _quiet, exact=exact)
        was_here = (
            here is not None and here.id == found.image_id and choice.reference not in self._pulled
        )
        if was_here and self._has_received(choice):
            self.source = ImageSource.CARRIED
        else:
            self.source = ImageSource.PRELOADED if was_here else ImageSource.PULLED
        return found

    def _has_received(self, choice: ImageChoice) -> bool:
        return self._received is not None and choice.image_id == self._received

    def _named(self, choice: ImageChoice) -> ImageChoice:
        """Give the image the name that the former guest has tried it under.

        A digest is none that an engine lets others give: the image gets a tag in its place.

        :raises StepRefused: CONTAINER_REPOSITORY_NOT_ALLOWED, CONTAINER_IMAGE_INVALID.
        """
        picked = self._images.require(choice.reference)
        reference = picked.exact
        if picked.digest is not None:
            reference = f'{picked.name}:{picked.digest.replace(":", "-")[:_TAG_CHARACTERS]}'
        self._engine.tag(choice.image_id, reference)
        return dataclasses.replace(choice, reference=reference)

    def is_settled(
        self, choice: ImageChoice, chosen: ImageChoice | None, wanted_id: str | None
    ) -> bool:
        """Return whether the image that was chosen is here and no mended one can take its place:
        it was chosen for a digest, or it has the only id that is wanted.
        """
        if chosen is None:
            return False
        here = self._engine.image(chosen.reference)
        if here is None:
            return False
        named = self._images.require(choice.reference)
        by_digest = named.digest is not None and chosen.image_id == choice.image_id
        return by_digest or (here.id == chosen.image_id == wanted_id)


def _shas(digests: Iterable[str]) -> frozenset[str]:
    """Return the hashes of digests, whatever the name of their repository."""
    return frozenset(digest.rpartition('@')[2] for digest in digests)


def _quiet(_percent: int | None, _sentence: str) -> None:
    """Report nothing: the job that waits for it has its own words."""
