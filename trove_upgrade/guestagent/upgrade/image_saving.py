# SPDX-License-Identifier: Apache-2.0
"""Saving of container images onto the data volume before the stop: of the target's, and of the one
that runs, for a way back.

Each is saved into a file without a name, which nothing but this process can open, and which is gone
if the agent is killed.  It gets its name once the volume's top is root's.
It is not compressed: an engine takes longer to unpack it than a disk to read it.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from trove_upgrade.domain import exceptions, image_archive, logs
from trove_upgrade.domain.image_archive import ImageArchive
from trove_upgrade.guestagent.datastores.portable_image import PortableImage
from trove_upgrade.guestagent.machine import untrusted_files
from trove_upgrade.guestagent.machine.containers import image_archives
from trove_upgrade.guestagent.machine.containers.image_documents import NotOneImage
from trove_upgrade.guestagent.machine.progress import BytesTold
from trove_upgrade.guestagent.storage import unnamed
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.upgrade import carried_image
from trove_upgrade.guestagent.upgrade.carried_image import NotCarried
from trove_upgrade.guestagent.upgrade.image_allowance import Allowance
from trove_upgrade.guestagent.upgrade.work import Work

LOG = logs.get_logger(__name__)


@dataclasses.dataclass(kw_only=True)
class SavedImage:
    """Archive on the volume that has no name yet, or why there is none."""

    what: str
    name: str  #: that it gets
    archive: ImageArchive | None = None
    why_not: str | None = None  #: None where nothing was to be carried
    stream: BinaryIO | None = None

    def not_carried(self, reason: str) -> None:
        """Keep and log why there is none."""
        self.archive, self.why_not = None, reason
        LOG.warning('The %s is not carried: %s', self.what, reason)

    @property
    def remark(self) -> str:
        """Sentence about it for the end of a message; '' where nothing was to be carried."""
        if self.archive is not None:
            return f' The {self.what} of {self.archive.size_bytes >> 20} MB is carried there.'
        if self.why_not is not None:
            return f' The {self.what} is not carried there: {self.why_not}.'
        return ''


@dataclasses.dataclass(frozen=True)
class SavedImages:
    """Both images, as far as they were saved."""

    target: SavedImage
    former: SavedImage

    @property
    def both(self) -> Sequence[SavedImage]:
        """Return the two of them."""
        return self.target, self.former

    def publish(self, layout: Layout) -> None:
        """Give them their names, in place of earlier ones; the volume's top must be root's.

        What goes wrong leaves the database as stopped as it is: then nothing is carried.
        """
        try:
            with untrusted_files.directory(layout.on_volume) as kept:
                carried_image.remove_in(kept)
                for image in self.both:
                    if image.stream is not None:
                        _link(image, image.stream, kept)
        except OSError as error:
            for image in self.both:
                if image.stream is not None:
                    image.not_carried(_no_name(error))
        finally:
            for image in self.both:
                if image.stream is not None:
                    image.stream.close()  # or the volume cannot be unmounted

    @property
    def remark(self) -> str:
        """Sentences about them for the end of a message."""
        return self.target.remark + self.former.remark


def _link(image: SavedImage, stream: BinaryIO, kept: int) -> None:
    try:
        unnamed.link(stream, image.name, kept)
    except OSError as error:
        image.not_carried(_no_name(error))


def _no_name(error: OSError) -> str:
    return f'it cannot be given a name on the volume ({error.strerror})'


@contextlib.contextmanager
def saved(work: Work, ends_at: float) -> Iterator[SavedImages]:
    """Save the image that was tried, and the one that runs, onto the volume, while the database
    serves.  `ends_at`: of the step, by the monotonic clock.

    :raises StepRefused, StepFailed: the upgrade was aborted meanwhile, or is late.
    """
    options, driver = work.call.options, work.guest.driver
    allowance = Allowance(work, ends_at)
    target = SavedImage(what='container image', name=carried_image.NAME)
    former = SavedImage(
        what='former container image', name=carried_image.name_of_former(options.former_image_id)
    )
    with contextlib.ExitStack() as stack:
        if options.carry_image:
            wanted = work.call.target.container_image_id
            _save(work, allowance, stack, target, driver.portable_target, wanted)
        is_another = options.former_image_id != work.call.target.container_image_id
        if options.former_image_id and is_another:
            _save(work, allowance, stack, former, driver.portable_former, options.former_image_id)
        _make_room(allowance, former, target)
        yield SavedImages(target, former)


def _make_room(allowance: Allowance, *saved_images: SavedImage) -> None:
    """Give up images, in this order, until the upgrade has the room that it needs: the database has
    written since they were saved.
    """
    for image in saved_images:
        if image.stream is not None and allowance.spare_bytes() < 0:
            image.stream.close()
            image.stream = None
            image.not_carried('the database has taken the room on the volume meanwhile')


def _save(
    work: Work,
    allowance: Allowance,
    stack: contextlib.ExitStack,
    into: SavedImage,
    portable: Callable[[], PortableImage | None],
    wanted: str,
) -> None:
    """Save the image of the id that is wanted; one that cannot be saved takes no space."""
    with contextlib.ExitStack() as own:
        try:
            found = portable()
            if found is None:
                return
            carried_image.remove(work.guest.layout)  # of an earlier attempt
            stream = own.enter_context(unnamed.file(work.guest.layout.volume))
            into.archive = _written(allowance, stream, into.what, found, wanted)
        except NotCarried as error:
            into.not_carried(str(error))
        except OSError as error:
            into.not_carried(f'it cannot be written to the volume ({error.strerror})')
        except (unnamed.TooLong, NotOneImage, image_archive.Invalid) as error:
            into.not_carried(f'what the engine gives cannot be used, {error}')
        except (exceptions.StepRefused, exceptions.StepFailed) as error:
            if error.code in carried_image.OF_THE_JOB:
                raise
            into.not_carried(error.message.rstrip('.'))
        else:
            into.stream = stream
            stack.push(own.pop_all())


def _written(
    allowance: Allowance, stream: BinaryIO, what: str, image: PortableImage, wanted: str
) -> ImageArchive:
    """Write the archive of an image, and read it again.

    :raises NotCarried: it is another one than is wanted, or exceeds what it may take of the step's
        time or of the volume.
    """
    if image.image_id != wanted:
        raise NotCarried('it has another id than the datastore version names')
    limit = _room(allowance, image)
    told = BytesTold(allowance.progress, f'Saving the {what} onto the volume')
    with image.saved(allowance.seconds()) as pieces:
        digest, size = unnamed.write(stream, told.of(pieces), limit, allowance.require)
    os.fsync(stream.fileno())
    read = BytesTold(allowance.progress, f'Reading the {what} on the volume')
    image_archives.require(stream, image.image_id, image.platform, read)
    return ImageArchive(sha256=digest, size_bytes=size, image_id=image.image_id)


def _room(allowance: Allowance, image: PortableImage) -> int:
    """Return the bytes that the archive may have: what the upgrade itself leaves of the volume.

    :raises NotCarried: that is less than the image has.
    """
    spare = allowance.spare_bytes()
    if spare < image.size_bytes:
        raise NotCarried(
            f'it has {image.size_bytes >> 20} MB, and the upgrade leaves '
            f'{max(0, spare) >> 20} MB of the volume free'
        )
    return min(image_archive.LARGEST_BYTES, spare)
