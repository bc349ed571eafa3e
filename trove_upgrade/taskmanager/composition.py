# SPDX-License-Identifier: Apache-2.0
"""The parts of a taskmanager, made of its ports as the operator's options tell."""

import functools
from collections.abc import Callable

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.conf import guest_keys as guest_keys_conf
from trove_upgrade.conf import new_guests as new_guests_conf
from trove_upgrade.db.migrations import gate
from trove_upgrade.domain import leases, states
from trove_upgrade.domain.events import NOTIFICATIONS, EventKind
from trove_upgrade.domain.turn import Turn
from trove_upgrade.taskmanager import guest_options, manager, outages
from trove_upgrade.taskmanager.composed_user_data import Settings
from trove_upgrade.taskmanager.fair_queue import Shares
from trove_upgrade.taskmanager.guest_files import GuestFiles, read_text
from trove_upgrade.taskmanager.healing import Healer
from trove_upgrade.taskmanager.key_delivery import KeyDelivery
from trove_upgrade.taskmanager.new_guests import NewGuests
from trove_upgrade.taskmanager.outbox import Relay
from trove_upgrade.taskmanager.outside import Ports
from trove_upgrade.taskmanager.preflight import Preflight
from trove_upgrade.taskmanager.root_disk import RootDisk
from trove_upgrade.taskmanager.sealed_reports import SealedReports
from trove_upgrade.taskmanager.server_watch import ServerWatch
from trove_upgrade.taskmanager.step_runner import RunnableStep, StepRunner
from trove_upgrade.taskmanager.steps import boot, calls, precheck, quiesce, rebuild, restore, verify

#: Beyond the time-outs of what a step asks, for our own work and the database.
MARGIN_SECONDS = 15.0
#: Requests to Neutron for a NIC: its ports, and a subnet of either kind.
_NIC_READS = 3
#: One in so many workers runs checks, which wait for guests: thousands of them delay no upgrade.
_CHECKS_SHARE = 4


