# SPDX-License-Identifier: Apache-2.0
"""Actions on upgrades, as far as a client sees them."""

from troveupgradeclient.tests.standin import world as worlds

#: (allowed, code, sentence) by action and state; what is not here is refused.
_ALLOWED = {
    ('abort', 'PENDING'): 'It would end before anything is touched.',
    ('abort', 'HELD'): 'It would end before anything is touched.',
    ('abort', 'RUNNING'): 'The guest would undo what it has done, and the database serve again.',
    ('proceed', 'HELD'): 'It would be checked anew and begin.',
    ('retry', 'FAILED'): 'Its last step would be run once more.',
    ('rollback', 'FAILED'): 'The former image would serve again on untouched data.',
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
    'abort': 'UPGRADE_NOT_CANCELLABLE',
    'proceed': 'UPGRADE_NOT_HELD',
    'retry': 'UPGRADE_NOT_FAILED',
    'rollback': 'UPGRADE_NOT_FAILED',
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
    if action == 'abort' and state == 'RUNNING' and not upgrade['cancellable']:
        return False, _CODES[action], 'Nova has been asked to rebuild: wait for the end.'
    reason = _ALLOWED.get((action, state))
    if reason is not None:
        return True, 'ALLOWED', reason
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
    if action not in world.forbidden and (action, upgrade['state']) in _DONE:
        return None
    allowed, code, reason = verdict(world, upgrade, action)
    if allowed:
        return None
    if code == 'FORBIDDEN_BY_POLICY':
        return 403, 'FORBIDDEN', reason
    return 409, code, reason
