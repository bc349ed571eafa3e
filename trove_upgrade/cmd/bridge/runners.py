# SPDX-License-Identifier: Apache-2.0
"""Runners of a run, put together for this process."""

import functools
import os
import pathlib
import socket
from collections.abc import Callable

from trove_upgrade import conf as our_conf
from trove_upgrade.bridge.bundle import archive
from trove_upgrade.bridge.host_keys import PinnedHostKeys
from trove_upgrade.bridge.opener import Opener
from trove_upgrade.bridge.outages import Outages
from trove_upgrade.bridge.pusher import Pusher
from trove_upgrade.bridge.reach.shell import open_shell
from trove_upgrade.bridge.runner import MemberRunner, Tell
from trove_upgrade.bridge.steps.prove import Prove
from trove_upgrade.bridge.steps.push import Push
from trove_upgrade.bridge.steps.removal import Removal
from trove_upgrade.bridge.steps.step import RunnableStep
from trove_upgrade.bridge.steps.upgrade import UpgradeMember
from trove_upgrade.bridge.steps.verify import Verify
from trove_upgrade.bridge.steps.way_in import Close, Open, Reach
from trove_upgrade.bridge.visit import Door
from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.bridge import way
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.db import outages as outages_of_database
from trove_upgrade.db.instances import Instances
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.bridge_runs import STEPS_OF, MemberStep, RunScope
from trove_upgrade.domain.database_service import DatabaseServiceUnavailable
from trove_upgrade.domain.exceptions import ComputeUnavailable
from trove_upgrade.domain.instances import Task
from trove_upgrade.domain.network import NetworkUnavailable

PROVE_SECONDS = 180.0


class GuestConfigFileUnreadable(exceptions.TroveUpgradeError):
    """The operator's configuration for guests is not there."""

    code = 'GUEST_CONFIG_FILE_UNREADABLE'
    template = (
        'No agent can be brought in: {path}, which [trove_upgrade] guest_config_file names, cannot '
        'be read: {found}. Put the file there, or unset the option.'
    )


def make(
    run: Context, scope: RunScope, ways: way.Ways, push: Push | None, outages: Outages, tell: Tell
) -> Callable[[int, Callable[[], bool]], MemberRunner]:
    """Return what makes the runner of a number; `push` is None where nothing is to be pushed."""
    repositories = run.repositories
    door = door_of(run, ways)
    kept: set[str] = set()
    removal = Removal(door=door, keys=repositories.guest_keys, agents=repositories.guests)

    def made(number: int, is_stopping: Callable[[], bool]) -> MemberRunner:
        upgrade = _upgrade_of(run, tell, is_stopping)
        steps = _steps(run, door, push, upgrade, is_stopping)
        return MemberRunner(
            runs=repositories.bridge_runs,
            openings=repositories.openings,
            door=door,
            steps={step: steps[step] for step in steps if step in STEPS_OF[scope]},
            remove=removal.remove,
            forget=removal.forget,
            kept=kept,
            settle=upgrade.settle,
            clock=SystemClock(),
            owner=f'{socket.gethostname()}:{os.getpid()}:{number}',
            lease_seconds=run.conf[our_conf.GROUP].bridge_lease_seconds,
            tell=tell,
            is_outage=is_outage,
            outages=outages,
            pause=SystemClock(),
            is_stopping=is_stopping,
            is_gone=functools.partial(_is_gone, repositories.instances),
        )

    return made


def _upgrade_of(run: Context, tell: Tell, is_stopping: Callable[[], bool]) -> UpgradeMember:
    return UpgradeMember(
        api=run.cloud.databases,
        upgrades=run.repositories.upgrades,
        server_ports=run.server_ports,
        pause=SystemClock(),
        tell=tell,
        is_stopping=is_stopping,
        settle_hosts=run.repositories.bridge_runs.settle,
    )


def push_of(run: Context, ways: way.Ways, bundle: archive.Bundle) -> Push:
    """Return the step that brings this bundle in.

    :raises GuestConfigFileUnreadable: `guest_config_file` cannot be read.
    """
    instances = run.repositories.instances
    return Push(
        door=door_of(run, ways),
        pusher=Pusher(bundle=bundle, operators_text=_operators_text(run)),
        keys=run.repositories.guest_keys,
        manager_of=lambda instance_id: (
            instances.get(instance_id, with_details=False).version.manager
        ),
    )


def _operators_text(run: Context) -> str:
    path = run.conf[our_conf.GROUP].guest_config_file
    try:
        return pathlib.Path(path).read_text(encoding='utf-8') if path else ''
    except (OSError, UnicodeDecodeError) as error:
        raise GuestConfigFileUnreadable(path=path, found=error) from error


def door_of(run: Context, ways: way.Ways) -> Door:
    """Return the way in to guests and out of them."""
    openings = run.repositories.openings
    return Door(
        server_ports=run.server_ports,
        openings=openings,
        opener=Opener(
            network=run.cloud.network,
            openings=openings,
            closer=run.closer,
            lease_seconds=run.conf[our_conf.GROUP].bridge_lease_seconds,
        ),
        closer=run.closer,
        chooser=ways.chooser,
        accounts=ways.accounts,
        log_in=functools.partial(
            open_shell,
            host_keys=PinnedHostKeys(run.repositories.host_keys),
            limits=ways.limits,
            clock=SystemClock(),
        ),
        settle=run.repositories.bridge_runs.settle,
    )


def _steps(
    run: Context,
    door: Door,
    push: Push | None,
    upgrade: UpgradeMember,
    is_stopping: Callable[[], bool],
) -> dict[MemberStep, RunnableStep]:
    steps: dict[MemberStep, RunnableStep] = {
        MemberStep.OPEN: Open(door=door),
        MemberStep.REACH: Reach(door=door),
        MemberStep.PROVE: Prove(
            heard=run.repositories.guests,
            clock=SystemClock(),
            pause=SystemClock(),
            wait_seconds=PROVE_SECONDS,
        ),
        MemberStep.CLOSE: Close(door=door),
        MemberStep.UPGRADE: upgrade,
        MemberStep.VERIFY: Verify(verifier=run.verifier, is_stopping=is_stopping),
    }
    return steps if push is None else {**steps, MemberStep.PUSH: push}


def _is_gone(instances: Instances, instance_id: str) -> bool:
    holder = instances.holder(instance_id)
    return holder.deleted or holder.task is Task.DELETING


def is_outage(error: Exception) -> bool:
    """Return whether a service gave no answer, which is no fact of a member."""
    return isinstance(
        error, (NetworkUnavailable, ComputeUnavailable, DatabaseServiceUnavailable)
    ) or outages_of_database.is_outage(error)
