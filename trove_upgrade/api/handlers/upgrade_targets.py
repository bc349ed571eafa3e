# SPDX-License-Identifier: Apache-2.0
"""Targets that an instance may be upgraded to."""

from collections.abc import Mapping, Sequence

import webob

from trove_upgrade.api import targets
from trove_upgrade.api.call import Call, json_response
from trove_upgrade.api.views import upgrades as view
from trove_upgrade.domain import instances
from trove_upgrade.domain.drift import CurrentImages, Standing

_IS_BOOTED = {Standing.CURRENT: True, Standing.DRIFTED: False, Standing.UNKNOWN: None}


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
    booted = _booted(call, row, shown)
    return json_response(
        200,
        {
            'upgrade_targets': [
                {
                    **view.target(
                        each, row.version.id, call.services.rules.between(row.version, each)
                    ),
                    'expected_downtime': view.expected(history, row, each.id),
                    'image_is_booted': booted[each.id],
                }
                for each in shown
            ]
        },
    )


def _booted(
    call: Call, row: instances.Instance, shown: Sequence[instances.DatastoreVersion]
) -> Mapping[str, bool | None]:
    """Tell by version whether its image is the one that the instance's server was booted from;
    None: that is not known.  Glance is asked at most for the version that the instance has.
    """
    image_id = call.services.repos.drift.booted_image(row.id)
    known = [each for each in shown if each.image_id or each.id == row.version.id]
    images = CurrentImages.of_versions(known, None if image_id is None else call.services.images)
    return {each.id: _IS_BOOTED[images.standing(each.id, image_id)] for each in shown}
