# SPDX-License-Identifier: Apache-2.0
"""What must be true after each revision: one function for each, run by the walk on every engine,
with data in the tables.

Statements are written out: the models are those of the newest release, and a check must go on to
hold when they have moved on.
"""

import json

import sqlalchemy as sa

#: One upgrade as release aurora writes it: two steps in the JSON column.
STEPS = [
    {
        'attempt': 1,
        'ended_at': '2026-01-02T03:04:07.250000+00:00',
        'message': None,
        'outcome': 'DONE',
        'percent': None,
        'runs': 2,
        'started_at': '2026-01-02T03:04:05.000123+00:00',
        'step': 'precheck',
    },
    {
        'attempt': 1,
        'ended_at': None,
        'message': 'ünïcode',
        'outcome': None,
        'percent': 40,
        'runs': 1,
        'started_at': '2026-01-02T03:04:08+00:00',
        'step': 'quiesce',
    },
]

_INSERT_UPGRADE = sa.text(
    'INSERT INTO instance_upgrades (id, instance_id, active_instance_id, project_id, '
    'instance_name, server_id, state, step, attempt, rebuild_attempt, former_version_id, '
    'target_version_id, target_image_id, datastore_manager, target_number, generation, created_at, '
    "updated_at, steps, data) VALUES (:id, 'i', :id, 'p', 'n', 's', 'RUNNING', 'quiesce', 1, 0, "
    "'f', 't', 'g', 'mariadb', '11.8.6', 3, '2026-01-02 03:04:05.000001', '2026-01-02 "
    "03:04:08.000002', :steps, '{}')"
)


def insert_as_aurora(connection, upgrade_id):
    """The statement of a service of that release."""
    connection.execute(_INSERT_UPGRADE, {'id': upgrade_id, 'steps': json.dumps(STEPS)})


def insert_as_borealis(connection, upgrade_id):
    """The statement of a service of that release, before or after its contract."""
    both = 'steps' in columns(connection, 'instance_upgrades')
    connection.execute(
        _begin_as_borealis(
            ', steps, steps_at' if both else '',
            ", '[]', '2026-01-02 03:04:05.000001'" if both else '',
        ),
        {'id': upgrade_id},
    )


def _begin_as_borealis(names, values):
    return sa.text(
        'INSERT INTO instance_upgrades (id, instance_id, active_instance_id, project_id, '
        'instance_name, server_id, state, step, attempt, rebuild_attempt, former_version_id, '
        'target_version_id, target_image_id, datastore_manager, target_number, generation, '
        f"created_at, updated_at, data{names}) VALUES (:id, 'i', :id, 'p', 'n', 's', 'PENDING', "
        "'precheck', 1, 0, 'f', 't', 'g', 'mariadb', '11.8.6', 0, '2026-01-02 03:04:05.000001', "
        f"'2026-01-02 03:04:05.000001', '{{}}'{values})"
    )


def tables(connection):
    return set(sa.inspect(connection).get_table_names())


def columns(connection, table):
    return {column['name']: column for column in sa.inspect(connection).get_columns(table)}


def check_aurora_expand01(connection):
    """The tables are there and take rows; one active upgrade for each instance."""
    assert {
        'instance_upgrades',
        'upgrade_outbox',
        'upgrade_services',
        'upgrade_guests',
        'upgrade_checks',
        'upgrade_target_facts',
    } <= tables(connection)
    insert_as_aurora(connection, 'of-aurora')
    unique = {
        index['name']
        for index in sa.inspect(connection).get_indexes('instance_upgrades')
        if index['unique']
    }
    assert unique == {'uq_instance_upgrades_active_instance_id'}, unique


def check_aurora_contract01(connection):
    """Takes nothing away."""
    assert (
        json.loads(
            dict(connection.execute(sa.text('SELECT id, steps FROM instance_upgrades')).all())[
                'of-aurora'
            ]
        )
        == STEPS
    )


