# SPDX-License-Identifier: Apache-2.0
"""Files that a rebuild writes beside those of the former user data: our marker, the guest's key,
and what the former user data lacks.
"""

import posixpath
from typing import Any

from trove_upgrade.domain.cloud_init import write_files
from trove_upgrade.taskmanager import file_entries
from trove_upgrade.taskmanager.agent_options import GUEST_CONFIG_NAME
from trove_upgrade.taskmanager.contents import Contents

MARKER_PATH = '/etc/trove/conf.d/trove-upgrade-marker.conf'
#: Beside the directory that Trove's agent reads, which need not be root.
KEY_PATH = '/etc/trove/trove-upgrade-guest.key'

Entries = list[dict[str, Any]]


def beside(kept: Entries, marker: str, contents: Contents, kept_options: str) -> Entries:
    """Return the entries that come after `kept`.

    They belong to the owner of guest_info: Trove's agent, which reads them all and need not be
    root.  `kept_options` go into the marker's file, which the agents read last.
    """
    lacking = _lacking(kept, contents)
    known = [*kept, *lacking]
    info = next((entry for entry in known if file_entries.is_guest_info(entry)), None)
    owner = write_files.ROOT if info is None else write_files.owner_of(info)
    if contents.guest_config is not None and not any(
        file_entries.is_guest_config(entry) for entry in known
    ):
        directory = posixpath.dirname(MARKER_PATH if info is None else file_entries.path_of(info))
        path = posixpath.join(directory, GUEST_CONFIG_NAME)
        lacking.append(write_files.created(path, contents.guest_config, owner))
    own = [_marker_entry(marker, contents, kept_options, owner)]
    if contents.guest_key is not None:
        own.append(write_files.created(KEY_PATH, contents.guest_key, write_files.ROOT))
    return [*lacking, *own]


def _lacking(kept: Entries, contents: Contents) -> Entries:
    """Return what Trove gives a new guest, where the former user data did not; a file that the
    former writes stays as it is there.
    """
    if contents.injected is None or any(file_entries.is_guest_info(entry) for entry in kept):
        return []
    written = {file_entries.path_of(entry) for entry in kept}
    return [
        entry for entry in contents.injected.entries() if file_entries.path_of(entry) not in written
    ]


def image_archive_of(contents: Contents) -> str | None:
    """Return the value of the option that tells of the container image on the volume."""
    return None if contents.image_archive is None else contents.image_archive.to_option()


def _marker_entry(marker: str, contents: Contents, kept_options: str, owner: str) -> dict[str, Any]:
    lines = {
        'upgrade_marker': marker,
        'upgrade_volume_uuid': contents.volume_uuid,
        'upgrade_image_archive': image_archive_of(contents),
        'guest_topic_prefix': contents.guest_topic_prefix,
        'upgrade_container_repositories': ','.join(contents.container_repositories) or None,
    }
    text = ''.join(f'{name} = {value}\n' for name, value in lines.items() if value is not None)
    return write_files.created(MARKER_PATH, f'[trove_upgrade]\n{text}{kept_options}', owner)
