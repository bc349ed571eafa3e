# SPDX-License-Identifier: Apache-2.0
"""Composes a taskmanager from its ports, starts its threads, and stops them."""

import dataclasses
import functools
import socket
import threading
import time
import uuid
from collections.abc import Callable

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import session
from trove_upgrade.clients.glance import Glance
from trove_upgrade.clients.nova import Nova
from trove_upgrade.conf import guest_keys as guest_keys_conf
from trove_upgrade.db import engine, faults, installation, services
from trove_upgrade.db.migrations import gate
from trove_upgrade.db.presence import Presence
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.domain import logs, ports, states, versions
from trove_upgrade.domain.drops import Drops
from trove_upgrade.domain.turn import Turn
from trove_upgrade.rpc import place
from trove_upgrade.rpc.guest_queues import GuestQueues
from trove_upgrade.rpc.guestagent import GuestAgentAPI
from trove_upgrade.rpc.listener import Listener
from trove_upgrade.rpc.notifier import MessagingNotifier
from trove_upgrade.taskmanager import greeting, guest_options, manager, outages
from trove_upgrade.taskmanager.checks import CheckRunner
from trove_upgrade.taskmanager.clock import SystemClock
from trove_upgrade.taskmanager.fair_queue import Shares
from trove_upgrade.taskmanager.guest_files import GuestFiles
from trove_upgrade.taskmanager.healing import Healer
from trove_upgrade.taskmanager.key_delivery import KeyDelivery
from trove_upgrade.taskmanager.outbox import FINISH, NOTIFICATIONS, Relay
from trove_upgrade.taskmanager.preflight import Preflight
from trove_upgrade.taskmanager.recovery import Recovery
from trove_upgrade.taskmanager.repeater import Repeater
from trove_upgrade.taskmanager.runner import Runner
from trove_upgrade.taskmanager.scheduler import Scheduler
from trove_upgrade.taskmanager.sealed_reports import SealedReports
from trove_upgrade.taskmanager.steps import (
    boot,
    calls,
    outcome,
    precheck,
    quiesce,
    rebuild,
    restore,
    undo,
    verify,
)

LOG = logs.get_logger(__name__)

BINARY = services.TASKMANAGER

#: Beyond the time-outs of what a step asks, for our own work and the database.
_MARGIN_SECONDS = 15.0
#: From SIGTERM to the end in all, whatever is away: less than the 90 s after which systemd kills.
_STOP_SECONDS = 60.0
_LEAVE_SECONDS = 15.0
_BROKER_SECONDS = 5.0
_SIGN = 'The sign of life could not be written'
_CHECK_SECONDS = 120.0
#: One in so many workers runs checks, which wait for guests: whoever asks for thousands delays
#: nobody's upgrade.
_CHECKS_SHARE = 4


@dataclasses.dataclass(frozen=True)
class Ports:
    """What is outside.  A test hands in others, or wraps these."""

    repos: Repositories
    nova: ports.Compute
    images: ports.Images
    agent: ports.Guest
    notifier: ports.Notifier
    clock: ports.Clock
    rules: versions.Rules
    broker: ports.GuestBroker | None = None
    drops: Drops = dataclasses.field(default_factory=lambda: Drops(time.monotonic))


def ports_from_conf(conf: cfg.ConfigOpts) -> Ports:
    """The real ones.  Nothing is connected yet.

    :raises DatabaseRefused: the database is one that several processes cannot share.
    :raises RulesError: the operator's version rules are not of the right form.
    :raises CredentialsIncomplete: the service user cannot log in.
    :raises TransportInvalid: `transport_url` or `guest_transport_url` cannot be understood.
    """
    engine.require_server_database(conf, BINARY)
    session.require(conf)
    clock = SystemClock()
    options = conf[our_conf.GROUP]
    repos = Repositories.from_conf(conf, takeover_grace_seconds=post_seconds(conf))
    drops = Drops(clock.monotonic)
    return Ports(
        repos=repos,
        nova=Nova.from_conf(conf),
        images=Glance.from_conf(conf),
        agent=GuestAgentAPI.from_conf(conf, keys=repos.guest_keys, drops=drops),
        notifier=MessagingNotifier.from_conf(conf, host=socket.gethostname(), now=clock.now),
        clock=clock,
        rules=versions.Rules.load(options.version_rules_file),
        broker=GuestQueues(conf, _BROKER_SECONDS),
        drops=drops,
    )


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


def post_seconds(conf: cfg.ConfigOpts) -> float:
    """The whole deadline of one POST to Nova: the time-out holds for the connect and for the
    answer, each by itself.
    """
    return 2 * float(conf[our_conf.GROUP].compute_timeout) + 5


