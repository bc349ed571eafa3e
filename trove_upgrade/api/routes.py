# SPDX-License-Identifier: Apache-2.0
"""Every address of the API, as data: its handler, its policy, the form of the body.

Paths are as Trove's mapper sees them: /v1.0 has been taken away.  No regular expressions in them: a
malformed id must reach its handler and become a 404 that names the thing, because clients look
names up on 404 and stop on 400.
"""

import dataclasses
from collections.abc import Callable, Mapping

import routes
import webob

from trove_upgrade.api import errors, openapi, policies, schemas
from trove_upgrade.api.handlers import (
    datastores,
    descriptions,
    drift,
    instances,
    upgrade_actions,
    upgrade_checks,
    upgrade_targets,
    upgrades,
)


@dataclasses.dataclass(frozen=True)
class Route:
    """Handler, policy and schema of one method at one path."""

    handler: Callable[..., webob.Response]
    policy: str
    schema: schemas.Schema | None = None  #: None: the route takes no body


#: The routes below in OpenAPI.
DESCRIPTION = openapi.Description(lambda: ROUTES)

#: PUT and PATCH are one thing in Trove, too.
_EDIT = Route(instances.edit, policies.instances.UPGRADE, schemas.INSTANCE_EDIT)

ROUTES: Mapping[str, Mapping[str, Route]] = {
    '/{project_id}/instances': {'GET': Route(instances.index, policies.instances.LIST)},
    '/{project_id}/instances/{instance_id}': {
        'GET': Route(instances.show, policies.instances.SHOW),
        'PATCH': _EDIT,
        'PUT': _EDIT,
    },
    '/{project_id}/instances/{instance_id}/upgrade-targets': {
        'GET': Route(upgrade_targets.index, policies.instances.TARGETS)
    },
    '/{project_id}/instances/{instance_id}/upgrade-checks': {
        'POST': Route(upgrade_checks.create, policies.upgrade_checks.CREATE, schemas.UPGRADE_CHECK)
    },
    '/{project_id}/instances/{instance_id}/upgrade-checks/{check_id}': {
        'GET': Route(upgrade_checks.show, policies.upgrade_checks.SHOW)
    },
    '/{project_id}/instances/{instance_id}/upgrades': {
        'GET': Route(upgrades.index_of_instance, policies.upgrades.LIST)
    },
    '/{project_id}/mgmt/instances': {
        'GET': Route(instances.index_all, policies.instances.LIST_ALL)
    },
    '/{project_id}/mgmt/upgrade-drift': {'GET': Route(drift.index, policies.drift.SHOW)},
    # not 'project_id': that one is the token's
    '/{project_id}/mgmt/upgrade-drift/{drift_project_id}': {
        'GET': Route(drift.show, policies.drift.SHOW)
    },
    '/{project_id}/upgrades': {
        'GET': Route(upgrades.index, policies.upgrades.LIST),
        'POST': Route(upgrades.create, policies.upgrades.CREATE, schemas.UPGRADE),
    },
    '/{project_id}/upgrades/{upgrade_id}': {'GET': Route(upgrades.show, policies.upgrades.SHOW)},
    '/{project_id}/upgrades/{upgrade_id}/action': {
        'POST': Route(upgrade_actions.create, policies.upgrades.ACT, schemas.UPGRADE_ACTION)
    },
    '/{project_id}/upgrades/{upgrade_id}/actions': {
        'GET': Route(upgrade_actions.index, policies.upgrades.SHOW)
    },
    '/{project_id}/upgrade-openapi': {
        'GET': Route(descriptions.shower(DESCRIPTION), policies.openapi.SHOW)
    },
    '/{project_id}/datastores': {'GET': Route(datastores.index, policies.datastores.LIST)},
    # Before the next two: 'versions' here is a word, not a datastore.
    '/{project_id}/datastores/versions/{version_id}': {
        'GET': Route(datastores.version_by_id, policies.datastores.SHOW)
    },
    '/{project_id}/datastores/{datastore}': {
        'GET': Route(datastores.show, policies.datastores.SHOW)
    },
    '/{project_id}/datastores/{datastore}/versions': {
        'GET': Route(datastores.versions, policies.datastores.LIST)
    },
    '/{project_id}/datastores/{datastore}/versions/{version}': {
        'GET': Route(datastores.version, policies.datastores.SHOW)
    },
}


class RouteMap:
    """Routes by path and method, for all threads."""

    def __init__(self, table: Mapping[str, Mapping[str, Route]] = ROUTES) -> None:
        self._table = table
        self._mapper = routes.Mapper()
        for path in table:
            self._mapper.connect(path, controller=path)
        # now, and not in the first requests of several threads at once
        self._mapper.create_regs([])

    def find(self, path: str, method: str) -> tuple[Route, dict[str, str]]:
        """The route and the path's variables.

        :raises NoSuchResource: nothing is there.
        :raises MethodNotAllowed: something is, and does not take `method`.
        """
        path = path if path == '/' else path.rstrip('/')
        # Routes would leave out a line feed at the end,
        # and find another resource than the one that was asked for
        found = None if path.endswith('\n') else self._mapper.match(path)
        if not found:
            raise errors.NoSuchResource(path=ascii(path)[1:-1])
        methods = self._table[found['controller']]
        if method not in methods:
            raise errors.MethodNotAllowed(
                method=ascii(method)[1:-1],
                path=ascii(path)[1:-1],
                allowed=', '.join(sorted(methods)),
            )
        return methods[method], {
            key: value for key, value in found.items() if key not in {'controller', 'action'}
        }
