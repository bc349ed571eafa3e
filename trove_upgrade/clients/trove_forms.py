# SPDX-License-Identifier: Apache-2.0
"""Trove's JSON, read and written.  Source: trove/instance/views.py, trove/backup/views.py,
trove/datastore/views.py, trove/extensions/common/views.py (Trove 26).
"""

import urllib.parse
from collections.abc import Mapping
from typing import Any

from trove_upgrade.domain import database_service as domain
from trove_upgrade.domain.compute import Address

_Json = Mapping[str, Any]


def next_marker(page: _Json) -> str | None:
    """Return the marker of the next page, which Trove quotes twice.  Source:
    trove/common/pagination.py, PaginatedDataView (Trove 26).
    """
    for link in page.get('links') or ():
        if link.get('rel') == 'next':
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(link['href']).query)
            return urllib.parse.unquote(query['marker'][0])
    return None


def to_be_made(wanted: domain.NewInstance) -> dict[str, Any]:
    """Return the body that asks for an instance."""
    made: dict[str, Any] = {
        'name': wanted.name,
        'flavorRef': wanted.flavor_id,
        'datastore': {'type': wanted.datastore, 'version': wanted.version},
    }
    if wanted.volume_size_gb is not None:
        made['volume'] = {'size': wanted.volume_size_gb}
    if wanted.network_id is not None:
        made['nics'] = [{'net-id': wanted.network_id}]  # the name that every release takes
    return {'instance': made}


def instance(raw: _Json) -> domain.DatabaseInstance:
    """Read an instance."""
    datastore = raw.get('datastore') or {}
    return domain.DatabaseInstance(
        id=raw['id'],
        name=raw['name'],
        status=raw['status'],
        operating_status=raw.get('operating_status'),
        datastore=datastore.get('type') or '',
        version_name=datastore.get('version') or '',
        version_number=datastore.get('version_number'),
        addresses=_addresses(raw),
        hostname=raw.get('hostname'),
        project_id=raw.get('tenant_id'),
        server_id=raw.get('server_id'),
        flavor_id=(raw.get('flavor') or {}).get('id'),
        volume_size_gb=(raw.get('volume') or {}).get('size'),
        fault=(raw.get('fault') or {}).get('message'),
    )


def _addresses(raw: _Json) -> tuple[Address, ...]:
    """Return the addresses; releases before Victoria have `ip` alone."""
    if 'addresses' not in raw:
        return tuple(Address(found, 'private', '') for found in raw.get('ip') or ())
    return tuple(
        Address(found['address'], found.get('type') or '', found.get('network') or '')
        for found in raw['addresses'] or ()
    )


def version(raw: _Json) -> domain.OfferedVersion:
    """Read a version of a datastore."""
    return domain.OfferedVersion(
        id=raw['id'],
        name=raw['name'],
        number=raw.get('version'),
        datastore_id=raw.get('datastore'),
    )


def backup(raw: _Json) -> domain.ShownBackup:
    """Read a backup."""
    return domain.ShownBackup(
        id=raw['id'],
        name=raw.get('name') or '',
        status=raw['status'],
        instance_id=raw.get('instance_id'),
        parent_id=raw.get('parent_id'),
    )


def user(raw: _Json) -> domain.DatabaseUser:
    """Read a user of a database."""
    return domain.DatabaseUser(raw['name'], raw.get('host'))
