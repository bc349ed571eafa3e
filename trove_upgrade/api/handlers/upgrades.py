# SPDX-License-Identifier: Apache-2.0
"""Upgrades: how far they are, and how they ended."""

import datetime
from collections.abc import Iterable
from typing import Any

import webob

from trove_upgrade.api import beginning, errors, targets
from trove_upgrade.api.call import Call, is_name, is_uuid, json_response
from trove_upgrade.api.policies import upgrades as policy
from trove_upgrade.api.views import shapes
from trove_upgrade.api.views import upgrades as view
from trove_upgrade.db.page import Page
from trove_upgrade.db.upgrade_lists import Filters, Order, SortKey
from trove_upgrade.domain import estimates, exceptions, instances, states
from trove_upgrade.domain.progress import Progress
from trove_upgrade.domain.upgrades import Upgrade


def index(call: Call) -> webob.Response:
    """The project's upgrades, newest first; the query chooses among them, admins also see other
    projects'.
    """
    return _page(call, _project(call), call.query_uuid('instance_id'))


def index_of_instance(call: Call, instance_id: str) -> webob.Response:
    """The upgrades of one instance."""
    row = targets.instance_of(call, instance_id)
    # of its project: a marker that is another one's would tell of what the caller may not see
    return _page(call, row.project_id, row.id)


def create(call: Call) -> webob.Response:
    """Begin an upgrade, as a PATCH of the instance does.  202 with the upgrade and its address."""
    asked = call.document['upgrade']
    _, begun = beginning.begin(call, asked['instance_id'], asked, may_be_left=False)
    answer = json_response(202, {'upgrade': shown(call, begun)})
    answer.location = call.href(f'/{call.project_id}/upgrades/{begun.id}')
    return answer


def show(call: Call, upgrade_id: str) -> webob.Response:
    """One upgrade with its steps."""
    if not is_uuid(upgrade_id):
        raise exceptions.UpgradeNotFound(upgrade_id=targets.printable(upgrade_id))
    row, is_whole = call.services.repos.upgrades.shown(upgrade_id, call.scope)
    return json_response(200, {'upgrade': shown(call, row, is_whole=is_whole)})


def shown(call: Call, row: Upgrade, *, is_whole: bool = True) -> dict[str, Any]:
    """Return an upgrade as an answer shows it alone."""
    return view.show(
        call, row, _versions(call, [row]), is_whole=is_whole, prospect=_prospect(call, row)
    )


def _prospect(call: Call, row: Upgrade) -> view.Prospect:
    """Return what past upgrades let expect of one that has not ended."""
    if row.state not in states.ACTIVE:
        return view.NO_PROSPECT
    try:
        instance = call.services.repos.instances.get(row.instance_id)
    except exceptions.InstanceNotFound:
        return view.NO_PROSPECT
    history = call.services.repos.history.recent(row.project_id, row.former_version_id)
    now = call.services.repos.upgrades.now()
    return view.Prospect(
        expected_downtime=view.expected(history, instance, row.target_version_id),
        expected_seconds_left=estimates.seconds_left(history, row, now),
    )


def _page(call: Call, project_id: str | None, instance_id: str | None) -> webob.Response:
    order, marker_time = _order(call), call.query_time('marker_time')
    if order.key is not SortKey.UPDATED_AT:  # what does not move stands where its row tells
        marker_time = None
    page = call.services.repos.upgrades.list(
        project_id=project_id,
        instance_id=instance_id,
        filters=_filters(call),
        order=order,
        limit=call.query_limit(),
        marker=call.query_uuid('marker'),
        marker_time=marker_time,
    )
    known = _versions(call, page.items)
    progress = call.services.repos.upgrades.progress_of([row.id for row in page.items])
    items = [
        view.item(call, _with(row, progress.get(row.id)), known, is_whole=row.id in progress)
        for row in page.items
    ]
    place = _place(page, order)
    return json_response(200, shapes.page(call, 'upgrades', items, page.next_marker, place))


def _place(page: Page[Upgrade], order: Order) -> dict[str, str]:
    """Return the time at which the last row stands: it can be another one when the next page is
    asked for.
    """
    if page.next_marker is None or order.key is not SortKey.UPDATED_AT:
        return {}
    return {'marker_time': page.items[-1].updated_at.astimezone(datetime.UTC).isoformat()}


def _with(upgrade: Upgrade, progress: Progress | None) -> Upgrade:
    return upgrade if progress is None else upgrade.evolve(progress=progress)


def _project(call: Call) -> str | None:
    """The project whose upgrades are asked for; another one than the caller's own is for callers
    that the policy lets see all.

    :raises Forbidden: it does not.
    """
    project_id = call.query('project_id')
    if project_id is not None and not is_name(project_id):
        raise errors.QueryInvalid(
            name='project_id', found='not an id', wanted='the id of a project'
        )
    if not call.query_flag('all_projects') and project_id in {None, call.project_id}:
        return call.project_id
    if not call.services.enforcer.authorize(
        policy.LIST_ALL, {'project_id': call.project_id}, call.context
    ):
        raise errors.Forbidden(
            found=(
                f'the policy {policy.LIST_ALL} does not let you see the upgrades of other projects'
            )
        )
    return project_id


def _filters(call: Call) -> Filters:
    name = call.query('instance_name')
    if name is not None and not is_name(name):
        raise errors.QueryInvalid(
            name='instance_name', found='not a name', wanted='the name of an instance'
        )
    return Filters(
        states=tuple(map(_state, call.queries('state'))),
        target_version_id=call.query_uuid('target_version_id'),
        since=call.query_time('since'),
        instance_name=name,
    )


def _state(text: str) -> states.UpgradeState:
    if text.upper() not in set(states.UpgradeState):
        raise errors.QueryInvalid(
            name='state',
            found='none of the states of an upgrade',
            wanted='one of ' + ', '.join(states.UpgradeState),
        )
    return states.UpgradeState(text.upper())


def _order(call: Call) -> Order:
    key = call.query_choice('sort_key', tuple(SortKey)) or SortKey.CREATED_AT
    return Order(SortKey(key), ascending=call.query_choice('sort_dir', ('asc', 'desc')) == 'asc')


def _versions(call: Call, rows: Iterable[Upgrade]) -> view.Versions:
    """The versions that the upgrades name; one that the operator has deleted since
    is shown by its id alone.
    """
    known: dict[str, instances.DatastoreVersion] = {}
    for version_id in {
        each for row in rows for each in (row.former_version_id, row.target_version_id)
    }:
        try:
            known[version_id] = call.services.repos.datastores.version_by_id(version_id)
        except exceptions.DatastoreVersionNotFound:
            continue
    return known
