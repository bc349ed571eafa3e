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
from trove_upgrade.domain import compute, concealment, instances
from trove_upgrade.domain.printable import printable_lines

#: What Nova showed of the servers, by id; None where Nova was not heard.
Servers = Mapping[str, compute.ServerSummary] | None


def item(call: Call, instance: instances.Instance, servers: Servers) -> dict[str, Any]:
    """An instance as it stands in a list."""
    server = None if servers is None else servers.get(instance.server_id or '')
    server_status = None if servers is None else (server.status if server else '')
    document: dict[str, Any] = {
        'id': instance.id,
        'name': instance.name,
        'status': status.status(instance, server_status),
        'operating_status': status.operating_status(instance, server_status),
        'region': instance.region or call.services.settings.region,
        'links': shapes.links(call, 'instances', instance.id),
        'flavor': {
            'id': instance.flavor_id or '',
            'links': shapes.links(call, 'flavors', instance.flavor_id),
        },
        'datastore': {'type': instance.version.datastore_name, 'version': instance.version.name},
        'access': {
            'is_public': bool(server and any(each.type == 'public' for each in server.addresses)),
            'allowed_cidrs': [],
        },
    }
    if servers is None:
        document['server_status_unknown'] = True
    if instance.volume_size_gb is not None:
        document['volume'] = {'size': instance.volume_size_gb}
    document.update(_addresses(instance, server))
    document.update(_replication(call, instance))
    if instance.cluster_id:
        document['cluster_id'] = instance.cluster_id
    if call.is_admin:
        document['tenant_id'] = instance.project_id
    return document


def detail(call: Call, instance: instances.Instance, servers: Servers) -> dict[str, Any]:
    """An instance as it is shown alone."""
    document = item(call, instance, servers)
    document['datastore']['version_number'] = instance.version.number
    document.update(
        created=shapes.time(instance.created_at),
        updated=shapes.time(instance.updated_at),
        service_status_updated=shapes.time(instance.service_status_updated_at),
    )
    if instance.fault is not None:
        message = printable_lines(instance.fault.message)
        message = (
            message if call.is_admin else concealment.for_tenant(message, (instance.server_id,))
        )
        document['fault'] = {
            'message': message,
            'created': shapes.time(instance.fault.created_at),
            'details': printable_lines(instance.fault.details)
            if call.is_admin and instance.fault.details
            else None,
        }
    if instance.configuration_id:
        document['configuration'] = {
            'id': instance.configuration_id,
            'name': instance.configuration_id,
            'links': shapes.links(call, 'configurations', instance.configuration_id),
        }
    if call.is_admin:
        document.update(
            server_id=instance.server_id,
            volume_id=instance.volume_id,
            encrypted_rpc_messaging=False,
        )
    return document


def _addresses(
    instance: instances.Instance, server: compute.ServerSummary | None
) -> dict[str, Any]:
    if instance.hostname:
        return {'hostname': instance.hostname}
    if server is None or not server.addresses:
        return {}
    shown = [
        {'address': each.address, 'type': each.type}
        | ({'network': each.network} if each.type == 'private' else {})
        for each in server.addresses
    ]
    return {'ip': [each.address for each in server.addresses], 'addresses': shown}


def _replication(call: Call, instance: instances.Instance) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if instance.replica_of_id:
        document['replica_of'] = {
            'id': instance.replica_of_id,
            'links': shapes.links(call, 'instances', instance.replica_of_id),
        }
    if instance.replica_ids:
        document['replicas'] = [
            {'id': each, 'links': shapes.links(call, 'instances', each)}
            for each in instance.replica_ids
        ]
    return document
