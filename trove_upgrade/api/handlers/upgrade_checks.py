# SPDX-License-Identifier: Apache-2.0
"""Preflight reports: asked for here, made by a taskmanager, stored."""

from typing import Any

import webob

from trove_upgrade.api import targets
from trove_upgrade.api.call import Call, is_uuid, json_response
from trove_upgrade.api.views import upgrades as view
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.instances import Instance
from trove_upgrade.domain.upgrade_checks import UpgradeCheck


def create(call: Call, instance_id: str) -> webob.Response:
    """Ask for a report.  202 with its address; it is there when its
    state is COMPLETED or FAILED.
    """
    row = targets.instance_of(call, instance_id)
    target = targets.target_of(call, row, call.document['upgrade_check']['datastore_version'])
    check = call.services.repos.checks.begin(row, target)
    call.services.taskmanager.check(call.context, check.id)
    answer = json_response(202, {'upgrade_check': _shown(call, row, check)})
    answer.location = call.href(f'/{call.project_id}/instances/{row.id}/upgrade-checks/{check.id}')
    return answer


def show(call: Call, instance_id: str, check_id: str) -> webob.Response:
    """A report, as far as it is."""
    row = targets.instance_of(call, instance_id)
    if not is_uuid(check_id):
        raise exceptions.UpgradeCheckNotFound(
            check_id=targets.printable(check_id), instance_id=row.id
        )
    check = call.services.repos.checks.get(check_id, row.id)
    return json_response(200, {'upgrade_check': _shown(call, row, check)})


def _shown(call: Call, row: Instance, check: UpgradeCheck) -> dict[str, Any]:
    history = call.services.repos.history.of(row.project_id, row.version.id)
    return {
        **view.check(call, check),
        'expected_downtime': view.expected(history, row, check.target_version_id),
    }
