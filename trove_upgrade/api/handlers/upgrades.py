# SPDX-License-Identifier: Apache-2.0
"""Upgrades: how far they are, and how they ended."""

from collections.abc import Iterable

import webob

from trove_upgrade.api import errors, targets
from trove_upgrade.api.call import Call, is_name, is_uuid, json_response
from trove_upgrade.api.policies import upgrades as policy
from trove_upgrade.api.views import shapes
from trove_upgrade.api.views import upgrades as view
from trove_upgrade.domain import exceptions, instances, states
from trove_upgrade.domain.progress import Progress
from trove_upgrade.domain.upgrades import Upgrade


def index(call: Call) -> webob.Response:
    """The project's upgrades, newest first; `state` and `instance_id` choose among them, admins
    also see other projects'.
    """
    return _page(call, _project(call), call.query_uuid('instance_id'))


def index_of_instance(call: Call, instance_id: str) -> webob.Response:
    """The upgrades of one instance."""
    row = targets.instance_of(call, instance_id)
    return _page(call, None, row.id)


def show(call: Call, upgrade_id: str) -> webob.Response:
    """One upgrade with its steps."""
    if not is_uuid(upgrade_id):
        raise exceptions.UpgradeNotFound(upgrade_id=targets.printable(upgrade_id))
    row, is_whole = call.services.repos.upgrades.shown(upgrade_id, call.scope)
    return json_response(
        200, {'upgrade': view.show(call, row, _versions(call, [row]), is_whole=is_whole)}
    )


def _page(call: Call, project_id: str | None, instance_id: str | None) -> webob.Response:
    page = call.services.repos.upgrades.list(
        project_id=project_id,
        instance_id=instance_id,
        state=_state(call),
        limit=call.query_limit(),
        marker=call.query_uuid('marker'),
    )
    known = _versions(call, page.items)
    progress = call.services.repos.upgrades.progress_of([row.id for row in page.items])
    items = [
        view.item(call, _with(row, progress.get(row.id)), known, is_whole=row.id in progress)
        for row in page.items
    ]
    return json_response(200, shapes.page(call, 'upgrades', items, page.next_marker))


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


def _state(call: Call) -> states.UpgradeState | None:
    state = call.query('state')
    if state is None:
        return None
    if state.upper() not in set(states.UpgradeState):
        raise errors.QueryInvalid(
            name='state',
            found='none of the states of an upgrade',
            wanted='one of ' + ', '.join(states.UpgradeState),
        )
    return states.UpgradeState(state.upper())


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
