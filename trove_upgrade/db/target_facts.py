# SPDX-License-Identifier: Apache-2.0
"""Facts of a version's image, and which agent each image had that the version was ever registered
with.

A version is given one image after the other, and its facts are the last one's.  A rollback boots an
image of before.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns
from trove_upgrade.db.models import upgrade_target_facts as _facts
from trove_upgrade.db.trove_tables import datastore_versions as _versions

#: The fact of an image: the highest guest RPC version of the agent in it.
GUEST_RPC = 'guest_rpc'
#: In the row beside the facts: what GUEST_RPC was, by image.
_BY_IMAGE = 'guest_rpc_by_image'
#: Images of a version that are remembered.
_IMAGES = 200


def read(connection: sa.Connection, version_id: str) -> Mapping[str, Any]:
    """Return the facts of the version's last image; empty where none were registered."""
    return {
        name: fact for name, fact in _stored(connection, version_id).items() if name != _BY_IMAGE
    }


def agents(connection: sa.Connection, version_id: str) -> Mapping[str, Any]:
    """Return the fact GUEST_RPC by image id; empty where the version names no image, as one that
    has tags.
    """
    found = _stored(connection, version_id).get(_BY_IMAGE)
    return found if isinstance(found, Mapping) else {}


def save(connection: sa.Connection, version_id: str, facts: Mapping[str, Any]) -> None:
    """Replace the facts; those of GUEST_RPC are of the image that the version has now."""
    image_id = connection.execute(
        sa.select(_versions.c.image_id).where(_versions.c.id == version_id)
    ).scalar_one_or_none()
    by_image = dict(agents(connection, version_id))
    if image_id:
        by_image.pop(image_id, None)
        by_image[image_id] = facts.get(GUEST_RPC)
    kept = dict(list(by_image.items())[-_IMAGES:])
    connection.execute(sa.delete(_facts).where(_facts.c.version_id == version_id))
    connection.execute(
        sa.insert(_facts).values(
            version_id=version_id,
            facts={**facts, _BY_IMAGE: kept} if kept else dict(facts),
            updated_at=columns.now(),
        )
    )


def _stored(connection: sa.Connection, version_id: str) -> Mapping[str, Any]:
    query = sa.select(_facts.c.facts).where(_facts.c.version_id == version_id)
    return connection.execute(query).scalar_one_or_none() or {}