class Service:
    """One process: RPC servers, scheduler, relays, signs of life."""

    def __init__(
        self, conf: cfg.ConfigOpts, outside: Ports, leave_seconds: float = _LEAVE_SECONDS
    ) -> None:
        """Compose; nothing runs yet.  `leave_seconds`: how long a stop waits for the broker and the
        database to let go of it.
        """
        self._conf = conf
        self._outside = outside
        self._leave_seconds = leave_seconds
        self._host = socket.gethostname()
        self._stopping = threading.Event()
        self._presence = Presence(outside.repos.services, BINARY, host=self._host)
        options = conf[our_conf.GROUP]
        call = _calls(conf, outside)
        preflight = Preflight(
            outside.repos.instances,
            outside.repos.datastores,
            outside.nova,
            outside.images,
            outside.agent,
            outside.rules,
            guest_files_of(conf, outside),
            key_delivery_of(conf, outside),
            outside.broker,
        )
        self._outages = outages.Outages(lambda error: faults.explain(error, _url(conf)))
        self._relays = [
            Repeater(f'outbox-{name}', relay.look, options.outbox_interval)
            for name, relay in _relays(conf, outside, call, self._outages).items()
        ]
        owner = f'{self._host}:{uuid.uuid4()}'
        runner = Runner(
            upgrades=outside.repos.upgrades,
            instances=outside.repos.instances,
            guests=outside.repos.guests,
            steps=steps(conf, outside, preflight, call),
            undo=undo.Undo(outside.agent, call, options.undo_timeout, _guest_hold(conf)),
            clock=outside.clock,
            owner=owner,
            lease_seconds=options.lease_seconds,
            writes_service_status=options.write_service_status,
            rolls_back=options.rollback_on_failure,
            on_event=self._wake_relays,
            is_stopping=self._stopping.is_set,
            outages=self._outages,
            longest_rest_seconds=options.longest_rest,
        )
        checks = CheckRunner(
            outside.repos.checks,
            preflight,
            call,
            pause=self._pause,
            owner=owner,
            timeout_seconds=_CHECK_SECONDS,
            guests=outside.repos.guests,
            outages=self._outages,
        )
        healer = Healer(
            outside.repos.upgrades,
            outside.repos.guests,
            outside.agent,
            call,
            options.restore_timeout,
            self._outages,
            options.longest_rest,
        )
        recovery = Recovery(
            outside.repos.upgrades,
            outside.repos.checks,
            put_upgrade=lambda turn: self._nudge(manager.UPGRADE, turn),
            put_check=lambda turn: self._nudge(manager.CHECK, turn),
            outages=self._outages,
        )
        self._greetings = greeting.Greetings(outside.repos.instances, outside.clock)
        greeter = greeting.Greeter(outside.agent, self._outages)
        self._scheduler = Scheduler(
            {
                manager.UPGRADE: runner.run,
                manager.CHECK: checks.run,
                manager.HEAL: healer.run,
                manager.GREET: greeter.run,
            },
            recovery.look,
            outside.clock,
            shares=shares(conf),
            poll_seconds=options.taskmanager_poll_interval,
        )
        endpoint = manager.TaskManager(
            outside.repos.upgrades,
            outside.repos.checks,
            outside.repos.guests,
            self._nudge,
            recovery.look,
            sealed_reports_of(conf, outside, self._greet),
        )
        self._listeners = [
            Listener(conf, at, self._host, endpoint) for at in place.of_taskmanagers(conf)
        ]
        self._life = Repeater('signs-of-life', self._beat, options.service_report_interval)

    def start(self) -> None:
        """Begin to work.  A broker or database that is away is tried again for ever; rows are
        worked on without nudges, too.
        """
        LOG.info('Taskmanager %s on %s starts', self._presence.registration.version, self._host)
        self._scheduler.start()
        for repeater in (*self._relays, self._life):
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
        for listener in self._listeners:
            listener.stop()
        until = self._outside.clock.monotonic() + _STOP_SECONDS
        repeaters = (*self._relays, self._life)
        for repeater in repeaters:
            repeater.stop(0)
        self._scheduler.stop(_STOP_SECONDS)
        for repeater in repeaters:
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
                self._presence.registration.id,
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
        """Never raises: the edge of a thread."""
        self._outside.drops.tell()
        try:
            self._presence.beat()
        except Exception as error:  # noqa: BLE001 - see above; `outages` logs it
            self._outages.met(_SIGN, error)
        else:
            self._outages.over(_SIGN)

    def _deregister(self) -> None:
        try:
            self._presence.leave(_MARGIN_SECONDS)
        except Exception as error:  # noqa: BLE001 - the edge of a process that ends
            LOG.warning(
                (
                    '%s could not be removed from upgrade_services: %s. It is listed there until '
                    '"trove-upgrade-manage service forget %s"'
                ),
                BINARY,
                _said(error),
                self._presence.registration.id,
            )


