# SPDX-License-Identifier: Apache-2.0
"""Instances in Trove's JSON.

A field that a client asks for and does not find costs it one GET per instance of a list, so a
list's items carry all that the released clients look at. What only the guest knows (used space) is
left out: a GET never waits for a guest.
"""

from collections.abc import Mapping
from typing import Any

from trove_upgrade.api.call import Call
from trove_upgrade.api.views import shapes, status
from trove_upgrade.domain import compute, concealment, instance
from trove_upgrade.domain.printable import printable_lines

#: What Nova showed of the servers, by id; None where Nova was not heard.
Servers = Mapping[str, compute.ServerSummary] | None


def item(call: Call, row: instance.Instance, servers: Servers) -> dict[str, Any]:
    """An instance as it stands in a list."""
    server = None if servers is None else servers.get(row.server_id or '')
    server_status = None if servers is None else (server.status if server else '')
    document: dict[str, Any] = {
        'id': row.id,
        'name': row.name,
        'status': status.status(row, server_status),
        'operating_status': status.operating_status(row, server_status),
        'region': row.region or call.services.settings.region,
        'links': shapes.links(call, 'instances', row.id),
        'flavor': {
            'id': row.flavor_id or '',
            'links': shapes.links(call, 'flavors', row.flavor_id),
        },
        'datastore': {'type': row.version.datastore_name, 'version': row.version.name},
        'access': {
            'is_public': bool(server and any(each.type == 'public' for each in server.addresses)),
            'allowed_cidrs': [],
        },
    }
    if servers is None:
        document['server_status_unknown'] = True
    if row.volume_size_gb is not None:
        document['volume'] = {'size': row.volume_size_gb}
    document.update(_addresses(row, server))
    document.update(_replication(call, row))
    if row.cluster_id:
        document['cluster_id'] = row.cluster_id
    if call.is_admin:
        document['tenant_id'] = row.project_id
    return document


def detail(call: Call, row: instance.Instance, servers: Servers) -> dict[str, Any]:
    """An instance as it is shown alone."""
    document = item(call, row, servers)
    document['datastore']['version_number'] = row.version.number
    document.update(
        created=shapes.time(row.created_at),
        updated=shapes.time(row.updated_at),
        service_status_updated=shapes.time(row.service_status_updated_at),
    )
    if row.fault is not None:
        message = printable_lines(row.fault.message)
        message = message if call.is_admin else concealment.for_tenant(message, (row.server_id,))
        document['fault'] = {
            'message': message,
            'created': shapes.time(row.fault.created_at),
            'details': printable_lines(row.fault.details)
            if call.is_admin and row.fault.details
            else None,
        }
    if row.configuration_id:
        document['configuration'] = {
            'id': row.configuration_id,
            'name': row.configuration_id,
            'links': shapes.links(call, 'configurations', row.configuration_id),
        }
    if call.is_admin:
        document.update(
            server_id=row.server_id, volume_id=row.volume_id, encrypted_rpc_messaging=False
        )
    return document


def _addresses(row: instance.Instance, server: compute.ServerSummary | None) -> dict[str, Any]:
    if row.hostname:
        return {'hostname': row.hostname}
    if server is None or not server.addresses:
        return {}
    shown = [
        {'address': each.address, 'type': each.type}
        | ({'network': each.network} if each.type == 'private' else {})
        for each in server.addresses
    ]
    return {'ip': [each.address for each in server.addresses], 'addresses': shown}


def _replication(call: Call, row: instance.Instance) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if row.replica_of_id:
        document['replica_of'] = {
            'id': row.replica_of_id,
            'links': shapes.links(call, 'instances', row.replica_of_id),
        }
    if row.replica_ids:
        document['replicas'] = [
            {'id': each, 'links': shapes.links(call, 'instances', each)} for each in row.replica_ids
        ]
    return document
