# SPDX-License-Identifier: Apache-2.0
"""A project with instances, versions and upgrades, as the service answers them.

Nothing in it depends on the clock: each look at an upgrade that goes on is one more step of it.
"""

import copy
import itertools
import uuid

PROJECT = '4f2c0d8e9b7a46e1a3c5d7f900112233'
ORDERS = '11111111-aaaa-4000-8000-000000000001'
REPORTS = '11111111-aaaa-4000-8000-000000000002'
MARIADB = '22222222-bbbb-4000-8000-000000000001'
V10_11 = '33333333-cccc-4000-8000-000000000001'
V11_8 = '33333333-cccc-4000-8000-000000000002'
V10_6 = '33333333-cccc-4000-8000-000000000003'
VERSIONS = {V10_11: '10.11.14', V11_8: '11.8.6', V10_6: '10.6.22'}
EXPECTED = {
    'median_seconds': 10.7,
    'percentile_90_seconds': 14.2,
    'basis': 'like_volume',
    'upgrades': 12,
}
#: Fields that the release before does not answer.
NEW_FIELDS = (
    'on_failure',
    'hold',
    'not_before',
    'held_since',
    'held_until',
    'expected_downtime',
    'expected_seconds_left',
)
ONLY_SHOWN = ('expected_downtime', 'expected_seconds_left', 'settings_changed')
_STEPS = ('precheck', 'quiesce', 'rebuild', 'boot', 'restore', 'verify')
_PARTS = {'stop': 1.2, 'rebuild': 5.0, 'boot': 2.5, 'restore': 1.5, 'open': 0.5}


