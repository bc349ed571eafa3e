# SPDX-License-Identifier: Apache-2.0
"""Marker of a rebuild, `<upgrade id>:<number of the rebuild>`: in the server's metadata and user
data, and in what its guest tells.
"""


def marker_of(upgrade_id: str, rebuild_attempt: int) -> str:
    """Return the marker of an upgrade's rebuild; `rebuild_attempt` counts from 1."""
    return f'{upgrade_id}:{rebuild_attempt}'


def upgrade_of(marker: str) -> str:
    """Return the id of the upgrade that a marker belongs to; '' of an empty one."""
    return marker.partition(':')[0]
