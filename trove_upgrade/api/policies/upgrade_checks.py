# SPDX-License-Identifier: Apache-2.0
"""Policy rules of upgrade checks, with their default roles and routes."""

from trove_upgrade.api.policies import base

CREATE = 'trove_upgrade:upgrade_checks:create'
SHOW = 'trove_upgrade:upgrade_checks:show'

_CHECKS = '/v1.0/{project_id}/instances/{instance_id}/upgrade-checks'

RULES = [
    base.rule(
        CREATE,
        base.MEMBER,
        'Have everything checked that could stop an upgrade; nothing is changed.',
        ('POST', _CHECKS),
    ),
    base.rule(SHOW, base.READER, 'Show the report of a check.', ('GET', f'{_CHECKS}/{{check_id}}')),
]
