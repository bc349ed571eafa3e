# SPDX-License-Identifier: Apache-2.0
"""Composes a taskmanager from its ports, starts its threads, and stops them."""

import dataclasses
import functools
import socket
import threading
from collections.abc import Callable, Mapping

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.db import engine, faults, installation, services
from trove_upgrade.db.impatient import Bounds, ImpatientDatabase
from trove_upgrade.db.leases import KeptLeases
from trove_upgrade.db.service_heartbeat import ServiceHeartbeat
from trove_upgrade.db.upgrade_figures import UpgradeFigures
from trove_upgrade.domain import logs, states
from trove_upgrade.domain.bounded import Bounded
from trove_upgrade.domain.turn import Turn
from trove_upgrade.rpc import nova_notifications, place
from trove_upgrade.rpc.listener import Listener
from trove_upgrade.taskmanager import (
    composition,
    greeting,
    holdings,
    keeper,
    manager,
    openings_left,
    outages,
    recovery,
)
from trove_upgrade.taskmanager import exposition as expositions
from trove_upgrade.taskmanager.checks import CheckRunner
from trove_upgrade.taskmanager.endings import Endings
from trove_upgrade.taskmanager.fenced_guest import FencedGuest
from trove_upgrade.taskmanager.hold_watch import HoldWatch
from trove_upgrade.taskmanager.outside import Ports, ports_from_conf
from trove_upgrade.taskmanager.prometheus import PrometheusMetrics
from trove_upgrade.taskmanager.repeater import Repeater
from trove_upgrade.taskmanager.runner import Runner
from trove_upgrade.taskmanager.scheduler import Run, Scheduler
from trove_upgrade.taskmanager.steps import calls, undo

LOG = logs.get_logger(__name__)

BINARY = services.TASKMANAGER

#: From SIGTERM to the end in all, whatever is away: less than the 90 s after which systemd kills.
_STOP_SECONDS = 60.0
_LEAVE_SECONDS = 15.0
_SIGN = 'The sign of life could not be written'
_CHECK_SECONDS = 120.0


def require_installation(conf: cfg.ConfigOpts) -> None:
    """Look into the database once.

    :raises SchemaMissing: its tables are not there.
    :raises TrovesDatabase: it is a real Trove's, and the options are not for that.
    :raises DatabaseUnreachable: it gives no answer: look again.
    """
    database = engine.Database.from_conf(conf, waits_for_server=False)
    try:
        tables = installation.table_names(database)
        installation.require_options_beside_trove(conf, tables, BINARY)
        installation.require_tables(tables)
    except Exception as error:
        known = faults.explain(error, _url(conf))
        if known is None or known is error:
            raise
        raise known from error
    finally:
        database.dispose()


