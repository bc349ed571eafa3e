# SPDX-License-Identifier: Apache-2.0
"""A container image that comes on the data volume: nothing is fetched while the database is down.

Trove's agent of the next root disk may give the file to the database's user, and root of the former
guest may have written anything: the parts are hashed while the engine is given them, and it gets
the end of an archive of those alone that the id of the image leads to; user data tells it.
"""

import contextlib
import dataclasses
import functools
import os
import re
import threading
from collections.abc import Iterator
from typing import BinaryIO

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.image_archive import ImageArchive
from trove_upgrade.guestagent.machine import read_ahead, untrusted_files
from trove_upgrade.guestagent.machine.containers import image_archives
from trove_upgrade.guestagent.machine.containers.image_archives import Rewritten
from trove_upgrade.guestagent.machine.containers.image_documents import Platform
from trove_upgrade.guestagent.machine.progress import BytesTold, Progress
from trove_upgrade.guestagent.storage import volume_ownership
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.upgrade import root_disk, taking
from trove_upgrade.guestagent.upgrade.work import Guest

LOG = logs.get_logger(__name__)

NAME = 'container-image.tar'
_FORMER = re.compile(r'container-image-[0-9a-f]{64}\.tar')
_NAMES = re.compile(rf'{re.escape(NAME)}|{_FORMER.pattern}')
#: For one look of a head start at the volume: a restore that is asked for meanwhile looks itself.
_LOOK_SECONDS = 1.0
#: One thread loads it, and others wait for that.
_LOADING = threading.Lock()
_TURN_SECONDS = 1.0


def name_of_former(image_id: str) -> str:
    """Return the name that the archive of the former image has: no call tells of it at the boot."""
    return f'container-image-{image_id.removeprefix("sha256:")}.tar'


class NotCarried(Exception):
    """Reason why the image does not come by way of the volume; a registry may have it."""


#: Errors by which a progress report ends the job that makes it.
OF_THE_JOB = frozenset({'DEADLINE_PASSED', 'UPGRADE_ABORTED'})


def head_start(guest: Guest) -> None:
    """Load it on a root disk that an upgrade has just booted, before the restore is asked for.

    :raises StepFailed: this root disk is not a new one, or the volume has not come within the time
        that the restore gives it, too.
    """
    told = guest.carried()
    if told is None:
        return
    root_disk.require_another(guest, '')
    _take(guest, told.volume_uuid)
    load(guest, lambda _percent, _sentence: None)


def _take(guest: Guest, volume_uuid: str) -> None:
    left = guest.settings.volume_wait_seconds
    while True:
        look = min(_LOOK_SECONDS, left)
        left -= look
        try:
            taking.take(guest, volume_uuid, look)
        except exceptions.StepFailed as error:
            if error.code != Code.VOLUME_NOT_FOUND or left <= 0:
                raise
        else:
            return


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
                told.archive, functools.partial(_taken_apart, guest.layout, told.archive, progress)
            )
        except NotCarried as error:
            reason = str(error)
        except OSError as error:
            reason = f'it cannot be read ({error.strerror})'
        except (exceptions.StepRefused, exceptions.StepFailed) as error:
            if error.code in OF_THE_JOB:
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
def _taken_apart(
    layout: Layout, archive: ImageArchive, progress: Progress, platform: Platform
) -> Iterator[Rewritten]:
    """Give the archive of the image that was told.

    :raises NotCarried: there is none.
    :raises NotOneImage: it is the archive of another image.
    :raises OSError: it cannot be read.
    """
    with _opened(layout, archive.image_id) as source:
        looking = BytesTold(progress, 'Looking at the container image on the volume')
        contents = image_archives.opened(source, archive.size_bytes, looking)
        image = contents.image(archive.image_id, platform)
        loading = BytesTold(progress, 'Loading the container image from the volume')
        with read_ahead.of(image.pieces) as pieces:
            yield dataclasses.replace(image, pieces=loading.of(pieces))


@contextlib.contextmanager
def _opened(layout: Layout, image_id: str) -> Iterator[BinaryIO]:
    """Open the archive of an image: the former one's has a name of its own."""
    try:
        with untrusted_files.directory(layout.on_volume) as kept:
            try:
                source = untrusted_files.open_regular(name_of_former(image_id), below=kept)
            except FileNotFoundError:
                source = untrusted_files.open_regular(NAME, below=kept)
    except OSError as error:
        raise NotCarried(f'the volume does not have it ({error.strerror})') from error
    with os.fdopen(source, 'rb') as stream:
        yield stream


def remove(layout: Layout, names: re.Pattern[str] = _NAMES) -> None:
    """Remove images from the mounted volume, all of them unless `names` are given.  Safe to repeat;
    in a directory that is not root's alone nothing is removed.

    :raises OSError: it cannot be removed.
    """
    if volume_ownership.is_ours(layout.on_volume):
        with untrusted_files.directory(layout.on_volume) as kept:
            remove_in(kept, names)


def remove_in(kept: int, names: re.Pattern[str] = _NAMES) -> None:
    """Remove them from the directory that a descriptor has open, whatever they are."""
    for name in os.listdir(kept):
        if names.fullmatch(name):
            try:
                os.unlink(name, dir_fd=kept)
            except FileNotFoundError:
                continue  # the thread that removes stashes and a job can remove the same one
            except IsADirectoryError:
                untrusted_files.remove_tree(name, kept)
            os.fsync(kept)


def discard(guest: Guest) -> None:
    """Remove all images as `remove` does, where the volume is mounted; what cannot be removed is
    logged, and goes with the next upgrade at the latest.
    """
    _discard(guest, _NAMES)


def discard_former(guest: Guest) -> None:
    """Remove the former image alone: there is no way back once the new server was started."""
    _discard(guest, _FORMER)


def _discard(guest: Guest, names: re.Pattern[str]) -> None:
    try:
        if guest.volume.mounted() is not None:
            remove(guest.layout, names)
    except (OSError, exceptions.StepFailed) as error:
        LOG.warning('A container image stays on the volume for now: %s', error)