def shares(conf: cfg.ConfigOpts) -> Shares:
    """Return the workers that each kind of work and each project may have."""
    options = conf[our_conf.GROUP]
    workers = options.taskmanager_workers
    return Shares.of_percent(
        workers,
        slow=options.slow_workers_percent,
        project=options.project_workers_percent,
        kinds={manager.CHECK: max(1, workers // _CHECKS_SHARE)},
    )


def calls_of(conf: cfg.ConfigOpts, outside: Ports) -> calls.Calls:
    """Return what builds and paces the calls of guests."""
    options = conf[our_conf.GROUP]
    return calls.Calls(
        datastores=outside.datastores,
        clock=outside.clock,
        options=guest_options.from_conf(options),
        poll_seconds=options.guest_poll_interval,
        poll_max_seconds=options.guest_poll_max_interval,
        call_timeout_seconds=options.guest_call_timeout,
    )


def relays_of(
    conf: cfg.ConfigOpts, outside: Ports, call: calls.Calls, met: outages.Outages
) -> dict[str, Relay]:
    """Return the relays of the outbox by name: words to guests hold no notification up."""
    kinds: dict[str, frozenset[EventKind]] = {
        'notifications': NOTIFICATIONS,
        'guests': frozenset({EventKind.FINISH}),
    }
    return {
        name: Relay(
            outbox=outside.repos.outbox,
            upgrades=outside.repos.upgrades,
            notifier=outside.notifier,
            agent=outside.agent,
            calls=call,
            kinds=some,
            retry_seconds=conf[our_conf.GROUP].outbox_retry_interval,
            outages=met,
        )
        for name, some in kinds.items()
    }


def watch_of(
    conf: cfg.ConfigOpts, outside: Ports, nudge: Callable[[Turn], None], met: outages.Outages
) -> ServerWatch:
    """Return what looks at the servers that upgrades wait for."""
    return ServerWatch(
        outside.changes,
        nudge,
        outside.clock,
        poll_seconds=conf[our_conf.GROUP].compute_poll_interval,
        outages=met,
    )


def preflight_of(conf: cfg.ConfigOpts, outside: Ports) -> Preflight:
    """Return what checks an upgrade before it begins."""
    return Preflight(
        instances=outside.repos.instances,
        datastores=outside.datastores,
        nova=outside.nova,
        images=outside.images,
        agent=outside.agent,
        rules=outside.rules,
        files=guest_files_of(conf, outside),
        key_delivery=key_delivery_of(conf, outside),
        broker=outside.broker,
    )


def healer_of(
    conf: cfg.ConfigOpts, outside: Ports, call: calls.Calls, met: outages.Outages
) -> Healer:
    """Return what has a guest restore once more after its root disk was made anew."""
    options = conf[our_conf.GROUP]
    return Healer(
        upgrades=outside.repos.upgrades,
        guests=outside.repos.guests,
        agent=outside.agent,
        calls=call,
        timeout_seconds=options.restore_timeout,
        outages=met,
        longest_rest_seconds=options.longest_rest,
    )


def guest_files_of(conf: cfg.ConfigOpts, outside: Ports) -> GuestFiles:
    """Return what renders user data as the operator chose."""
    options = conf[our_conf.GROUP]
    return GuestFiles(
        instances=outside.repos.instances,
        datastores=outside.datastores,
        guest_config_file=options.guest_config_file,
        guest_topic_prefix=options.guest_topic_prefix,
        new_guests=new_guests_of(conf, outside),
    )


def new_guests_of(conf: cfg.ConfigOpts, outside: Ports) -> NewGuests:
    """Return what composes the files of a new guest as Trove's own options tell."""
    return NewGuests(
        instances=outside.repos.instances,
        settings=Settings(
            directory=conf.injected_config_location,
            owner=conf.injected_config_owner,
            group=conf.injected_config_group,
            guest_info=conf.guest_info,
            network_isolation=conf[new_guests_conf.NETWORK_GROUP].network_isolation,
            bridge_network=conf.docker_bridge_network_ip,
            insecure_registries=tuple(conf.docker_insecure_registries),
            controller_address=conf.controller_address,
        ),
        cloudinit_directory=conf.cloudinit_location,
        read=read_text,
        keys=outside.repos.troves_keys,
        nics=outside.nics,
    )


def key_delivery_of(conf: cfg.ConfigOpts, outside: Ports) -> KeyDelivery:
    """Return what decides on guests' keys as the operator chose."""
    return KeyDelivery(
        keys=outside.repos.guest_keys,
        datastores=outside.datastores,
        older_taskmanager=older_taskmanager_of(outside),
        is_off=conf[our_conf.GROUP].guest_rpc_security == guest_keys_conf.OFF,
    )


def sealed_reports_of(
    conf: cfg.ConfigOpts, outside: Ports, greet: Callable[[str], None]
) -> SealedReports:
    """Return what believes of guests' reports what the operator chose."""
    security = conf[our_conf.GROUP].guest_rpc_security
    return SealedReports(
        keys=outside.repos.guest_keys,
        drops=outside.drops,
        greet=greet,
        older_taskmanager=older_taskmanager_of(outside),
        is_required=security == guest_keys_conf.REQUIRED,
        is_off=security == guest_keys_conf.OFF,
    )


def older_taskmanager_of(outside: Ports) -> Callable[[], str | None]:
    """Return what names a taskmanager of an earlier release that is registered; None: there is
    none.
    """
    return functools.partial(gate.older_taskmanager, outside.repos.services)


def guest_hold(conf: cfg.ConfigOpts) -> float:
    """Return the seconds that a call of a guest may take.

    A sealed one may be made twice: for the start of the agent that the first one has told.
    """
    return 2 * float(conf[our_conf.GROUP].guest_call_timeout) + MARGIN_SECONDS


def steps(
    conf: cfg.ConfigOpts,
    outside: Ports,
    preflight: Preflight,
    call: calls.Calls,
    held: leases.LeaseCheck,
    rest: rebuild.Rest | None = None,
) -> dict[states.Step, RunnableStep]:
    """Return all six, with their time-outs; `outside` has the guests as its steps may ask them,
    `rest` tells how long one may wait for Nova.
    """
    options = conf[our_conf.GROUP]
    repos, agent = outside.repos, outside.agent
    hold = guest_hold(conf)
    return {
        states.Step.PRECHECK: precheck_of(conf, preflight, call),
        states.Step.QUIESCE: quiesce.Quiesce(
            agent=agent,
            instances=repos.instances,
            calls=call,
            timeout_seconds=options.quiesce_timeout,
            hold_seconds=hold,
        ),
        states.Step.REBUILD: rebuild_of(conf, outside, call, held, rest),
        states.Step.BOOT: boot_of(conf, outside),
        states.Step.RESTORE: restore_of(conf, outside, call),
        states.Step.VERIFY: verify_of(conf, outside, call),
    }


def precheck_of(conf: cfg.ConfigOpts, preflight: Preflight, call: calls.Calls) -> precheck.Precheck:
    """Return the step that asks all that could refuse; bringing a container image may take as long
    as in the step that brings it otherwise.
    """
    options = conf[our_conf.GROUP]
    # server, limits, versions, image; a NIC; the broker
    reads = (4 + _NIC_READS) * float(options.compute_timeout) + MARGIN_SECONDS
    return precheck.Precheck(
        preflight=preflight,
        calls=call,
        timeout_seconds=options.precheck_timeout,
        hold_seconds=guest_hold(conf) + reads,
        bring_seconds=options.quiesce_timeout,
    )


def rebuild_of(
    conf: cfg.ConfigOpts,
    outside: Ports,
    call: calls.Calls,
    held: leases.LeaseCheck,
    rest: rebuild.Rest | None = None,
) -> rebuild.Rebuild:
    """Return the step that asks Nova."""
    options = conf[our_conf.GROUP]
    post = float(options.rebuild_request_timeout)
    # the server three times; where user data is composed, a NIC
    reads = (3 + _NIC_READS) * float(options.compute_timeout)
    return rebuild.Rebuild(
        held=outside.repos.held_upgrades,
        leases=held,
        nova=outside.nova,
        agent=outside.agent,
        instances=outside.repos.instances,
        datastores=outside.datastores,
        files=guest_files_of(conf, outside),
        key_delivery=key_delivery_of(conf, outside),
        calls=call,
        poll_seconds=options.compute_poll_interval,
        post_seconds=post,
        limit=options.rebuild_limit,
        timeout_seconds=options.rebuild_timeout,
        hold_seconds=guest_hold(conf) + reads + post,
        rest=rest,
    )


def step_runner_of(conf: cfg.ConfigOpts, outside: Ports) -> StepRunner:
    """Return what runs one step once."""
    return StepRunner(
        instances=outside.repos.instances,
        guests=outside.repos.guests,
        clock=outside.clock,
        longest_rest_seconds=conf[our_conf.GROUP].longest_rest,
    )


def boot_of(conf: cfg.ConfigOpts, outside: Ports) -> boot.Boot:
    """Return the step that waits for the new guest."""
    options, repos = conf[our_conf.GROUP], outside.repos
    return boot.Boot(
        guests=repos.guests,
        keys=repos.guest_keys,
        poll_seconds=options.compute_poll_interval * 2,
        timeout_seconds=options.boot_timeout,
        hold_seconds=MARGIN_SECONDS,
        takes_unsealed=options.guest_rpc_security != guest_keys_conf.REQUIRED,
    )


def restore_of(conf: cfg.ConfigOpts, outside: Ports, call: calls.Calls) -> restore.Restore:
    """Return the step that has the new guest take over the data."""
    options, repos = conf[our_conf.GROUP], outside.repos
    return restore.Restore(
        agent=outside.agent,
        guests=repos.guests,
        instances=repos.instances,
        calls=call,
        root_disk=RootDisk(nova=outside.nova, keys=repos.guest_keys),
        timeout_seconds=options.restore_timeout,
        hold_seconds=guest_hold(conf) + float(options.compute_timeout),
    )


def verify_of(conf: cfg.ConfigOpts, outside: Ports, call: calls.Calls) -> verify.Verify:
    """Return the step that has the new guest's server tell what it is."""
    options, repos = conf[our_conf.GROUP], outside.repos
    agent, hold = outside.agent, guest_hold(conf)
    return verify.Verify(
        agent=agent,
        guests=repos.guests,
        instances=repos.instances,
        calls=call,
        root_disk=RootDisk(nova=outside.nova, keys=repos.guest_keys),
        timeout_seconds=options.verify_timeout,
        hold_seconds=hold + float(options.compute_timeout),
        status_seconds=0.0 if options.write_service_status else options.service_status_timeout,
    )
