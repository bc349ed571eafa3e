# SPDX-License-Identifier: Apache-2.0
"""Forms of what the commands print as JSON."""

_UUID = {'type': 'string', 'pattern': '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'}
_TIME = {'type': 'string', 'pattern': r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$'}
_TEXT = {'type': 'string'}
_NUMBER = {'type': 'number'}
_COUNT = {'type': 'integer', 'minimum': 0}
_FLAG = {'type': 'boolean'}


def _or_null(schema):
    return {'anyOf': [schema, {'type': 'null'}]}


def _object(**properties):
    """An object with these properties and no others."""
    return {
        'type': 'object',
        'properties': properties,
        'required': sorted(properties),
        'additionalProperties': False,
    }


def _list(schema):
    return {'type': 'array', 'items': schema}


def _titled(schema, *names, **others):
    """A row of a list: some of a record's properties, under the headings of the table."""
    found = {**schema['properties'], **others}
    chosen = names or tuple(found)
    words = {name: name.replace('_', ' ').title().replace('Id', 'ID') for name in chosen}
    return _list(_object(**{words[name]: found[name] for name in chosen}))


_VERSION = _object(id=_UUID, name=_or_null(_TEXT), version=_or_null(_TEXT))
_EXPECTED = _object(
    median_seconds=_NUMBER,
    percentile_90_seconds=_NUMBER,
    basis={'enum': ['like_volume', 'any_volume', 'too_few']},
    upgrades=_COUNT,
)
_PARTS = ('stop', 'rebuild', 'boot', 'restore', 'open')
_DOWNTIME = _object(**dict.fromkeys(_PARTS, _or_null(_NUMBER)))
_STEP = _object(
    step=_TEXT,
    attempt=_COUNT,
    started_at=_or_null(_TIME),
    ended_at=_or_null(_TIME),
    runs=_COUNT,
    outcome=_or_null(_TEXT),
    percent=_or_null({'type': 'integer', 'minimum': 0, 'maximum': 100}),
    message=_or_null(_TEXT),
)
_NOTE = _object(step=_or_null(_TEXT), code=_TEXT, message=_TEXT)
_SETTING = _object(
    **_NOTE['properties'], name=_or_null(_TEXT), before=_or_null(_TEXT), after=_or_null(_TEXT)
)
_STATES = ['PENDING', 'RUNNING', 'HELD', 'COMPLETED', 'ABORTED', 'ROLLED_BACK', 'FAILED']
UPGRADE = _object(
    id=_UUID,
    instance_id=_UUID,
    instance_name=_or_null(_TEXT),
    project_id=_or_null(_TEXT),
    state={'enum': _STATES},
    step=_or_null(_TEXT),
    attempt=_COUNT,
    cancellable=_or_null(_FLAG),
    former_version=_or_null(_VERSION),
    target_version=_or_null(_VERSION),
    target_number=_or_null(_TEXT),
    on_failure=_or_null({'enum': ['error', 'rollback']}),
    hold=_or_null(_FLAG),
    not_before=_or_null(_TIME),
    held_since=_or_null(_TIME),
    held_until=_or_null(_TIME),
    expected_downtime=_or_null(_EXPECTED),
    expected_seconds_left=_or_null(_NUMBER),
    rollback_possible_until=_or_null({'enum': ['restore', 'retry']}),
    downtime_seconds=_or_null(_NUMBER),
    downtime=_or_null(_DOWNTIME),
    opened_at=_or_null(_TIME),
    cause=_or_null(_TEXT),
    error_code=_or_null(_TEXT),
    warnings=_or_null(_list(_NOTE)),
    remarks=_or_null(_list(_NOTE)),
    settings_changed=_or_null(_list(_SETTING)),
    steps=_list(_STEP),
    created_at=_or_null(_TIME),
    updated_at=_or_null(_TIME),
    ended_at=_or_null(_TIME),
    user_id=_or_null(_TEXT),
    request_id=_or_null(_TEXT),
    former_image_id=_or_null(_UUID),
    target_image_id=_or_null(_UUID),
)
_LISTED = ('id', 'instance_name', 'state', 'step', 'former_version', 'target_version', 'created_at')
_LISTED_LONG = (
    *_LISTED,
    *('updated_at', 'ended_at', 'instance_id', 'project_id', 'attempt', 'cancellable'),
    *('on_failure', 'hold'),
    *('not_before', 'held_since', 'held_until', 'rollback_possible_until', 'downtime_seconds'),
    *('error_code', 'cause'),
)
_TARGET = _object(
    id=_UUID,
    name=_TEXT,
    version=_or_null(_TEXT),
    active=_or_null(_FLAG),
    current=_or_null(_FLAG),
    allowed=_FLAG,
    reason_code=_or_null(_TEXT),
    reason=_or_null(_TEXT),
    expected_downtime=_or_null(_EXPECTED),
    image_is_booted=_or_null(_FLAG),
)
CHECK = _object(
    id=_UUID,
    instance_id=_UUID,
    target_version_id=_or_null(_UUID),
    state={'enum': ['PENDING', 'RUNNING', 'COMPLETED', 'FAILED']},
    allowed=_or_null(_FLAG),
    expected_downtime=_or_null(_EXPECTED),
    results=_list(
        _object(
            name=_TEXT,
            outcome={'enum': ['ok', 'warning', 'refused', 'unknown']},
            message=_or_null(_TEXT),
            code=_or_null(_TEXT),
        )
    ),
    cause=_or_null(_TEXT),
    error_code=_or_null(_TEXT),
    created_at=_or_null(_TIME),
    updated_at=_or_null(_TIME),
)
_ACTION = _object(
    action={'enum': ['abort', 'proceed', 'retry', 'rollback']},
    allowed=_FLAG,
    reason_code=_or_null(_TEXT),
    reason=_or_null(_TEXT),
)
_DRIFT = _object(
    project_id=_TEXT, instances=_COUNT, drifted=_COUNT, unknown=_COUNT, oldest=_or_null(_TIME)
)
_DRIFTED = _object(
    instance_id=_UUID,
    instance_name=_or_null(_TEXT),
    datastore_version=_or_null(_VERSION),
    booted_image_id=_or_null(_UUID),
    current_image_id=_or_null(_UUID),
    since=_or_null(_TIME),
)
_SHORT_TARGET = ('name', 'allowed', 'reason', 'expected_downtime')
SCHEMAS = {
    'abort': UPGRADE,
    'action list': _titled(_ACTION),
    'check': CHECK,
    'check show': CHECK,
    'drift': _titled(_DRIFT),
    'drift --project': _titled(_DRIFTED),
    'list': _titled(UPGRADE, *_LISTED),
    'list --all-projects': _titled(UPGRADE, 'project_id', *_LISTED),
    'list --long': _titled(UPGRADE, *_LISTED_LONG),
    'proceed': UPGRADE,
    'retry': UPGRADE,
    'rollback': UPGRADE,
    'show': UPGRADE,
    'start': UPGRADE,
    'targets': _titled(_TARGET, *_SHORT_TARGET),
    'targets --long': _titled(_TARGET),
    'watch': UPGRADE,
}


def of_command(words):
    """The form of what a command prints, by its words."""
    name = ' '.join(words[:2]) if ' '.join(words[:2]) in SCHEMAS else words[0]
    options = ('--long', '--project', '--all-projects')
    named = (f'{name} {each}' for each in options if each in words)
    return SCHEMAS[next((each for each in named if each in SCHEMAS), name)]
