# SPDX-License-Identifier: Apache-2.0
"""What an instance may be upgraded to."""
import webob

from trove_upgrade.api import targets
from trove_upgrade.api.call import Call, json_response
from trove_upgrade.api.views import upgrades as view


def index(call: Call, instance_id: str) -> webob.Response:
    """Every version of the instance's datastore, whether it is allowed, and why."""
    row = targets.instance_of(call, instance_id)
    found = call.services.repos.datastores.versions(row.version.datastore_id, active_only=False)
    return json_response(200, {'upgrade_targets': [
        view.target(each, row.version.id, call.services.rules.between(row.version, each)) for each in found]})