class Service:
    """One process: RPC servers, scheduler, relays, signs of life."""

    _exposition: expositions.Exposition | None = None  #: None: nothing is served

    def __init__(
        self, conf: cfg.ConfigOpts, outside: Ports, leave_seconds: float = _LEAVE_SECONDS
    ) -> None:
        """Compose; nothing runs yet.  `leave_seconds`: how long a stop waits for the broker and the
        database to let go of it.
        """
        self._outside = outside
        self._leave_seconds = leave_seconds
        self._host = socket.gethostname()
        self._stopping = threading.Event()
        self._service_heartbeat = ServiceHeartbeat(outside.repos.services, BINARY, host=self._host)
        options = conf[our_conf.GROUP]
        call = composition.calls_of(conf, outside)
        self._outages = outages.Outages(lambda error: faults.explain(error, _url(conf)))
        self._relays = self._relaying(conf, call)
        self._held_upgrades, self._held_checks = self._holdings(options.lease_seconds)
        self._recovery = self._recovering()
        nudge = functools.partial(self._nudge, manager.UPGRADE)
        self._watch = composition.watch_of(conf, outside, nudge, self._outages)
        self._greetings = greeting.Greetings(outside.repos.instances, outside.clock)
        self._scheduler = Scheduler(
            self._runs(conf, call),
            self._recovery.run_once,
            outside.clock,
            shares=composition.shares(conf),
            poll_seconds=options.taskmanager_poll_interval,
        )
        self._listeners = self._listening(conf)
        self._life = Repeater('signs-of-life', self._beat, options.service_report_interval)
        self._keeper = self._keeping(options.lease_seconds)
        self._repeaters = [*self._relays, *self._looks(options), self._life]

    def _relaying(self, conf: cfg.ConfigOpts, call: calls.Calls) -> list[Repeater]:
        relays = composition.relays_of(conf, self._outside, call, self._outages)
        interval = conf[our_conf.GROUP].outbox_interval
        return [
            Repeater(f'outbox-{name}', relay.run_once, interval) for name, relay in relays.items()
        ]

    def _recovering(self) -> recovery.Recovery:
        repos = self._outside.repos
        return recovery.Recovery(
            held=(repos.held_upgrades, repos.held_checks),
            has_ended=functools.partial(services.has_ended, host=self._host),
            upgrades=repos.upgrades,
            checks=repos.checks,
            put_upgrade=lambda turn: self._nudge(manager.UPGRADE, turn),
            put_check=lambda turn: self._nudge(manager.CHECK, turn),
            holds=recovery.Holds(repos.holds, lambda turn: self._nudge(manager.HOLD, turn)),
            outages=self._outages,
        )

    def _holdings(self, lease_seconds: float) -> tuple[holdings.Holdings, holdings.Holdings]:
        """Return the upgrades and the checks that this process holds, under the name by which it
        is registered: another on this host sees by that when it has ended.
        """
        outside, owner = self._outside, self._service_heartbeat.registration.place
        kept = outside.kept or KeptLeases.of(outside.repos.database)
        return (
            holdings.of_upgrades(kept.upgrades, outside.clock, owner, lease_seconds),
            holdings.of_checks(kept.checks, outside.clock, owner, lease_seconds),
        )

    def _keeping(self, lease_seconds: float) -> Repeater:
        kept = keeper.Keeper(
            held=(self._held_upgrades, self._held_checks),
            clock=self._outside.clock,
            outages=self._outages,
            lease_seconds=lease_seconds,
        )
        return Repeater('leases', kept.keep, kept.interval_seconds)

    def _runs(self, conf: cfg.ConfigOpts, call: calls.Calls) -> dict[str, Run]:
        """Return what carries out each kind of work."""
        checks = CheckRunner(
            checks=self._outside.repos.checks,
            preflight=composition.preflight_of(conf, self._outside),
            calls=call,
            pause=self._pause,
            holdings=self._held_checks,
            timeout_seconds=_CHECK_SECONDS,
            guests=self._outside.repos.guests,
            outages=self._outages,
        )
        return {
            manager.UPGRADE: self._runner(conf, call).run,
            manager.CHECK: checks.run,
            manager.HEAL: composition.healer_of(conf, self._outside, call, self._outages).run,
            manager.HOLD: self._hold_watch().run,
            manager.GREET: greeting.Greeter(self._outside.agent, self._outages).run,
        }

    def _hold_watch(self) -> HoldWatch:
        outside = self._outside
        return HoldWatch(
            upgrades=outside.repos.upgrades,
            actions=outside.repos.actions,
            held=outside.repos.holds,
            clock=outside.clock,
            put_upgrade=lambda turn: self._nudge(manager.UPGRADE, turn),
            on_event=self._wake_relays,
            outages=self._outages,
            metrics=outside.metrics,
        )

    def _runner(self, conf: cfg.ConfigOpts, call: calls.Calls) -> Runner:
        options, held = conf[our_conf.GROUP], self._held_upgrades
        fenced = FencedGuest(self._outside.agent, held)
        outside = dataclasses.replace(self._outside, agent=fenced)
        preflight = composition.preflight_of(conf, outside)
        hold, older = composition.guest_hold(conf), composition.older_taskmanager_of(outside)
        return Runner(
            upgrades=outside.repos.upgrades,
            instances=outside.repos.instances,
            steps=composition.steps(conf, outside, preflight, call, held, self._watch.rest),
            undo=undo.Undo(
                agent=outside.agent,
                calls=call,
                timeout_seconds=options.undo_timeout,
                hold_seconds=hold,
            ),
            held=outside.repos.holds,
            clock=outside.clock,
            holdings=held,
            step_runner=composition.step_runner_of(conf, outside),
            endings=Endings(
                upgrades=outside.repos.upgrades,
                held=outside.repos.held_upgrades,
                writes_service_status=options.write_service_status,
                on_event=self._wake_relays,
                metrics=outside.metrics,
            ),
            metrics=outside.metrics,
            rolls_back=options.rollback_on_failure,
            tells_openings=lambda: older() is None,
            longest_hold_seconds=options.longest_hold,
            is_stopping=self._stopping.is_set,
            outages=self._outages,
        )

    def _listening(self, conf: cfg.ConfigOpts) -> list[Listener]:
        repos = self._outside.repos
        endpoint = manager.TaskManager(
            repos.upgrades,
            repos.checks,
            repos.guests,
            self._nudge,
            self._recovery.run_once,
            composition.sealed_reports_of(conf, self._outside, self._greet),
        )
        refused = self._outside.metrics.call_refused
        return [
            *(
                Listener.of_rpc(conf, at, self._host, endpoint, refused=refused)
                for at in place.of_taskmanagers(conf)
            ),
            *nova_notifications.listeners(conf, self._host, self._watch.told),
        ]

    def _looks(self, options: cfg.ConfigOpts) -> list[Repeater]:
        """Return what looks at the cloud again and again."""
        servers = Repeater('servers', self._watch.look, options.compute_poll_interval)
        network, repos, nova = self._outside.network, self._outside.repos, self._outside.nova
        if network is None:
            return [servers]
        look = openings_left.watch(network, repos.openings, repos.instances, nova, self._outages)
        return [servers, Repeater('openings-left', look, options.bridge_reap_interval)]

    def expose(self, address: str, count: Callable[[], Mapping[states.UpgradeState, int]]) -> None:
        """Serve the figures from now until the stop; `count` counts the upgrades by state.

        :raises MetricsAddressUnusable: the address cannot be used.
        """
        metrics = self._outside.metrics
        if isinstance(metrics, PrometheusMetrics):
            metrics.watch_drops(self._outside.drops)
            counted = Bounded('The database', count, self._outside.clock.monotonic)
            metrics.watch_upgrades(counted.answer, self._outages)
            self._exposition = expositions.Exposition(metrics.registry, address)

    def start(self) -> None:
        """Begin to work.  A broker or database that is away is tried again for ever; rows are
        worked on without nudges, too.
        """
        LOG.info(
            'Taskmanager %s on %s starts', self._service_heartbeat.registration.version, self._host
        )
        self._keeper.start()
        self._scheduler.start()
        for repeater in self._repeaters:
            repeater.start()
        for listener in self._listeners:
            listener.start()

    def stop(self) -> None:
        """Let go of what waits, finish what runs.  What is cut short is found again
        when its lease has run out.

        A broker or a database that is away does not hold it up: it ends within `_STOP_SECONDS` and
        `leave_seconds`.
        """
        LOG.info('Taskmanager on %s stops', self._host)
        self._stopping.set()
        if self._exposition is not None:
            self._exposition.close()
        for listener in self._listeners:
            listener.stop()
        until = self._outside.clock.monotonic() + _STOP_SECONDS
        for repeater in self._repeaters:
            repeater.stop(0)
        self._scheduler.stop(_STOP_SECONDS)
        self._keeper.stop(0)  # not sooner: what runs is held to its end
        for repeater in self._repeaters:
            repeater.stop(max(0.0, until - self._outside.clock.monotonic()))
        self._leave()

    def _leave(self) -> None:
        """Let go of broker and database, each in a thread: a call to one that is away may last as
        long as its driver likes.
        """
        leaving = [
            threading.Thread(target=leave, name=name, daemon=True)
            for name, leave in (
                ('leave-database', self._deregister),
                *(('leave-broker', listener.leave) for listener in self._listeners),
            )
        ]
        for thread in leaving:
            thread.start()
        until = self._outside.clock.monotonic() + self._leave_seconds
        for thread in leaving:
            thread.join(max(0.0, until - self._outside.clock.monotonic()))
        if leaving[0].is_alive():
            LOG.warning(
                'The database gives no answer: %s stays listed in upgrade_services until its '
                'process is seen to have ended, or "trove-upgrade-manage service forget %s"',
                BINARY,
                self._service_heartbeat.registration.id,
            )

    def _nudge(self, kind: str, turn: Turn) -> None:
        self._scheduler.nudge(kind, turn)

    def _greet(self, instance_id: str) -> None:
        turn = self._greetings.turn(instance_id)
        if turn is not None:
            self._nudge(manager.GREET, turn)

    def _wake_relays(self) -> None:
        for relay in self._relays:
            relay.wake()

    def _pause(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def _beat(self) -> None:
        """Write a sign of life, and log every error: it is the edge of a thread."""
        self._outside.drops.tell()
        try:
            self._service_heartbeat.beat()
        except Exception as error:  # noqa: BLE001 - see above; `outages` logs it
            self._outages.met(_SIGN, error)
        else:
            self._outages.over(_SIGN)

    def _deregister(self) -> None:
        try:
            self._service_heartbeat.leave(composition.MARGIN_SECONDS)
        except Exception as error:  # noqa: BLE001 - the edge of a process that ends
            LOG.warning(
                (
                    '%s could not be removed from upgrade_services: %s. It is listed there until '
                    '"trove-upgrade-manage service forget %s"'
                ),
                BINARY,
                _said(error),
                self._service_heartbeat.registration.id,
            )


def _url(conf: cfg.ConfigOpts) -> str | None:
    url: str | None = conf.database.connection
    return url


def _said(error: Exception) -> str:
    known = faults.explain(error)
    return (f'{known.code}: {known.message}' if known else str(error)).rstrip('.')


def compose(
    conf: cfg.ConfigOpts, wrap: Callable[[Ports], Ports] = lambda outside: outside
) -> Service:
    """A service that is ready to start; `wrap` is for a test's own entry point.  Raises as
    `ports_from_conf` and `Service.expose`.
    """
    made = Service(conf, wrap(ports_from_conf(conf)))
    address = conf[our_conf.GROUP].metrics_bind
    if address is not None:
        # a scrape waits for no server that is away, and none that hangs is asked for ever
        database = ImpatientDatabase(conf, Bounds())
        made.expose(address, UpgradeFigures(database).by_state)
    return made