def check_borealis_expand01(connection):
    """A service of aurora still writes, and what it wrote is untouched."""
    assert {'instance_upgrade_steps', 'upgrade_data_migrations', 'upgrade_schema_runs'} <= tables(
        connection
    )
    assert columns(connection, 'instance_upgrades')['steps_at']['nullable']
    found = dict(connection.execute(sa.text('SELECT id, steps FROM instance_upgrades')).all())
    assert json.loads(found['of-aurora']) == STEPS
    if 'of-aurora-beside-borealis' not in found:
        insert_as_aurora(connection, 'of-aurora-beside-borealis')


def check_borealis_contract01(connection):
    """Both columns are gone; every step of every upgrade is a row."""
    assert not {'steps', 'steps_at'} & set(columns(connection, 'instance_upgrades'))
    rows = connection.execute(
        sa.text(
            'SELECT upgrade_id, position, attempt, step, runs, outcome, percent, message FROM '
            'instance_upgrade_steps ORDER BY upgrade_id, position'
        )
    ).all()
    assert [tuple(row) for row in rows] == [
        (
            upgrade_id,
            position,
            step['attempt'],
            step['step'],
            step['runs'],
            step['outcome'],
            step['percent'],
            step['message'],
        )
        for upgrade_id in ('of-aurora', 'of-aurora-beside-borealis')
        for position, step in enumerate(STEPS)
    ], rows


def check_cygnus_expand01(connection):
    """No upgrade has kept a worker waiting yet, also one that borealis begins afterwards."""
    if (
        'of-borealis-beside-cygnus'
        not in connection.execute(sa.text('SELECT id FROM instance_upgrades')).scalars().all()
    ):
        insert_as_borealis(connection, 'of-borealis-beside-cygnus')
    stalls = dict(connection.execute(sa.text('SELECT id, stalls FROM instance_upgrades')).all())
    assert 'of-aurora' in stalls, stalls
    assert set(stalls.values()) == {0}, stalls


def check_cygnus_expand02(connection):
    """No guest has a key, and one that borealis writes of has none either; a rebuild has one
    key.
    """
    assert {'upgrade_guest_keys', 'upgrade_guest_wires'} <= tables(connection)
    assert columns(connection, 'upgrade_guests')['key_id']['nullable']
    if (
        'of-borealis'
        not in connection.execute(sa.text('SELECT instance_id FROM upgrade_guests')).scalars().all()
    ):
        connection.execute(
            sa.text("INSERT INTO upgrade_guests (instance_id) VALUES ('of-borealis')")
        )
    assert set(connection.execute(sa.text('SELECT key_id FROM upgrade_guests')).scalars()) == {None}
    [unique] = [
        index
        for index in sa.inspect(connection).get_indexes('upgrade_guest_keys')
        if index['unique']
    ]
    assert unique['column_names'] == ['instance_id', 'marker'], unique


def check_cygnus_expand03(connection):
    """No port is open, and one can be opened once; an instance is in one run at a time."""
    assert {
        'upgrade_bridge_runs',
        'upgrade_bridge_members',
        'upgrade_bridge_host_keys',
        'upgrade_bridge_openings',
    } <= tables(connection)
    for table, column in (
        ('upgrade_bridge_openings', 'open_port_id'),
        ('upgrade_bridge_members', 'active_instance_id'),
    ):
        [unique] = [index for index in sa.inspect(connection).get_indexes(table) if index['unique']]
        assert unique['column_names'] == [column], unique
        count = sa.text(f'SELECT COUNT(*) FROM {table}')
        assert connection.execute(count).scalar_one() == 0


def check_cygnus_expand04(connection):
    """A run has its own pace or none, and no failure of it has been accepted."""
    runs = columns(connection, 'upgrade_bridge_runs')
    assert runs['pace']['nullable']
    assert not runs['accepted_failures']['nullable']
    members = columns(connection, 'upgrade_bridge_members')
    assert all(members[name]['nullable'] for name in ('node', 'hypervisor', 'wave'))


def check_cygnus_contract01(connection):
    """Takes nothing away."""
    check_cygnus_expand01(connection)
    check_cygnus_expand02(connection)
    check_cygnus_expand03(connection)
    check_cygnus_expand04(connection)
    check_borealis_contract01(connection)
