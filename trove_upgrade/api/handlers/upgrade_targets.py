# SPDX-License-Identifier: Apache-2.0
"""Targets that an instance may be upgraded to."""

import webob

from trove_upgrade.api import targets
from trove_upgrade.api.call import Call, json_response
from trove_upgrade.api.views import upgrades as view


def index(call: Call, instance_id: str) -> webob.Response:
    """Every version of the instance's datastore that the caller may see,
    whether it is allowed, and why.

    The version that the instance has is always among them: a member sees
    its name with the instance.
    """
    row = targets.instance_of(call, instance_id)
    found = call.services.repos.datastores.versions(row.version.datastore_id, active_only=False)
    shown = [each for each in found if call.is_admin or each.active or each.id == row.version.id]
    history = call.services.repos.history.of(row.project_id, row.version.id)
    return json_response(
        200,
        {
            'upgrade_targets': [
                {
                    **view.target(
                        each, row.version.id, call.services.rules.between(row.version, each)
                    ),
                    'expected_downtime': view.expected(history, row, each.id),
                }
                for each in shown
            ]
        },
    )
