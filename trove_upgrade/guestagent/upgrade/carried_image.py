# SPDX-License-Identifier: Apache-2.0
"""The target's container image on the data volume: nothing is fetched while the database is down.

Before the stop it is saved into a file without a name, which nothing but this process can open, and
which is gone if the agent is killed.  It gets its name once the volume's top is root's.  Trove's
agent of the next root disk may give it to the database's user all the same, and root of the former
guest may have written anything: the parts are copied to the root disk while they are hashed, and
the engine gets an archive of those alone that the id of the image leads to; user data tells it.
It is not compressed: an engine takes longer to unpack it than a disk to read it.
"""

import contextlib
import dataclasses
import functools
import os
import threading
from collections.abc import Iterator
from typing import BinaryIO

from trove_upgrade.domain import exceptions, image_archive, logs
from trove_upgrade.domain.image_archive import ImageArchive
from trove_upgrade.guestagent.datastores.portable_target import PortableTarget
from trove_upgrade.guestagent.machine import durable, untrusted_files
from trove_upgrade.guestagent.machine.containers import image_archives
from trove_upgrade.guestagent.machine.containers.image_archives import Rewritten
from trove_upgrade.guestagent.machine.containers.image_documents import NotOneImage
from trove_upgrade.guestagent.machine.progress import BytesTold, Progress
from trove_upgrade.guestagent.storage import unnamed, volume_ownership
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.storage.stash import publish
from trove_upgrade.guestagent.upgrade import check, root_disk, taking
from trove_upgrade.guestagent.upgrade.work import Guest, Work

LOG = logs.get_logger(__name__)

NAME = 'container-image.tar'
#: An engine unpacks an archive beside its store first: the copy, that, and the image.
_TIMES_ON_ROOT_DISK = 3
_ROOT_DISK_FREE_BYTES = 256 << 20
#: For a head start; the restore waits as long as the operator has set.
_HEAD_START_WAIT_SECONDS = 5
#: One thread loads it, and others wait for that.
_LOADING = threading.Lock()
_TURN_SECONDS = 1.0


class NotCarried(Exception):
    """Reason why the image does not come by way of the volume; a registry may have it."""


@dataclasses.dataclass
class Saved:
    """Archive on the volume that has no name yet, or why there is none."""

    archive: ImageArchive | None = None
    why_not: str | None = None  #: None where nothing was to be carried
    stream: BinaryIO | None = None

    def publish(self, layout: Layout) -> None:
        """Give it its name, in place of an earlier one; the volume's top must be root's.

        What goes wrong leaves the database as stopped as it is: then nothing is carried.
        """
        try:
            with untrusted_files.directory(layout.on_volume) as kept:
                _remove(kept)
                if self.stream is not None:
                    unnamed.link(self.stream, NAME, kept)
        except OSError as error:
            if self.stream is not None:
                self.archive = None
                self.why_not = f'it cannot be given a name on the volume ({error.strerror})'
                LOG.warning('The container image is not carried: %s', self.why_not)
        finally:
            if self.stream is not None:
                self.stream.close()  # or the volume cannot be unmounted

    @property
    def remark(self) -> str:
        """Sentence about it for the end of a message; '' where nothing was to be carried."""
        if self.archive is not None:
            return f' The container image of {self.archive.size_bytes >> 20} MB is carried there.'
        if self.why_not is not None:
            return f' The container image is not carried there: {self.why_not}.'
        return ''


@contextlib.contextmanager
def saved(work: Work) -> Iterator[Saved]:
    """Save the image that was tried onto the volume, while the database serves.

    :raises StepRefused, StepFailed: the upgrade was aborted meanwhile, or is late.
    """
    with contextlib.ExitStack() as stack:
        found = Saved()
        if work.call.options.carry_image:
            try:
                found = _saved(work, stack)
            except NotCarried as error:
                LOG.warning('The container image is not carried: %s', error)
                stack.close()  # its space is needed from here on
                found = Saved(why_not=str(error))
        yield found


def _saved(work: Work, stack: contextlib.ExitStack) -> Saved:
    guest = work.guest
    try:
        target = guest.driver.portable_target()
        if target is None:
            return Saved()
        remove(guest.layout)  # of an earlier attempt
        if target.image_id != work.call.target.container_image_id:
            raise NotCarried('it has another id than the datastore version names')
        limit = _room(work, target)
        stream = stack.enter_context(unnamed.file(guest.layout.volume))
        tell = BytesTold(work.progress, 'Saving the container image onto the volume')
        with target.saved() as pieces:
            digest, size = unnamed.write(stream, tell.of(pieces), limit)
        os.fsync(stream.fileno())
        image_archives.require(stream, target.image_id)
        archive = ImageArchive(sha256=digest, size_bytes=size, image_id=target.image_id)
    except OSError as error:
        raise NotCarried(f'it cannot be written to the volume ({error.strerror})') from error
    except (unnamed.TooLong, NotOneImage, image_archive.Invalid) as error:
        raise NotCarried(f'what the engine gives cannot be used, {error}') from error
    except (exceptions.StepRefused, exceptions.StepFailed) as error:
        if error.code in _OF_THE_JOB:
            raise
        raise NotCarried(error.message.rstrip('.')) from error
    return Saved(archive, stream=stream)


