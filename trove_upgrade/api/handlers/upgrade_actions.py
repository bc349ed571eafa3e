# SPDX-License-Identifier: Apache-2.0
"""Actions on an upgrade: abort, proceed, retry, rollback."""

import webob

from trove_upgrade.api import errors, targets
from trove_upgrade.api.call import Call, is_uuid, json_response
from trove_upgrade.api.handlers import upgrades
from trove_upgrade.api.policies import upgrades as policy
from trove_upgrade.api.views import upgrades as view
from trove_upgrade.domain import actions, exceptions, logs, states

LOG = logs.get_logger(__name__)


def index(call: Call, upgrade_id: str) -> webob.Response:
    """Tell of each action whether the caller can take it now, and what it would do."""
    found = call.services.repos.upgrades.get(_id(upgrade_id), call.scope)
    shown = [
        view.action(call, each, is_allowed=_is_allowed(call, each.action))
        for each in call.services.repos.actions.verdicts(found)
    ]
    return json_response(200, {'actions': shown})


def create(call: Call, upgrade_id: str) -> webob.Response:
    """Take the action that the body names.  202 with the upgrade, also where it was taken before.

    :raises Forbidden: 403; the policy of the action.
    :raises AbortRefused, ProceedRefused, RetryRefused, RollbackRefused: 409; its state.
    :raises InstanceBusy, InstanceChanged: 422; the instance is not free for it.
    """
    (name,) = call.document
    action = actions.Action(name)
    if not _is_allowed(call, action):
        raise errors.Forbidden(found=f'the policy {policy.OF_ACTION[action]} does not let you')
    taken = call.services.repos.actions.take(action, _id(upgrade_id), call.scope)
    LOG.info(
        'Upgrade %s of instance %s, of request %s: %s asked for by user %s%s',
        taken.upgrade.id,
        taken.upgrade.instance_id,
        taken.upgrade.request_id or 'unknown',
        action,
        call.context.user_id,
        '' if taken.is_new else ', as before',
    )
    if taken.is_new and taken.upgrade.state is states.UpgradeState.RUNNING:
        call.services.taskmanager.upgrade(call.context, taken.upgrade)
    return json_response(202, {'upgrade': upgrades.shown(call, taken.upgrade)})


def _is_allowed(call: Call, action: actions.Action) -> bool:
    target = {'project_id': call.project_id}
    return all(
        call.services.enforcer.authorize(rule, target, call.context)
        for rule in (policy.ACT, policy.OF_ACTION[action])
    )


def _id(upgrade_id: str) -> str:
    if not is_uuid(upgrade_id):
        raise exceptions.UpgradeNotFound(upgrade_id=targets.printable(upgrade_id))
    return upgrade_id
