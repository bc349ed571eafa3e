# SPDX-License-Identifier: Apache-2.0
"""Our own tables at the newest version.  The migrations make them; a test compares the two.

No foreign key leads to Trove's tables: beside Trove they are another project's.
"""

from typing import Any

import sqlalchemy as sa

from trove_upgrade.db.columns import JsonText, UtcDateTime

METADATA = sa.MetaData()

#: Key of the `info` of what an expand of this release adds.  Of a column: the value that counts
#: until then (`arrivals`); of a table: True, services work without it until then.
UNTIL_EXPAND = 'until_expand'

_MYSQL: dict[str, Any] = {
    'mysql_engine': 'InnoDB',
    'mysql_charset': 'utf8mb4',
    'mariadb_engine': 'InnoDB',
    'mariadb_charset': 'utf8mb4',
}

instance_upgrades = sa.Table(
    'instance_upgrades',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('instance_id', sa.String(36), nullable=False),
    # the instance's id while PENDING, RUNNING or HELD, else NULL: its uniqueness is "one active
    # upgrade per instance"
    sa.Column('active_instance_id', sa.String(36), nullable=True),
    sa.Column('project_id', sa.String(64), nullable=False),
    sa.Column('instance_name', sa.String(255), nullable=False),
    sa.Column('server_id', sa.String(36), nullable=False),
    sa.Column('state', sa.String(16), nullable=False),
    sa.Column('step', sa.String(16), nullable=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('rebuild_attempt', sa.Integer(), nullable=False),
    sa.Column('former_version_id', sa.String(36), nullable=False),
    sa.Column('target_version_id', sa.String(36), nullable=False),
    sa.Column('former_image_id', sa.String(36), nullable=True),
    sa.Column('target_image_id', sa.String(36), nullable=False),
    sa.Column('datastore_manager', sa.String(255), nullable=False),
    sa.Column('target_number', sa.String(255), nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.Column('owner', sa.String(255), nullable=True),
    sa.Column('lease_until', UtcDateTime(), nullable=True),
    sa.Column('next_run_at', UtcDateTime(), nullable=True),
    sa.Column('step_deadline', UtcDateTime(), nullable=True),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.Column('data', JsonText(), nullable=False),
    sa.Column('cause', sa.Text(), nullable=True),
    sa.Column('error_code', sa.String(64), nullable=True),
    sa.Column('request_id', sa.String(64), nullable=True),
    sa.Column('user_id', sa.String(64), nullable=True),
    # how often it has kept a worker waiting of late; the release before leaves it as it is
    sa.Column('stalls', sa.Integer(), nullable=False, server_default='0', info={UNTIL_EXPAND: 0}),
    sa.Index('uq_instance_upgrades_active_instance_id', 'active_instance_id', unique=True),
    sa.Index('ix_instance_upgrades_instance_id_created_at', 'instance_id', 'created_at'),
    sa.Index('ix_instance_upgrades_project_id_created_at', 'project_id', 'created_at'),
    sa.Index('ix_instance_upgrades_state_next_run_at', 'state', 'next_run_at'),
    **_MYSQL,
)

# one upgrade's history lies together, in its order: its key is what pages of upgrades are read by
instance_upgrade_steps = sa.Table(
    'instance_upgrade_steps',
    METADATA,
    sa.Column('upgrade_id', sa.String(36), primary_key=True),
    sa.Column('position', sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('step', sa.String(16), nullable=False),
    sa.Column('started_at', UtcDateTime(), nullable=False),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.Column('runs', sa.Integer(), nullable=False),
    sa.Column('outcome', sa.String(16), nullable=True),
    sa.Column('percent', sa.Integer(), nullable=True),
    sa.Column('message', sa.Text(), nullable=True),
    **_MYSQL,
)

upgrade_outbox = sa.Table(
    'upgrade_outbox',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('upgrade_id', sa.String(36), nullable=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    # of the kind (domain.events.EventKind.position): with the attempt it orders the events of one
    # upgrade, and is unique there
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(16), nullable=False),
    sa.Column('receiver', sa.String(16), nullable=False),
    sa.Column('payload', JsonText(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('next_try_at', UtcDateTime(), nullable=False),
    sa.Column('tries', sa.Integer(), nullable=False),
    sa.Column('sent_at', UtcDateTime(), nullable=True),
    sa.Index(
        'uq_upgrade_outbox_upgrade_id_attempt_position',
        'upgrade_id',
        'attempt',
        'position',
        unique=True,
    ),
    sa.Index('ix_upgrade_outbox_sent_at_next_try_at', 'sent_at', 'next_try_at'),
    **_MYSQL,
)

upgrade_services = sa.Table(
    'upgrade_services',
    METADATA,
    sa.Column('host', sa.String(255), primary_key=True),
    sa.Column('binary', sa.String(64), primary_key=True),
    # of the process that registered last, so that the clean stop of an older one does not remove
    # its successor's row
    sa.Column('registration', sa.String(36), nullable=False),
    sa.Column('version', sa.String(64), nullable=False),
    sa.Column('started_at', UtcDateTime(), nullable=False),
    sa.Column('seen_at', UtcDateTime(), nullable=False),
    **_MYSQL,
)

upgrade_guests = sa.Table(
    'upgrade_guests',
    METADATA,
    sa.Column('instance_id', sa.String(36), primary_key=True),
    sa.Column('image_id', sa.String(36), nullable=True),
    sa.Column('boot_id', sa.String(64), nullable=True),
    sa.Column('marker', sa.String(64), nullable=True),
    sa.Column('restored', sa.Boolean(), nullable=True),
    sa.Column('agent_version', sa.String(64), nullable=True),
    sa.Column('server_version', sa.String(255), nullable=True),
    sa.Column('server_state', sa.String(16), nullable=True),
    sa.Column('seen_at', UtcDateTime(), nullable=True),
    # the key that its last heartbeat came under; NULL: it came unsealed
    sa.Column('key_id', sa.String(36), nullable=True, info={UNTIL_EXPAND: None}),
    **_MYSQL,
)

# guests' keys, each encrypted under the operator's list; the newest one with `proven_at` is the
# instance's current one
upgrade_guest_keys = sa.Table(
    'upgrade_guest_keys',
    METADATA,
    sa.Column('key_id', sa.String(36), primary_key=True),
    sa.Column('instance_id', sa.String(36), nullable=False),
    # of the rebuild that it was made for; NULL: of none
    sa.Column('marker', sa.String(64), nullable=True),
    sa.Column('origin', sa.String(16), nullable=False),
    sa.Column('wrapped', sa.Text(), nullable=False),
    # orders the keys of one instance
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('proven_at', UtcDateTime(), nullable=True),
    # the agent's start that was met last, and the highest number of its reports
    sa.Column('session', sa.String(64), nullable=True),
    sa.Column('heard', sa.BigInteger(), nullable=False, server_default='0'),
    sa.Index('uq_upgrade_guest_keys_instance_id_marker', 'instance_id', 'marker', unique=True),
    info={UNTIL_EXPAND: True},
    **_MYSQL,
)

# one row per instance that was spoken to, or sent something, under a key; it outlives the keys, so
# that no number comes twice
upgrade_guest_wires = sa.Table(
    'upgrade_guest_wires',
    METADATA,
    sa.Column('instance_id', sa.String(36), primary_key=True),
    sa.Column('sent', sa.BigInteger(), nullable=False, server_default='0'),
    sa.Column('dropped', sa.BigInteger(), nullable=False, server_default='0'),
    info={UNTIL_EXPAND: True},
    **_MYSQL,
)

# runs of the bridge to old guests; the membership of one is frozen at its begin
upgrade_bridge_runs = sa.Table(
    'upgrade_bridge_runs',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('state', sa.String(16), nullable=False),
    # how far its members are to come
    sa.Column('scope', sa.String(16), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    # limits, waves, and the failures that it goes on with
    sa.Column('pace', JsonText(), nullable=True),
    # that an operator has seen
    sa.Column('accepted_failures', sa.Integer(), nullable=False, server_default='0'),
    info={UNTIL_EXPAND: True},
    **_MYSQL,
)

upgrade_bridge_members = sa.Table(
    'upgrade_bridge_members',
    METADATA,
    sa.Column('run_id', sa.String(36), primary_key=True),
    sa.Column('instance_id', sa.String(36), primary_key=True),
    # the instance's id until its member has ended, else NULL: its uniqueness is "one run per
    # instance"
    sa.Column('active_instance_id', sa.String(36), nullable=True),
    sa.Column('name', sa.String(255), nullable=False),
    sa.Column('project_id', sa.String(64), nullable=False),
    sa.Column('server_id', sa.String(36), nullable=True),
    sa.Column('state', sa.String(16), nullable=False),
    sa.Column('step', sa.String(16), nullable=False),
    sa.Column('is_undoing', sa.Boolean(), nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('owner', sa.String(255), nullable=True),
    sa.Column('lease_until', UtcDateTime(), nullable=True),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.Column('error_code', sa.String(64), nullable=True),
    sa.Column('cause', sa.Text(), nullable=True),
    sa.Column('facts', JsonText(), nullable=False),
    sa.Column('steps', JsonText(), nullable=False),
    # hosts that the work on it loads, where they are known
    sa.Column('node', sa.String(255), nullable=True),
    sa.Column('hypervisor', sa.String(255), nullable=True),
    # NULL: it was left out
    sa.Column('wave', sa.Integer(), nullable=True),
    sa.Index('uq_upgrade_bridge_members_active_instance_id', 'active_instance_id', unique=True),
    info={UNTIL_EXPAND: True},
    **_MYSQL,
)

# the key that each old server showed at first sight
upgrade_bridge_host_keys = sa.Table(
    'upgrade_bridge_host_keys',
    METADATA,
    sa.Column('server_id', sa.String(36), primary_key=True),
    # as a file of public keys has it
    sa.Column('host_key', sa.Text(), nullable=False),
    sa.Column('seen_at', UtcDateTime(), nullable=False),
    info={UNTIL_EXPAND: True},
    **_MYSQL,
)

# ports of old guests that the bridge opens for SSH, and until when; a row is committed before
# Neutron is asked
upgrade_bridge_openings = sa.Table(
    'upgrade_bridge_openings',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('run_id', sa.String(36), nullable=False),
    sa.Column('instance_id', sa.String(36), nullable=False),
    sa.Column('port_id', sa.String(36), nullable=False),
    # the port's id until it is CLOSED, else NULL: its uniqueness is "one opening per port"
    sa.Column('open_port_id', sa.String(36), nullable=True),
    sa.Column('network_id', sa.String(36), nullable=False),
    sa.Column('project_id', sa.String(64), nullable=False),
    sa.Column('source', sa.String(64), nullable=False),
    sa.Column('state', sa.String(16), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('lease_until', UtcDateTime(), nullable=False),
    sa.Column('former_groups', JsonText(), nullable=True),
    sa.Column('group_id', sa.String(36), nullable=True),
    sa.Column('closed_at', UtcDateTime(), nullable=True),
    sa.Column('cause', sa.Text(), nullable=True),
    sa.Index('uq_upgrade_bridge_openings_open_port_id', 'open_port_id', unique=True),
    sa.Index('ix_upgrade_bridge_openings_run_id', 'run_id'),
    sa.Index('ix_upgrade_bridge_openings_state_lease_until', 'state', 'lease_until'),
    info={UNTIL_EXPAND: True},
    **_MYSQL,
)

upgrade_checks = sa.Table(
    'upgrade_checks',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('instance_id', sa.String(36), nullable=False),
    sa.Column('project_id', sa.String(64), nullable=False),
    sa.Column('target_version_id', sa.String(36), nullable=False),
    sa.Column('state', sa.String(16), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.Column('owner', sa.String(255), nullable=True),
    sa.Column('lease_until', UtcDateTime(), nullable=True),
    sa.Column('results', JsonText(), nullable=False),
    sa.Column('cause', sa.Text(), nullable=True),
    sa.Column('error_code', sa.String(64), nullable=True),
    sa.Index('ix_upgrade_checks_instance_id', 'instance_id'),
    sa.Index('ix_upgrade_checks_state', 'state'),
    **_MYSQL,
)

upgrade_target_facts = sa.Table(
    'upgrade_target_facts',
    METADATA,
    sa.Column('version_id', sa.String(36), primary_key=True),
    sa.Column('facts', JsonText(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    **_MYSQL,
)

# how far each data migration has come: what a run that was killed goes on from
upgrade_data_migrations = sa.Table(
    'upgrade_data_migrations',
    METADATA,
    sa.Column('name', sa.String(64), primary_key=True),
    sa.Column('cursor', sa.String(255), nullable=False),
    sa.Column('found', sa.BigInteger(), nullable=False),
    sa.Column('done', sa.BigInteger(), nullable=False),
    sa.Column('rate', sa.Float(), nullable=True),
    sa.Column('started_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.Column('completed_at', UtcDateTime(), nullable=True),
    **_MYSQL,
)

# one row per run of expand, migrate, contract or sync; `reason` is that of --force
upgrade_schema_runs = sa.Table(
    'upgrade_schema_runs',
    METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('command', sa.String(64), nullable=False),
    sa.Column('holder', sa.String(255), nullable=False),
    sa.Column('from_version', sa.String(255), nullable=False),
    sa.Column('to_version', sa.String(255), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('outcome', sa.String(16), nullable=True),
    sa.Column('started_at', UtcDateTime(), nullable=False),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    **_MYSQL,
)

#: As they are from this release's expand until borealis_contract01, with both forms of an upgrade's
#: history: in a database that release aurora has made.
EXPANDED = sa.MetaData()
for _table in METADATA.sorted_tables:
    _table.to_metadata(EXPANDED)

expanded_instance_upgrades = EXPANDED.tables['instance_upgrades']
# the truth as long as it is there, as aurora writes it alone
expanded_instance_upgrades.append_column(sa.Column('steps', JsonText(), nullable=False))
# updated_at of the write whose `steps` were last copied into instance_upgrade_steps; aurora leaves
# it behind
expanded_instance_upgrades.append_column(sa.Column('steps_at', UtcDateTime(), nullable=True))
