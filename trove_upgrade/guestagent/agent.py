# SPDX-License-Identifier: Apache-2.0
"""Composes the agent of a guest: jobs, endpoint, heartbeats; and starts and stops them in the right
order.
"""

import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import Any

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.domain import guests, logs
from trove_upgrade.domain.drops import Drops
from trove_upgrade.domain.guests import Method
from trove_upgrade.guestagent.heartbeat import Heartbeats
from trove_upgrade.guestagent.jobs.job import Body, Jobs
from trove_upgrade.guestagent.jobs.journal import Journal
from trove_upgrade.guestagent.machine.progress import Progress
from trove_upgrade.guestagent.manager import GuestManager
from trove_upgrade.guestagent.sealing.held_key import HeldKey
from trove_upgrade.guestagent.sealing.reports import Reports
from trove_upgrade.guestagent.sealing.seal import Seal
from trove_upgrade.guestagent.sealing.sequence import Sequence
from trove_upgrade.guestagent.trove import trove_agent_control
from trove_upgrade.guestagent.upgrade import (
    check,
    finish,
    quiesce,
    restore,
    undo,
    verify,
    work,
)
from trove_upgrade.guestagent.upgrade.stash_expiry import StashExpiry
from trove_upgrade.rpc import taskmanager, transport

LOG = logs.get_logger(__name__)

_FLOWS: dict[str, Callable[[work.Work], work.JobOutcome]] = {
    Method.CHECK_UPGRADE: check.check,
    Method.PRE_UPGRADE: quiesce.quiesce,
    Method.ABORT_UPGRADE: undo.abort,
    Method.POST_UPGRADE: restore.restore,
    Method.VERIFY_UPGRADE: verify.verify,
    Method.FINISH_UPGRADE: finish.finish,
}


def keep_closed(own: work.Guest) -> None:
    """Keep clients from a database that an agent before this one has not opened.  Logs every error:
    calls are served all the same.
    """
    try:
        own.driver.keep_closed()
    except Exception:
        LOG.exception('It cannot be told whether clients are kept from the database')


def bodies(own: work.Guest) -> dict[str, Body]:
    """Return what each method of the RPC API runs as a job."""

    def body(
        flow: Callable[[work.Work], work.JobOutcome], call: guests.GuestCall, progress: Progress
    ) -> work.JobOutcome:
        return flow(work.Work(own, call, progress))

    return {method: functools.partial(body, flow) for method, flow in _FLOWS.items()}


def compose_seal(
    conf: cfg.ConfigOpts, own: work.Guest, on_change: Callable[[], None] = lambda: None
) -> Seal:
    """The seal of this start of the agent; `on_change` is called when it has read another key."""
    return Seal(
        HeldKey(own.layout, own.instance_id, conf.instance_rpc_encr_key, on_change),
        lambda key_id: Sequence(own.layout.sequence(key_id)),
        Drops(own.clock.monotonic),
        own.clock.monotonic,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agent:
    """Parts of a guest agent, put together: they start and stop as one."""

    jobs: Jobs
    heartbeats: Heartbeats
    stash_expiry: StashExpiry
    keep_closed: Callable[[], None]
    trove_agent: trove_agent_control.TroveAgentControl
    manager: GuestManager
    server: Any  #: oslo.messaging's
    served: threading.Event = dataclasses.field(default_factory=threading.Event)

    def start(self) -> None:
        """Returns when calls are served, which can take until there is a broker; what was
        interrupted goes on at once.
        """
        self.keep_closed()
        self.trove_agent.resume()
        self.heartbeats.start()
        self.stash_expiry.start()
        threading.Thread(target=self.jobs.resume, name='resume', daemon=True).start()
        self.server.start()
        self.served.set()

    def stop(self) -> None:
        """Stop the threads, in a process that goes on; `cmd.guestagent` just ends. A job that runs
        is left to the journal.
        """
        if self.served.is_set():  # a server that was never started would wait for that
            self.server.stop()
        self.heartbeats.stop()
        self.stash_expiry.stop()


def compose(conf: cfg.ConfigOpts, own: work.Guest) -> Agent:
    """All of it, from configuration that has been read.  Nothing is started."""
    options = conf[our_conf.GROUP]
    rpc_transport = transport.get_guest_transport(conf)
    client = taskmanager.TaskManagerAPI.from_conf(conf, rpc_transport)
    wakers: list[Callable[[], None]] = []

    def wake() -> None:
        for waker in wakers:
            waker()

    journal = Journal(own.layout.jobs)
    jobs = Jobs(journal, bodies(own), own.clock, on_change=wake)
    seal = compose_seal(conf, own, wake)
    send = Reports(seal, client).send
    heartbeats = Heartbeats(own, send, jobs.busy, options.heartbeat_interval)
    stash_expiry = StashExpiry(own)
    wakers += [heartbeats.wake, stash_expiry.wake]
    manager = GuestManager(own, jobs, journal, seal, options.guest_join_seconds, heartbeats.wake)
    target = transport.guest_target(conf, own.instance_id)
    server = transport.get_server(rpc_transport, target, [manager])
    _log_identity(conf, own)
    return Agent(
        jobs=jobs,
        heartbeats=heartbeats,
        stash_expiry=stash_expiry,
        keep_closed=functools.partial(keep_closed, own),
        trove_agent=own.trove_agent,
        manager=manager,
        server=server,
    )


def _log_identity(conf: cfg.ConfigOpts, own: work.Guest) -> None:
    LOG.info(
        'Guest agent %s of instance %s, datastore manager %s',
        own.agent_version,
        own.instance_id,
        own.driver.manager,
    )
    LOG.debug(
        'Its configuration is read from %s', [*(conf.config_dir or []), *(conf.config_file or [])]
    )