#: Errors by which a progress report ends the job that makes it.
_OF_THE_JOB = frozenset({'DEADLINE_PASSED', 'UPGRADE_ABORTED'})


def _room(work: Work, target: PortableTarget) -> int:
    """Return the bytes that the archive may have: what the upgrade itself leaves of the volume.

    :raises NotCarried: that is less than the image has.
    """
    guest, numbers = work.guest, os.statvfs(work.guest.layout.volume)
    free = min(guest.volume.free_bytes(), numbers.f_bavail * numbers.f_frsize)
    spare = (
        free
        - publish.measure(check.stash_roots(guest))
        - guest.settings.volume_margin_bytes
        - guest.driver.upgrade_bytes(work.call.target, work.call.options)
    )
    if spare < target.size_bytes:
        raise NotCarried(
            f'it has {target.size_bytes >> 20} MB, and the upgrade leaves '
            f'{max(0, spare) >> 20} MB of the volume free'
        )
    return min(image_archive.LARGEST_BYTES, spare)


def head_start(guest: Guest) -> None:
    """Load it on a root disk that an upgrade has just booted, before the restore is asked for.

    :raises StepFailed: this root disk is not a new one, or the volume is not there.
    """
    told = guest.carried()
    if told is None:
        return
    root_disk.require_another(guest, '')
    taking.take(
        guest,
        told.volume_uuid,
        min(_HEAD_START_WAIT_SECONDS, guest.settings.volume_wait_seconds),
    )
    load(guest, lambda _percent, _sentence: None)


def load(guest: Guest, progress: Progress) -> str | None:
    """Have the driver take the image from the mounted volume, if it lacks it; waits for a thread
    that does so.

    Returns why it could not: then it comes from a registry.  None: it is here, or none was carried.

    :raises StepRefused, StepFailed: the job was aborted meanwhile, or is late.
    """
    told = guest.carried()
    if told is None:
        return None
    with _turn(progress):
        try:
            guest.driver.receive(
                told.archive, functools.partial(_copy, guest.layout, told.archive, progress)
            )
        except NotCarried as error:
            reason = str(error)
        except OSError as error:
            reason = f'it cannot be copied to the root disk ({error.strerror})'
        except (exceptions.StepRefused, exceptions.StepFailed) as error:
            if error.code in _OF_THE_JOB:
                raise
            reason = error.message.rstrip('.')
        else:
            return None
    LOG.warning('The container image from the volume is not used: %s', reason)
    return reason


@contextlib.contextmanager
def _turn(progress: Progress) -> Iterator[None]:
    """Wait for the thread that loads, and tell of it."""
    while not _LOADING.acquire(timeout=_TURN_SECONDS):
        progress(None, 'The container image from the volume is being loaded.')
    try:
        yield
    finally:
        _LOADING.release()


@contextlib.contextmanager
def _copy(layout: Layout, archive: ImageArchive, progress: Progress) -> Iterator[Rewritten]:
    """Give the archive of the image that was told, from a copy of its parts on the root disk.

    :raises NotCarried: there is none, or no room for it.
    :raises NotOneImage: it is the archive of another image.
    :raises OSError: it cannot be copied.
    """
    durable.make_directory(layout.state, 0o700)
    numbers = os.statvfs(layout.state)
    free = numbers.f_bavail * numbers.f_frsize
    needed = _TIMES_ON_ROOT_DISK * archive.size_bytes + _ROOT_DISK_FREE_BYTES
    if free < needed:
        raise NotCarried(
            f'the root disk has {free >> 20} MB free, and {needed >> 20} MB are needed to load it'
        )
    with unnamed.file(layout.state) as copy:
        tell = BytesTold(progress, 'Copying the container image from the volume')
        with _opened(layout) as source:
            contents = image_archives.copied(source, copy, archive.size_bytes, tell)
        image = contents.image(archive.image_id)
        loading = BytesTold(progress, 'Loading the container image from the volume')
        yield dataclasses.replace(image, pieces=loading.of(image.pieces))


@contextlib.contextmanager
def _opened(layout: Layout) -> Iterator[BinaryIO]:
    try:
        with untrusted_files.directory(layout.on_volume) as kept:
            source = untrusted_files.open_regular(NAME, below=kept)
    except OSError as error:
        raise NotCarried(f'the volume does not have it ({error.strerror})') from error
    with os.fdopen(source, 'rb') as stream:
        yield stream


def remove(layout: Layout) -> None:
    """Remove it from the mounted volume.  Safe to repeat; what is not root's alone is left.

    :raises OSError: it cannot be removed.
    """
    if volume_ownership.is_ours(layout.on_volume):
        with untrusted_files.directory(layout.on_volume) as kept:
            _remove(kept)


def _remove(kept: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(NAME, dir_fd=kept)
        os.fsync(kept)
