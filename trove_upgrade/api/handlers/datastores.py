# SPDX-License-Identifier: Apache-2.0
"""Datastores and their versions.  Versions that are not active are shown to admins only."""

import webob

from trove_upgrade.api.call import Call, is_name, is_uuid, json_response
from trove_upgrade.api.targets import printable, version_of
from trove_upgrade.api.views import datastores as view
from trove_upgrade.domain import exceptions, instances


def index(call: Call) -> webob.Response:
    """All datastores with their versions."""
    return json_response(
        200, {'datastores': [_document(call, row) for row in call.services.repos.datastores.list()]}
    )


def show(call: Call, datastore: str) -> webob.Response:
    """One datastore, by id or name."""
    return json_response(200, {'datastore': _document(call, _datastore(call, datastore))})


def versions(call: Call, datastore: str) -> webob.Response:
    """The versions of one datastore."""
    row = _datastore(call, datastore)
    found = call.services.repos.datastores.versions(row.id, active_only=not call.is_admin)
    return json_response(200, {'versions': [view.version(call, each) for each in found]})


def version(call: Call, datastore: str, version: str) -> webob.Response:
    """One version of a datastore, by id or name."""
    row = _datastore(call, datastore)
    if not is_name(version):
        raise exceptions.DatastoreVersionNotFound(version=printable(version), datastore=row.name)
    found = version_of(call, row.id, version)
    return _answer(call, found, version)


def version_by_id(call: Call, version_id: str) -> webob.Response:
    """One version of whichever datastore."""
    if not is_uuid(version_id):
        raise exceptions.DatastoreVersionNotFound(version=printable(version_id), datastore='any')
    return _answer(call, call.services.repos.datastores.version_by_id(version_id), version_id)


def _answer(call: Call, row: instances.DatastoreVersion, asked_for: str) -> webob.Response:
    if not row.active and not call.is_admin:
        raise exceptions.DatastoreVersionNotFound(version=asked_for, datastore=row.datastore_name)
    return json_response(200, {'version': view.version(call, row)})


def _datastore(call: Call, id_or_name: str) -> instances.Datastore:
    if not is_name(id_or_name):
        raise exceptions.DatastoreNotFound(datastore=printable(id_or_name))
    return call.services.repos.datastores.get(id_or_name)


def _document(call: Call, row: instances.Datastore) -> dict[str, object]:
    return view.datastore(
        call, row, call.services.repos.datastores.versions(row.id, active_only=not call.is_admin)
    )
