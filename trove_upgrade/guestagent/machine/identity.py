# SPDX-License-Identifier: Apache-2.0
"""Identity of this guest: its boot, and the upgrade that booted it."""

import configparser
import dataclasses
import os
import pathlib

from trove_upgrade.domain import image_archive, logs, upgrade_info
from trove_upgrade.domain.image_archive import ImageArchive
from trove_upgrade.guestagent.machine import untrusted_files

LOG = logs.get_logger(__name__)

_GROUP, _OPTION = 'trove_upgrade', 'upgrade_marker'
_VOLUME, _ARCHIVE = 'upgrade_volume_uuid', 'upgrade_image_archive'
_BOOT_ID = pathlib.Path('/proc/sys/kernel/random/boot_id')
_MARKER_BYTES = 1 << 20


def boot_id() -> str:
    """Return the boot id of the running kernel, or of the namespaced guest: another one after each
    boot.
    """
    return _BOOT_ID.read_text(encoding='ascii').strip()


def read_marker(path: pathlib.Path) -> str | None:
    """The marker that user data has written; None if this guest was not booted by an upgrade."""
    return _option(path, _OPTION) or None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CarriedArchive:
    """Archive of a container image on the data volume, as user data tells of it."""

    volume_uuid: str
    archive: ImageArchive


def read_archive(path: pathlib.Path) -> CarriedArchive | None:
    """Return what user data tells of the container image on the volume; None if it tells nothing,
    or nothing of its form.
    """
    volume_uuid, text = _option(path, _VOLUME), _option(path, _ARCHIVE)
    if not text or not upgrade_info.is_volume_uuid(volume_uuid):
        return None
    try:
        archive = ImageArchive.from_option(text)
    except image_archive.Invalid as error:
        LOG.warning('%s: %s, and no image is taken from the volume', path, error)
        return None
    return CarriedArchive(volume_uuid=volume_uuid, archive=archive)


def _option(path: pathlib.Path, name: str) -> str:
    """Read an option of the marker's file; '' where it has none, or is not there."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        with os.fdopen(untrusted_files.open_regular(path, follow=True), encoding='utf-8') as stream:
            parser.read_string(stream.read(_MARKER_BYTES))
    except FileNotFoundError:
        return ''
    except (OSError, ValueError, configparser.Error) as error:
        LOG.warning('%s cannot be read and counts as absent: %s', path, error)
        return ''
    return parser.get(_GROUP, name, fallback='').strip()
