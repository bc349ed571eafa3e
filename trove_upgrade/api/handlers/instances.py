# SPDX-License-Identifier: Apache-2.0
"""Instances: shown as Trove shows them, and upgraded."""

from collections.abc import Sequence

import webob

from trove_upgrade.api import beginning, targets
from trove_upgrade.api.call import Call, json_response
from trove_upgrade.api.views import instances as view
from trove_upgrade.api.views import shapes
from trove_upgrade.domain import exceptions, instances, logs

LOG = logs.get_logger(__name__)


def index(call: Call) -> webob.Response:
    """Answer with a page of the project's instances, without deleted ones."""
    return _page(call, call.project_id, deleted=False)


def index_all(call: Call) -> webob.Response:
    """Every project's instances, or those of `project_id`;
    deleted ones too unless `deleted` says otherwise.
    """
    chosen = (call.query('deleted') or '').lower()
    deleted = {'true': True, 'false': False}.get(chosen)
    return _page(call, call.query('project_id'), deleted=deleted)


def show(call: Call, instance_id: str) -> webob.Response:
    """Show one instance with its details."""
    row = targets.instance_of(call, instance_id, with_details=True)
    return json_response(200, {'instance': view.detail(call, row, _servers(call, [row]))})


def edit(call: Call, instance_id: str) -> webob.Response:
    """Start an upgrade: `datastore_version` names the target by name or uuid; the rest of the body
    are choices that a client may leave out.

    202 with an empty body, as Trove answers.  The row is committed before the cast: the first poll
    sees UPGRADE.  Neither Nova nor the guest is asked here; what they would refuse is the
    precheck's to find.

    :raises InstanceBusy: 422; something else holds the instance, and nothing was written.
    :raises InstanceHasNoServer: 422; there is nothing to rebuild.
    :raises GuestAgentMissing: 422; beside Trove, the guest has not told of our agent lately.
    :raises HandedOn: the same, where the operator leaves such guests to Trove.
    """
    beginning.begin(call, instance_id, call.document['instance'], may_be_left=True)
    return webob.Response(status=202, content_type='application/json', charset='UTF-8')


def _page(call: Call, project_id: str | None, *, deleted: bool | None) -> webob.Response:
    page = call.services.repos.instances.list(
        project_id,
        limit=call.query_limit(),
        marker=call.query_uuid('marker'),
        include_clustered=call.query_flag('include_clustered'),
        deleted=deleted,
    )
    servers = _servers(call, page.items)
    newest_first = sorted(page.items, key=lambda row: row.created_at, reverse=True)
    return json_response(
        200,
        shapes.page(
            call,
            'instances',
            [view.item(call, row, servers) for row in newest_first],
            page.next_marker,
        ),
    )


def _servers(call: Call, rows: Sequence[instances.Instance]) -> view.Servers:
    """Return what Nova shows of their servers; None, told in the log, where it did not answer in
    time.
    """
    if call.services.servers is None:
        return None
    if not any(row.server_id for row in rows):
        return {}
    try:
        return call.services.servers.servers(rows)
    except exceptions.ComputeUnavailable as error:
        LOG.warning('Instances are shown without what Nova knows of them: %s', error)
        return None
