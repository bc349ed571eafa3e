# SPDX-License-Identifier: Apache-2.0
"""Drift: instances that do not run the image that their version has now."""

import webob

from trove_upgrade.api import errors
from trove_upgrade.api.call import Call, is_name, json_response
from trove_upgrade.api.views import drift as view
from trove_upgrade.api.views import shapes


def index(call: Call) -> webob.Response:
    """Answer with a page of figures by project, or with those of `project_id`."""
    page = call.services.repos.drift.projects(
        call.services.images,
        limit=call.query_limit(),
        marker=_project(call, 'marker'),
        project_id=_project(call, 'project_id'),
    )
    items = [view.project(each) for each in page.items]
    return json_response(200, shapes.page(call, 'upgrade_drift', items, page.next_marker))


def show(call: Call, drift_project_id: str) -> webob.Response:
    """Answer with a page of the project's instances that have drifted, or may have."""
    page = call.services.repos.drift.instances(
        call.services.images,
        drift_project_id if is_name(drift_project_id) else '',
        limit=call.query_limit(),
        marker=call.query_uuid('marker'),
    )
    items = [view.instance(each) for each in page.items]
    return json_response(200, shapes.page(call, 'instances', items, page.next_marker))


def _project(call: Call, name: str) -> str | None:
    """A parameter that is the id of a project.

    :raises QueryInvalid: it is none.
    """
    value = call.query(name)
    if value is not None and not is_name(value):
        raise errors.QueryInvalid(name=name, found='not an id', wanted='the id of a project')
    return value
