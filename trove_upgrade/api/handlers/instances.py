# SPDX-License-Identifier: Apache-2.0
"""Instances: shown as Trove shows them, and upgraded."""

from collections.abc import Sequence
from typing import NoReturn

import webob

from trove_upgrade.api import targets
from trove_upgrade.api.call import Call, HandedOn, json_response
from trove_upgrade.api.services import GuestWithoutAgent
from trove_upgrade.api.views import instances as view
from trove_upgrade.api.views import shapes
from trove_upgrade.domain import exceptions, instances, logs
from trove_upgrade.domain.upgrades import Upgrade

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
    """Start an upgrade: `datastore_version` names the target by name or uuid.

    202 with an empty body, as Trove answers.  The row is committed before the cast: the first poll
    sees UPGRADE.  Neither Nova nor the guest is asked here; what they would refuse is the
    precheck's to find.

    :raises InstanceBusy: 422; something else holds the instance, and nothing was written.
    :raises InstanceHasNoServer: 422; there is nothing to rebuild.
    :raises GuestAgentMissing: 422; beside Trove, the guest has not told of our agent lately.
    :raises HandedOn: the same, where the operator leaves such guests to Trove.
    """
    with call.services.repos.database.one_connection():
        row, upgrade = _begin(call, instance_id, call.document['instance']['datastore_version'])
    LOG.info(
        'Upgrade %s of instance %s: PENDING, from %s %s to %s, asked for by user %s',
        upgrade.id,
        row.id,
        row.version.datastore_name,
        row.version.name,
        upgrade.target_number,
        call.context.user_id,
    )
    call.services.taskmanager.upgrade(call.context, upgrade)
    return webob.Response(status=202, content_type='application/json', charset='UTF-8')


def _begin(call: Call, instance_id: str, id_or_name: str) -> tuple[instances.Instance, Upgrade]:
    row, named = targets.instance_with_named(call, instance_id, id_or_name)
    settings = call.services.settings
    is_left = settings.guest_without_agent is GuestWithoutAgent.LEAVE
    guests = call.services.repos.guests
    if is_left and not guests.heard(row.id, settings.guest_silence_seconds):
        _leave(call, row)
    target = targets.target_of(call, row, id_or_name, named)
    # '' for a version that has tags only: the precheck takes the newest image that has them.
    return row, call.services.repos.upgrades.begin(
        row,
        target,
        target_image_id=target.image_id or '',
        request_id=call.context.request_id,
        user_id=call.context.user_id,
        agent_silence_seconds=(
            None if settings.guest_without_agent is None else settings.guest_silence_seconds
        ),
    )


def _leave(call: Call, instance: instances.Instance) -> NoReturn:
    """Leave the upgrade to Trove, unless one of ours still works on the volume.

    :raises HandedOn: none does.
    :raises InstanceBusy, InstanceNeedsRetry: one does.
    """
    obstacle = call.services.repos.upgrades.why_not_leave(instance)
    if obstacle is not None:
        raise obstacle
    LOG.info(
        'The upgrade of instance %s is left to Trove: its guest has not told of our agent lately, '
        'and [trove_upgrade] guest_without_agent is "pass"',
        instance.id,
    )
    raise HandedOn


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
