# SPDX-License-Identifier: Apache-2.0
"""Actions on upgrades, as far as a client sees them."""

from troveupgradeclient.tests.standin import world as worlds

#: What an action would do, by action and state; what is not here is refused.
_ALLOWED = {
    ('abort', 'PENDING'): 'It is given up before its server is rebuilt: the former version serves.',
    ('abort', 'HELD'): 'It is given up before its server is rebuilt: the former version serves.',
    ('abort', 'RUNNING'): 'It is given up before its server is rebuilt: the former version serves.',
    ('proceed', 'HELD'): 'Its checks are made anew, then its database is stopped and upgraded.',
    ('retry', 'FAILED'): 'It goes to the target version again, in another attempt.',
    ('rollback', 'FAILED'): 'Its server is rebuilt with the former image.',
}
#: Where the same action was taken before.
_DONE = {
    ('abort', 'ABORTED'),
    ('proceed', 'RUNNING'),
    ('proceed', 'COMPLETED'),
    ('retry', 'RUNNING'),
    ('rollback', 'ROLLED_BACK'),
}
_CODES = {
    'abort': 'ABORT_REFUSED',
    'proceed': 'PROCEED_REFUSED',
    'retry': 'RETRY_REFUSED',
    'rollback': 'ROLLBACK_REFUSED',
}


def told(world, upgrade):
    """Every action, with whether it is allowed."""
    return [
        dict(
            zip(
                ('action', 'allowed', 'reason_code', 'reason'),
                (action, *verdict(world, upgrade, action)),
                strict=True,
            )
        )
        for action in _CODES
    ]


def verdict(world, upgrade, action):
    """(allowed, code, sentence)."""
    if action in world.forbidden:
        return False, 'FORBIDDEN_BY_POLICY', f'Your roles do not allow {action}: ask an operator.'
    state = upgrade['state']
    if (action, state) in _DONE:
        return False, 'ACTION_TAKEN', 'It was taken already.'
    if action == 'abort' and state == 'RUNNING' and not upgrade['cancellable']:
        return (
            False,
            _CODES[action],
            (
                f'Upgrade {upgrade["id"]} cannot be aborted: Nova was asked to rebuild its server. '
                'Wait for its end; if it is FAILED then, it can be rolled back or retried.'
            ),
        )
    reason = _ALLOWED.get((action, state))
    if reason is not None:
        return True, 'ACTION_POSSIBLE', reason
    return False, _CODES[action], f'The upgrade is {state}, which {action} does not change.'


def take(world, upgrade, action):
    """Change the upgrade."""
    if (action, upgrade['state']) in _DONE:
        return
    way = {
        'abort': [worlds.ended('ABORTED', 'UPGRADE_ABORTED', 'It was aborted by its user.')],
        'proceed': list(world.way),
        'retry': [worlds.running('restore', percent=10, left=20.0), worlds.completed()],
        'rollback': [worlds.running('rebuild'), worlds.ended('ROLLED_BACK', None, None)],
    }[action]
    if action != 'abort':
        upgrade.update(state='RUNNING', ended_at=None)
    if action in {'retry', 'rollback'}:
        upgrade.update(attempt=upgrade['attempt'] + 1, cause=None, error_code=None)
    world.script[upgrade['id']] = way


def refused(world, upgrade, action):
    """(status, code, sentence) of a refusal, or None."""
    allowed, code, reason = verdict(world, upgrade, action)
    if allowed or code == 'ACTION_TAKEN':
        return None
    if code == 'FORBIDDEN_BY_POLICY':
        return 403, 'FORBIDDEN', reason
    return 409, code, reason
