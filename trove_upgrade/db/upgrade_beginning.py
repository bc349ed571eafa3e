# SPDX-License-Identifier: Apache-2.0
"""Beginning of an upgrade: its instance's task, its row, and its 'start' event."""

import datetime
import uuid

import sqlalchemy as sa

from trove_upgrade.db import columns, outbox, rows, taken_instances, tasks
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.domain import admission, instances, states
from trove_upgrade.domain.events import EventKind
from trove_upgrade.domain.holds import NO_CHOICES, Choices
from trove_upgrade.domain.progress import NOTHING
from trove_upgrade.domain.upgrades import Upgrade


def begin(
    database: Database,
    connection: sa.Connection,
    target_instance: instances.Instance,
    target: instances.DatastoreVersion,
    *,
    target_image_id: str,
    request_id: str | None,
    user_id: str | None,
    agent_silence_seconds: float | None = None,
    choices: Choices = NO_CHOICES,
) -> Upgrade:
    """Begin an upgrade as `Upgrades.begin` does, in a transaction of the caller's.

    :raises InstanceBusy, InstanceNeedsRetry, InstanceNotFound: as there.
    :raises InstanceHasNoServer, GuestAgentMissing: as there.
    """
    if target_instance.server_id is None or not tasks.take(connection, target_instance):
        raise tasks.refusal(connection, target_instance)
    # now that the row is held: none fails meanwhile
    taken = taken_instances.read(connection, target_instance.id, agent_silence_seconds)
    obstacle = admission.why_not_begin(target_instance, taken.instance)
    if obstacle is not None:
        raise obstacle
    begun = _begun(
        target_instance,
        target,
        server_id=target_instance.server_id,
        now=taken.now,
        target_image_id=target_image_id,
        request_id=request_id,
        user_id=user_id,
    ).evolve(progress=NOTHING.evolve(choices=choices))
    rows.form(database, connection).begin(connection, begun)
    outbox.write(connection, EventKind.START, begun, [target_instance.version, target])
    return begun


def _begun(
    target_instance: instances.Instance,
    target: instances.DatastoreVersion,
    *,
    server_id: str,
    now: datetime.datetime,
    target_image_id: str,
    request_id: str | None,
    user_id: str | None,
) -> Upgrade:
    return Upgrade(
        id=str(uuid.uuid4()),
        instance_id=target_instance.id,
        project_id=target_instance.project_id,
        instance_name=target_instance.name,
        server_id=server_id,
        state=states.UpgradeState.PENDING,
        step=states.STEPS[0],
        attempt=1,
        rebuild_attempt=0,
        former_version_id=target_instance.version.id,
        target_version_id=target.id,
        former_image_id=None,
        target_image_id=target_image_id,
        datastore_manager=target.manager,
        target_number=target.number,
        generation=0,
        created_at=now,
        updated_at=now,
        next_run_at=now,
        request_id=columns.fitting(_upgrades.c.request_id, request_id),
        user_id=user_id,
    )
