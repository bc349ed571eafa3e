# SPDX-License-Identifier: Apache-2.0
"""Policy rules of instances: list, show, upgrade, each with its default roles and routes."""

from trove_upgrade.api.policies import base

LIST = 'trove_upgrade:instances:list'
LIST_ALL = 'trove_upgrade:instances:list_all'
SHOW = 'trove_upgrade:instances:show'
UPGRADE = 'trove_upgrade:instances:upgrade'
TARGETS = 'trove_upgrade:instances:upgrade_targets'

_INSTANCE = '/v1.0/{project_id}/instances/{instance_id}'

RULES = [
    base.rule(
        LIST,
        base.READER,
        'List the instances of the project.',
        ('GET', '/v1.0/{project_id}/instances'),
    ),
    base.rule(
        LIST_ALL,
        base.ADMIN,
        'List the instances of all projects.',
        ('GET', '/v1.0/{project_id}/mgmt/instances'),
    ),
    base.rule(SHOW, base.READER, 'Show an instance.', ('GET', _INSTANCE)),
    base.rule(
        UPGRADE,
        base.MEMBER,
        base.advice(
            'Upgrade an instance. Where only operators may upgrade, and users ask them to',
            UPGRADE,
            base.ADMIN,
        ),
        ('PATCH', _INSTANCE),
        ('PUT', _INSTANCE),
    ),
    base.rule(
        TARGETS,
        base.READER,
        'List the versions that an instance may be upgraded to, and why others are not allowed.',
        ('GET', f'{_INSTANCE}/upgrade-targets'),
    ),
]
