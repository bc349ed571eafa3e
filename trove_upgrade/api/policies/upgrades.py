# SPDX-License-Identifier: Apache-2.0
"""Policy rules of upgrades, with their default roles and routes."""

from collections.abc import Mapping

from trove_upgrade.api.policies import base, instances
from trove_upgrade.domain.actions import Action

LIST = 'trove_upgrade:upgrades:list'
LIST_ALL = 'trove_upgrade:upgrades:list_all'
SHOW = 'trove_upgrade:upgrades:show'
CREATE = 'trove_upgrade:upgrades:create'
ACT = 'trove_upgrade:upgrades:act'
#: The policy of each action, which is asked besides ACT.
OF_ACTION: Mapping[Action, str] = {action: f'trove_upgrade:upgrades:{action}' for action in Action}

_ACTION = ('POST', '/v1.0/{project_id}/upgrades/{upgrade_id}/action')

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
        ('GET', '/v1.0/{project_id}/upgrades/{upgrade_id}/actions'),
    ),
    base.rule(
        CREATE,
        instances.UPGRADE,
        'Begin an upgrade by a POST: as by a PATCH of its instance.',
        ('POST', '/v1.0/{project_id}/upgrades'),
    ),
    base.rule(
        ACT,
        base.MEMBER,
        'Take actions on upgrades. The policy of the action itself is asked besides: of abort, '
        'proceed, retry or rollback.',
        _ACTION,
    ),
    base.rule(
        OF_ACTION[Action.ABORT],
        instances.UPGRADE,
        'Give an upgrade up before its server is rebuilt: for those who may begin one.',
        _ACTION,
    ),
    base.rule(
        OF_ACTION[Action.PROCEED],
        instances.UPGRADE,
        'Let an upgrade proceed that is held: for those who may begin one.',
        _ACTION,
    ),
    base.rule(
        OF_ACTION[Action.RETRY],
        base.ADMIN,
        base.advice(
            'Try an upgrade again that has failed. Where users may do that themselves',
            OF_ACTION[Action.RETRY],
            ACT,
        ),
        _ACTION,
    ),
    base.rule(
        OF_ACTION[Action.ROLLBACK],
        base.ADMIN,
        base.advice(
            'Lead an upgrade that has failed back to the former image. Where users may do that '
            'themselves',
            OF_ACTION[Action.ROLLBACK],
            ACT,
        ),
        _ACTION,
    ),
]