def new_id(kind: str, number: int) -> str:
    """The id of the number-th thing of a kind: the same in each run."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f'{kind} {number}'))


def version(version_id):
    name = VERSIONS[version_id]
    return {'id': version_id, 'name': name, 'version': name}


def running(step, *, percent=None, left=None):
    """The look at an upgrade that stands at a step."""
    done = _STEPS[: _STEPS.index(step)]
    steps = [_step(name, number) for number, name in enumerate(done)]
    steps.append({**_step(step, len(done)), 'ended_at': None, 'outcome': None, 'percent': percent})
    return {
        'state': 'RUNNING',
        'step': step,
        'steps': steps,
        'cancellable': step in {'precheck', 'quiesce'},
        'rollback_possible_until': 'restore' if step in {'rebuild', 'boot'} else None,
        'expected_seconds_left': left,
    }


def completed():
    return {
        'state': 'COMPLETED',
        'step': 'verify',
        'cancellable': False,
        'steps': [_step(name, number) for number, name in enumerate(_STEPS)],
        'ended_at': '2026-11-30T10:01:00',
        'downtime_seconds': 10.7,
        'downtime': _PARTS,
        'opened_at': '2026-11-30T10:00:50.125000',
        'rollback_possible_until': None,
        'expected_seconds_left': None,
        'warnings': [
            {
                'step': 'precheck',
                'code': 'TABLES_IN_MEMORY',
                'message': 'The rows of shop.carts will be gone after the upgrade, as after every '
                'restart: ENGINE=MEMORY keeps them in memory alone. The tables themselves stay; '
                'copy their rows elsewhere where they are needed.',
            }
        ],
        'settings_changed': [
            {
                'step': 'restore',
                'code': 'SETTING_CHANGED',
                'message': "character_set_server was 'latin1' and is 'utf8mb4'.",
                'name': 'character_set_server',
                'before': 'latin1',
                'after': 'utf8mb4',
            }
        ],
    }


def held():
    return {
        'state': 'HELD',
        'step': 'precheck',
        'cancellable': True,
        'hold': True,
        'held_since': '2026-11-30T10:00:05',
        'held_until': '2026-12-07T10:00:05',
        'steps': [_step('precheck', 0)],
    }


def ended(state, code, cause):
    return {
        'state': state,
        'ended_at': '2026-11-30T10:01:00',
        'cancellable': False,
        'error_code': code,
        'cause': cause,
        'expected_seconds_left': None,
    }


def failed(cause='The guest is silent.', code='GUEST_SILENT'):
    """One that waits for an operator, who may retry it or take it back."""
    return {
        **running('boot'),
        **ended('FAILED', code, cause),
        'rollback_possible_until': 'retry',
    }


def _step(name, number):
    return {
        'step': name,
        'attempt': 1,
        'started_at': f'2026-11-30T10:00:{number * 5:02}.000000',
        'ended_at': f'2026-11-30T10:00:{number * 5 + 5:02}.000000',
        'runs': 1,
        'outcome': 'done',
        'percent': None,
        'message': None,
    }


WAY = (
    running('quiesce', left=61.0),
    running('rebuild', percent=40, left=45.0),
    running('restore', percent=80, left=9.0),
    completed(),
)


class World:
    """State that the server answers from; a test changes it as it likes."""

    def __init__(self):
        self.instances = {ORDERS: 'orders', REPORTS: 'reports'}
        self.upgrades = {}
        self.checks = {}
        self.drift = {}
        self.script = {}  #: upgrade id -> looks to come
        self.way = WAY  #: of upgrades that begin
        self.check_looks = 1  #: looks at a report before it is there
        self.is_handed_on = False  #: Trove takes what the service does not
        self.booted = set()  #: ids of instances that run the image of their version
        self.is_admin = False  #: may see other projects
        self.forbidden = set()  #: actions that the policy refuses
        self.led_back = set()  #: ids of upgrades that go back to the former image, or have
        self._numbers = itertools.count(1)

    def add_upgrade(self, instance_id=ORDERS, **fields):
        """An upgrade from the first version to the next, PENDING unless fields tell otherwise."""
        number = next(self._numbers)
        minute, hour = number % 60, number // 60 % 24
        made = {
            'id': new_id('upgrade', number),
            'instance_id': instance_id,
            'instance_name': self.instances.get(instance_id, 'gone'),
            'project_id': PROJECT,
            'user_id': 'u',
            'request_id': 'req-5a1b0c2d-0000-4000-8000-000000000001',
            'state': 'PENDING',
            'step': 'precheck',
            'attempt': 1,
            'cancellable': True,
            'former_version': version(V10_11),
            'target_version': version(V11_8),
            'target_number': '11.8.6',
            'on_failure': 'error',
            'hold': False,
            'not_before': None,
            'held_since': None,
            'held_until': None,
            'expected_downtime': EXPECTED,
            'expected_seconds_left': 70.0,
            'rollback_possible_until': None,
            'downtime_seconds': None,
            'downtime': None,
            'opened_at': None,
            'cause': None,
            'error_code': None,
            'warnings': [],
            'remarks': [],
            'settings_changed': [],
            'steps': [],
            'created_at': f'2026-11-30T{hour:02}:{minute:02}:00',
            'updated_at': f'2026-11-30T{hour:02}:{minute:02}:00',
            'ended_at': None,
            'links': [],
            'number': number,
            **copy.deepcopy(fields),
        }
        self.upgrades[made['id']] = made
        return made

    def begin(self, instance_id, version_id, options):
        """An upgrade as a request begins it."""
        options = {name: value for name, value in options.items() if value is not None}
        made = self.add_upgrade(instance_id, target_version=version(version_id), **options)
        waits = made['hold'] or made['not_before']
        way = (running('precheck', left=66.0), held()) if waits else self.way
        self.script[made['id']] = [copy.deepcopy(each) for each in way]
        return made

    def look(self, upgrade):
        """One more look at an upgrade: what comes next has happened."""
        script = self.script.get(upgrade['id'])
        if script:
            upgrade.update(script.pop(0))
        return upgrade

    def active(self, instance_id):
        """The upgrade of an instance that goes on."""
        of_instance = (
            each for each in self.upgrades.values() if each['instance_id'] == instance_id
        )
        return next((each for each in of_instance if each['state'] in {'PENDING', 'RUNNING'}), None)
