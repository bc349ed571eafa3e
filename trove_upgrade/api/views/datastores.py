# SPDX-License-Identifier: Apache-2.0
"""Datastores and versions in Trove's JSON."""

from collections.abc import Sequence
from typing import Any

from trove_upgrade.api.call import Call
from trove_upgrade.api.views import shapes
from trove_upgrade.domain import instances


def datastore(
    call: Call, row: instances.Datastore, versions: Sequence[instances.DatastoreVersion]
) -> dict[str, Any]:
    """A datastore with the versions that the caller may see."""
    document: dict[str, Any] = {
        'id': row.id,
        'name': row.name,
        'links': shapes.links(call, 'datastores', row.id),
        'versions': [version(call, each, inside=True) for each in versions],
    }
    # The released client looks the default version up among the versions and
    # dies if it is not there.
    if row.default_version_id in {each.id for each in versions}:
        document['default_version'] = row.default_version_id
    return document


def version(call: Call, row: instances.DatastoreVersion, *, inside: bool = False) -> dict[str, Any]:
    """A version; `inside` its datastore the datastore is not said again."""
    document: dict[str, Any] = {
        'id': row.id,
        'name': row.name,
        'version': row.number,
        'links': shapes.links(call, f'datastores/{row.datastore_id}/versions', row.id),
    }
    if not inside:
        document['datastore'] = row.datastore_id
    if call.is_admin:
        document.update(
            active=row.active,
            image=row.image_id,
            image_tags=list(row.image_tags),
            packages=row.packages,
            manager=row.manager,
            registry_ext=None,
            repl_strategy=None,
        )
    return document