def shares(conf: cfg.ConfigOpts) -> Shares:
    """Workers that each may have."""
    options = conf[our_conf.GROUP]
    workers = options.taskmanager_workers
    return Shares.of_percent(
        workers,
        slow=options.slow_workers_percent,
        project=options.project_workers_percent,
        kinds={manager.CHECK: max(1, workers // _CHECKS_SHARE)},
    )


def _calls(conf: cfg.ConfigOpts, outside: Ports) -> calls.Calls:
    options = conf[our_conf.GROUP]
    return calls.Calls(
        outside.repos.datastores,
        outside.clock,
        guest_options.from_conf(options),
        poll_seconds=options.guest_poll_interval,
        poll_max_seconds=options.guest_poll_max_interval,
        call_timeout_seconds=options.guest_call_timeout,
    )


def _url(conf: cfg.ConfigOpts) -> str | None:
    url: str | None = conf.database.connection
    return url


def _said(error: Exception) -> str:
    known = faults.explain(error)
    return (f'{known.code}: {known.message}' if known else str(error)).rstrip('.')


def _relays(
    conf: cfg.ConfigOpts, outside: Ports, call: calls.Calls, met: outages.Outages
) -> dict[str, Relay]:
    kinds: dict[str, frozenset[str]] = {
        'notifications': NOTIFICATIONS,
        'guests': frozenset({FINISH}),
    }
    return {
        name: Relay(
            outside.repos.outbox,
            outside.repos.upgrades,
            outside.notifier,
            outside.agent,
            call,
            kinds=some,
            retry_seconds=conf[our_conf.GROUP].outbox_retry_interval,
            outages=met,
        )
        for name, some in kinds.items()
    }


def guest_files_of(conf: cfg.ConfigOpts, outside: Ports) -> GuestFiles:
    """Renders user data as the operator chose."""
    options = conf[our_conf.GROUP]
    return GuestFiles(
        outside.repos.instances,
        outside.repos.datastores,
        options.guest_config_file,
        options.guest_topic_prefix,
    )


def key_delivery_of(conf: cfg.ConfigOpts, outside: Ports) -> KeyDelivery:
    """Decides on guests' keys as the operator chose."""
    return KeyDelivery(
        outside.repos.guest_keys,
        outside.repos.datastores,
        functools.partial(gate.older_taskmanager, outside.repos.services),
        is_off=conf[our_conf.GROUP].guest_rpc_security == guest_keys_conf.OFF,
    )


def sealed_reports_of(
    conf: cfg.ConfigOpts, outside: Ports, greet: Callable[[str], None]
) -> SealedReports:
    """Believes of guests' reports what the operator chose."""
    security = conf[our_conf.GROUP].guest_rpc_security
    return SealedReports(
        outside.repos.guest_keys,
        outside.drops,
        greet,
        functools.partial(gate.older_taskmanager, outside.repos.services),
        is_required=security == guest_keys_conf.REQUIRED,
        is_off=security == guest_keys_conf.OFF,
    )


def _guest_hold(conf: cfg.ConfigOpts) -> float:
    """A sealed call may be made twice: for the start of the agent that the first one has told."""
    return 2 * float(conf[our_conf.GROUP].guest_call_timeout) + _MARGIN_SECONDS


def steps(
    conf: cfg.ConfigOpts, outside: Ports, preflight: Preflight, call: calls.Calls
) -> dict[states.Step, outcome.Step]:
    """All six, with their time-outs."""
    options = conf[our_conf.GROUP]
    repos, agent, guest_hold, post = (
        outside.repos,
        outside.agent,
        _guest_hold(conf),
        post_seconds(conf),
    )
    reads = (
        4 * float(options.compute_timeout) + _MARGIN_SECONDS
    )  # precheck: server, limits, versions, image; the broker
    return {
        states.Step.PRECHECK: precheck.Precheck(
            preflight, call, options.precheck_timeout, guest_hold + reads
        ),
        states.Step.QUIESCE: quiesce.Quiesce(
            agent, repos.instances, call, options.quiesce_timeout, guest_hold
        ),
        states.Step.REBUILD: rebuild.Rebuild(
            outside.nova,
            agent,
            repos.instances,
            repos.datastores,
            guest_files_of(conf, outside),
            key_delivery_of(conf, outside),
            call,
            poll_seconds=options.compute_poll_interval,
            post_seconds=post,
            limit=options.rebuild_limit,
            timeout_seconds=options.rebuild_timeout,
            hold_seconds=guest_hold + post,
        ),
        states.Step.BOOT: boot.Boot(
            repos.guests,
            repos.guest_keys,
            options.compute_poll_interval * 2,
            options.boot_timeout,
            _MARGIN_SECONDS,
            takes_unsealed=options.guest_rpc_security != guest_keys_conf.REQUIRED,
        ),
        states.Step.RESTORE: restore.Restore(
            agent, repos.guests, repos.instances, call, options.restore_timeout, guest_hold
        ),
        states.Step.VERIFY: verify.Verify(
            agent,
            repos.guests,
            repos.instances,
            call,
            options.verify_timeout,
            guest_hold,
            status_seconds=0.0 if options.write_service_status else options.service_status_timeout,
        ),
    }


def compose(
    conf: cfg.ConfigOpts, wrap: Callable[[Ports], Ports] = lambda outside: outside
) -> Service:
    """A service that is ready to start; `wrap` is for a test's own entry point.  Raises as
    `ports_from_conf`.
    """
    return Service(conf, wrap(ports_from_conf(conf)))
