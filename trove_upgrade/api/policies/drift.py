# SPDX-License-Identifier: Apache-2.0
"""Policy rule of drift, with its default roles and routes."""

from trove_upgrade.api.policies import base

SHOW = 'trove_upgrade:drift:show'

_DRIFT = '/v1.0/{project_id}/mgmt/upgrade-drift'

RULES = [
    base.rule(
        SHOW,
        base.ADMIN,
        'Show which instances of all projects do not run the image that their version has now.',
        ('GET', _DRIFT),
        ('GET', f'{_DRIFT}/{{drift_project_id}}'),
    ),
]
