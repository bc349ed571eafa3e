# SPDX-License-Identifier: Apache-2.0
"""Policy rules of upgrades, with their default roles and routes."""

from trove_upgrade.api.policies import base

LIST = 'trove_upgrade:upgrades:list'
LIST_ALL = 'trove_upgrade:upgrades:list_all'
SHOW = 'trove_upgrade:upgrades:show'

RULES = [
    base.rule(
        LIST,
        base.READER,
        'List the upgrades of the project, or of one instance.',
        ('GET', '/v1.0/{project_id}/upgrades'),
        ('GET', '/v1.0/{project_id}/instances/{instance_id}/upgrades'),
    ),
    base.rule(
        LIST_ALL,
        base.ADMIN,
        'List the upgrades of all projects, or of another one (all_projects=true, project_id=...).',
        ('GET', '/v1.0/{project_id}/upgrades'),
    ),
    base.rule(
        SHOW,
        base.READER,
        'Show an upgrade with its steps.',
        ('GET', '/v1.0/{project_id}/upgrades/{upgrade_id}'),
    ),
]
