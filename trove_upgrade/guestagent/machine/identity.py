# SPDX-License-Identifier: Apache-2.0
"""Identity of this guest: its boot, and the upgrade that booted it."""

import configparser
import os
import pathlib

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.machine import untrusted_files

LOG = logs.get_logger(__name__)

_GROUP, _OPTION = 'trove_upgrade', 'upgrade_marker'
_BOOT_ID = pathlib.Path('/proc/sys/kernel/random/boot_id')
_MARKER_BYTES = 1 << 20


def boot_id() -> str:
    """Return the boot id of the running kernel, or of the namespaced guest: another one after each
    boot.
    """
    return _BOOT_ID.read_text(encoding='ascii').strip()


def read_marker(path: pathlib.Path) -> str | None:
    """The marker that user data has written; None if this guest was not booted by an upgrade."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        with os.fdopen(untrusted_files.open_regular(path, follow=True), encoding='utf-8') as stream:
            parser.read_string(stream.read(_MARKER_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, configparser.Error) as error:
        LOG.warning('%s cannot be read and counts as absent: %s', path, error)
        return None
    return parser.get(_GROUP, _OPTION, fallback='').strip() or None
