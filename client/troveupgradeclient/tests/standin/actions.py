# SPDX-License-Identifier: Apache-2.0
"""Actions on upgrades, as far as a client sees them: verdicts, codes and sentences are those of the
service, whose tests compare them.
"""

from troveupgradeclient.tests.standin import world as worlds

ACTIONS = ('abort', 'proceed', 'retry', 'rollback')
_WOULD = {
    'abort': 'It is given up before its server is rebuilt: the former version serves.',
    'proceed': 'Its checks are made anew, then its database is stopped and upgraded.',
    'retry': 'It goes to the target version again, in another attempt.',
    'rollback': 'Its server is rebuilt with the former image, and the former version serves.',
}
_TAKEN = {
    'abort': 'It is being given up, or has been: the former version serves.',
    'proceed': 'It has proceeded already.',
    'retry': 'It was retried already.',
    'rollback': 'It goes back to the former image, or has come there.',
}
_FORBIDDEN = 'The policy does not let you take this action. Ask the operator for it.'
_AFTER_ITS_END = {
    'COMPLETED': 'The new version serves: there is nothing left to do.',
    'ABORTED': 'The former version serves. Begin a new one.',
    'ROLLED_BACK': 'The former version serves. Begin a new one.',
    'FAILED': 'When the cause is mended it can be retried, or rolled back.',
}
#: Of a retry or a rollback of one that has not FAILED.
_ADVICE = {
    'PENDING': 'It has not begun yet: wait.',
    'RUNNING': 'It goes on by itself: wait.',
    'HELD': 'It is held: let it proceed, or abort it.',
    'COMPLETED': 'There is nothing left to do.',
}
_NO_RETURN = (
    'the new server may have been started on its data, so that the former one could damage it'
)


def told(world, upgrade):
    """Every action, with whether it is allowed."""
    keys = ('action', 'allowed', 'reason_code', 'reason')
    return [
        dict(zip(keys, (action, *verdict(world, upgrade, action)), strict=True))
        for action in ACTIONS
    ]


def verdict(world, upgrade, action):
    """(allowed, code, sentence)."""
    if action in world.forbidden:
        return False, 'FORBIDDEN_BY_POLICY', _FORBIDDEN
    if _is_taken(world, upgrade, action):
        return False, 'ACTION_TAKEN', _TAKEN[action]
    sentence = _OBSTACLES[action](world, upgrade)
    if sentence is None:
        return True, 'ACTION_POSSIBLE', _WOULD[action]
    return False, f'{action.upper()}_REFUSED', f'Upgrade {upgrade["id"]} cannot {sentence}'


def _is_taken(world, upgrade, action):
    state, is_back = upgrade['state'], upgrade['id'] in world.led_back
    return (
        state
        in {
            'abort': {'ABORTED'},
            'proceed': {'RUNNING', 'COMPLETED'} if upgrade['held_since'] else set(),
            'retry': {'RUNNING', 'COMPLETED'} if upgrade['attempt'] > 1 and not is_back else set(),
            'rollback': {'RUNNING', 'ROLLED_BACK'} if is_back else set(),
        }[action]
    )


def _no_abort(world, upgrade):
    state = upgrade['state']
    if upgrade['cancellable'] or state in {'PENDING', 'HELD'}:
        return None
    if state != 'RUNNING':
        why, advice = f'it is {state}', _AFTER_ITS_END[state]
    elif upgrade['id'] in world.led_back:
        why, advice = 'it goes back to the former image already', 'Wait until it is ROLLED_BACK.'
    elif upgrade['step'] in {'restore', 'verify'}:
        why = 'the new server may have been started on its data'
        advice = 'Wait for its end; if it is FAILED then, it can be retried.'
    else:
        why = 'Nova was asked to rebuild its server'
        advice = 'Wait for its end; if it is FAILED then, it can be rolled back or retried.'
    return f'be aborted: {why}. {advice}'


def _no_proceed(_world, upgrade):
    state = upgrade['state']
    if state == 'HELD':
        return None
    if state in _AFTER_ITS_END:
        advice = _AFTER_ITS_END[state]
    elif upgrade['hold'] and not upgrade['held_since']:
        advice = 'Wait until it is HELD: its checks are being made.'
    else:
        advice = 'It goes on by itself: wait.'
    return f'proceed: it is {state}, and only one that is HELD can. {advice}'


def _no_retry(_world, upgrade):
    state = upgrade['state']
    if state == 'FAILED':
        return None
    advice = _ADVICE.get(state, 'Begin a new one with "trove upgrade".')
    return f'be retried: it is {state}, and only a FAILED one can. {advice}'


def _no_rollback(_world, upgrade):
    state = upgrade['state']
    if state == 'FAILED':
        if upgrade['rollback_possible_until']:
            return None
        retry = f'"trove-upgrade-manage upgrade retry {upgrade["id"]}"'
        advice = f'Mend the cause and retry it: by the action, or with {retry}.'
        return f'be rolled back: {_NO_RETURN}. {advice}'
    advice = _ADVICE.get(state, 'The former version serves: there is nothing left to do.')
    return f'be rolled back: it is {state}, and only a FAILED one can. {advice}'


_OBSTACLES = {
    'abort': _no_abort,
    'proceed': _no_proceed,
    'retry': _no_retry,
    'rollback': _no_rollback,
}


def take(world, upgrade, action):
    """Change the upgrade."""
    if _is_taken(world, upgrade, action):
        return
    cause = 'It was aborted on request, before its server was rebuilt.'
    way = {
        'abort': [worlds.ended('ABORTED', 'ABORTED_ON_REQUEST', cause)],
        'proceed': list(world.way),
        'retry': [worlds.running('boot'), worlds.running('restore', percent=80)],
        'rollback': [worlds.running('rebuild'), worlds.ended('ROLLED_BACK', None, None)],
    }[action]
    if action == 'retry':
        way.append(worlds.completed())
    if action == 'rollback':
        world.led_back.add(upgrade['id'])
    if action != 'abort':
        upgrade.update(state='RUNNING', ended_at=None)
    if action in {'retry', 'rollback'}:
        upgrade.update(
            attempt=upgrade['attempt'] + 1,
            cause=None,
            error_code=None,
            rollback_possible_until=None,
            expected_seconds_left=None,
        )
    world.script[upgrade['id']] = way


def refused(world, upgrade, action):
    """(status, code, sentence) of a refusal, or None."""
    allowed, code, reason = verdict(world, upgrade, action)
    if allowed or code == 'ACTION_TAKEN':
        return None
    if code == 'FORBIDDEN_BY_POLICY':
        reason = (
            f'The request is not allowed: the policy trove_upgrade:upgrades:{action} does not let '
            'you. Ask for a role that allows it, or log in to the project that is asked about.'
        )
        return 403, 'FORBIDDEN', reason
    return 409, code, reason
