# SPDX-License-Identifier: Apache-2.0
"""Composes the agent: ports, jobs, endpoint, heartbeats; and starts and stops them in the right
order.
"""

import dataclasses
import functools
import json
import pathlib
import threading
from collections.abc import Callable
from importlib import metadata
from typing import Any

from oslo_config import cfg

from trove_upgrade import clock as clock_module
from trove_upgrade import conf as our_conf
from trove_upgrade.conf import guestagent as guestagent_conf
from trove_upgrade.conf import messaging
from trove_upgrade.domain import exceptions, guests, logs, markers
from trove_upgrade.domain.drops import Drops
from trove_upgrade.domain.guests import Method
from trove_upgrade.guestagent.datastores import base, factory
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.mysql_family.hosts.container_host import Containers
from trove_upgrade.guestagent.heartbeat import Heartbeats
from trove_upgrade.guestagent.jobs.job import Body, Jobs
from trove_upgrade.guestagent.jobs.journal import Journal
from trove_upgrade.guestagent.machine import commands as commands_module
from trove_upgrade.guestagent.machine import (
    identity,
    metadata_address,
    packet_filter,
    processors,
    service,
)
from trove_upgrade.guestagent.machine.agent_services import AgentServices, Processes
from trove_upgrade.guestagent.machine.containers import docker_engine, http
from trove_upgrade.guestagent.machine.containers.login import RegistryLogin
from trove_upgrade.guestagent.machine.progress import Progress
from trove_upgrade.guestagent.manager import GuestManager
from trove_upgrade.guestagent.sealing.held_key import HeldKey
from trove_upgrade.guestagent.sealing.reports import Reports
from trove_upgrade.guestagent.sealing.seal import Seal
from trove_upgrade.guestagent.sealing.sequence import Sequence
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.storage.stash.accounts import SystemAccounts
from trove_upgrade.guestagent.storage.volume import Volume
from trove_upgrade.guestagent.trove import (
    old_agent,
    refusing_server,
    trove_agent,
    trove_agent_control,
)
from trove_upgrade.guestagent.upgrade import (
    carried_image,
    check,
    finish,
    quiesce,
    restore,
    undo,
    verify,
    work,
)
from trove_upgrade.guestagent.upgrade.marks import Mark, Marks
from trove_upgrade.guestagent.upgrade.stash_expiry import StashExpiry
from trove_upgrade.rpc import taskmanager, transport

LOG = logs.get_logger(__name__)
#: Distributions that bring the agent.
_OF_GUESTS, _WHOLE = 'trove-upgrade-guest', 'trove-upgrade'

_FLOWS: dict[str, Callable[[work.Work], work.JobOutcome]] = {
    Method.CHECK_UPGRADE: check.check,
    Method.PRE_UPGRADE: quiesce.quiesce,
    Method.ABORT_UPGRADE: undo.abort,
    Method.POST_UPGRADE: restore.restore,
    Method.VERIFY_UPGRADE: verify.verify,
    Method.FINISH_UPGRADE: finish.finish,
}


class NotAGuest(exceptions.TroveUpgradeError):
    """The agent has not been told the id of its instance."""

    code = 'NOT_A_GUEST'
    template = (
        'The guest agent cannot start: its configuration names no {missing} in [DEFAULT]. '
        'See that user data writes guest_info.conf and that --config-dir names its directory.'
    )


def prefetch(own: work.Guest) -> None:
    """Get a head start on a root disk that an upgrade has booted and nothing has been restored on.
    Logs every error: it is the edge of its thread.
    """
    marker = own.marker()
    if marker is None or own.marks.has(Mark.RESTORED, markers.upgrade_of(marker)):
        return
    # a volume that cannot be looked at takes the registry's head start from none
    for bring in (functools.partial(carried_image.head_start, own), own.driver.prefetch):
        try:
            with own.awake():
                bring()
        except exceptions.TroveUpgradeError as error:
            LOG.info(
                'What the restore needs is not here yet, it brings it itself: %s', error.message
            )
        except Exception:
            LOG.exception('What the restore needs could not be brought here ahead of it')


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


def keep_apart(conf: cfg.ConfigOpts, services: service.ServicePort) -> None:
    """A topic of our own where Trove's agent is in the guest and the configuration would have both
    listen on one.

    It has been seen: ours took the `prepare` of a new instance, which then was in BUILD for ever.
    Another exchange does not help, as the name of the queue is the same.
    """
    options = conf[our_conf.GROUP]
    if options.guest_topic_prefix != options.trove_agent_topic_prefix:
        return
    installed = [name for name in options.trove_agent_services if services.exists(name)]
    if installed:
        LOG.warning(
            'Trove\'s agent (%s) is in this guest and guest_topic_prefix is its own, "%s": this '
            'agent listens on "%s<instance id>" instead. Set [trove_upgrade] guest_topic_prefix '
            'in the configuration that Trove gives to its guests.',
            ', '.join(installed),
            options.guest_topic_prefix,
            messaging.PREFIX_BESIDE_TROVE,
        )
        conf.set_override('guest_topic_prefix', messaging.PREFIX_BESIDE_TROVE, group=our_conf.GROUP)


def version() -> str:
    """Return the version of the distribution that has brought the agent.

    :raises importlib.metadata.PackageNotFoundError: none has.
    """
    try:
        return metadata.version(_OF_GUESTS)
    except metadata.PackageNotFoundError:
        return metadata.version(_WHOLE)


def compose_guest(conf: cfg.ConfigOpts, layout: Layout) -> work.Guest:
    """The guest with its real ports.

    :raises NotAGuest: the configuration does not say which one.
    """
    for name in ('guest_id', 'datastore_manager'):
        if not conf[name]:
            raise NotAGuest(missing=name)
    options, clock = conf[our_conf.GROUP], clock_module.SystemClock()
    commands = commands_module.SystemCommands()
    layout = dataclasses.replace(layout, mount_point=factory.mount_point(conf.datastore_manager))
    context, services = _driver_context(layout, clock), service.detect(commands, layout.root)
    runtime = factory.runtime(options.database_runtime, context, services)
    LOG.info('%s', runtime)
    others = _others(conf, layout, commands, services, runtime)
    containers = _containers(conf, clock, others) if runtime.in_container else None
    packets, manager = packet_filter.Either(commands), conf.datastore_manager
    driver = factory.driver(manager, context, services, containers, others, packets)
    driver.runs_as = str(runtime)
    return work.Guest(
        instance_id=conf.guest_id,
        agent_version=version(),
        boot_id=identity.boot_id,
        marker=functools.partial(identity.read_marker, layout.marker),
        layout=layout,
        clock=clock,
        volume=Volume(layout, commands, clock, options.volume_mount_options),
        service=services,
        driver=driver,
        marks=Marks(layout),
        accounts=SystemAccounts(),
        settings=_settings(options),
        trove_agent=others,
        carried=functools.partial(identity.read_archive, layout.marker),
        metadata=metadata_address.GuestFirewall(commands),
        awake=functools.partial(processors.awake, options.processors_awake_seconds),
    )


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


def _settings(options: cfg.ConfigOpts.GroupAttr) -> work.Settings:
    return work.Settings(
        volume_wait_seconds=options.volume_wait_seconds,
        volume_margin_bytes=options.volume_margin_mb << 20,
        stash_keep_hours=options.stash_keep_hours,
    )


def _driver_context(layout: Layout, clock: clock_module.SystemClock) -> base.DriverContext:
    return base.DriverContext(
        volume=layout.volume,
        data_directory=layout.data_directory,
        etc=layout.etc,
        run=layout.run,
        image_facts=_image_facts(layout),
        now=clock.now,
        monotonic=clock.monotonic,
    )


def _others(
    conf: cfg.ConfigOpts,
    layout: Layout,
    commands: commands_module.Commands,
    services: service.ServicePort,
    runtime: factory.Runtime,
) -> trove_agent_control.TroveAgentControl:
    """Trove's own agent, unless this one is in its place."""
    options = conf[our_conf.GROUP]
    prefix = options.trove_agent_topic_prefix
    if prefix == options.guest_topic_prefix:
        return trove_agent_control.NoTroveAgent()
    refusing = refusing_server.RefusingServer(
        functools.partial(refusing_server.server, conf, prefix, conf.guest_id)
    )
    agents = AgentServices(services, Processes(proc=layout.root / 'proc'))
    if not runtime.in_container:
        return old_agent.OldAgent(layout, agents, refusing, options.trove_agent_services)
    return trove_agent.TroveAgent(
        layout,
        agents,
        refusing,
        trove_agent.ProgramReporter(
            commands, pathlib.Path(options.trove_agent_program), layout.configuration_directory
        ),
        options.trove_agent_services,
    )


def _containers(
    conf: cfg.ConfigOpts,
    clock: clock_module.SystemClock,
    others: trove_agent_control.TroveAgentControl,
) -> Containers:
    """Return what it takes to run the server in a container."""
    conf.register_opts(guestagent_conf.IMAGE_OPTS, group=conf.datastore_manager)
    conf.register_opts(guestagent_conf.REGISTRY_OPTS, group=guestagent_conf.REGISTRY_GROUP)
    registry = conf[guestagent_conf.REGISTRY_GROUP]
    login = None
    if registry.container_registry:
        login = RegistryLogin(
            registry.container_registry,
            registry.container_registry_username or '',
            registry.container_registry_password or '',
        )
    return Containers(
        engine=docker_engine.DockerEngine(
            http.UnixTransport(docker_engine.SOCKET), clock, login=login
        ),
        repository=conf[conf.datastore_manager].docker_image or conf.datastore_manager,
        trove_agent=others,
        backup_repository=conf[conf.datastore_manager].backup_docker_image,
        number=conf.datastore_version,
        repositories=(
            *conf[our_conf.GROUP].container_repositories,
            *conf[our_conf.GROUP].upgrade_container_repositories,
        ),
    )


def _image_facts(layout: Layout) -> ImageFacts:
    try:
        facts = json.loads(layout.image_facts.read_bytes())
    except FileNotFoundError:
        return ImageFacts()
    return ImageFacts.from_json(dict(facts))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agent:
    """Parts of a guest agent, put together: they start and stop as one."""

    jobs: Jobs
    heartbeats: Heartbeats
    stash_expiry: StashExpiry
    prefetch: Callable[[], None]
    keep_closed: Callable[[], None]
    trove_agent: trove_agent_control.TroveAgentControl
    manager: GuestManager
    server: Any  #: oslo.messaging's
    served: threading.Event = dataclasses.field(default_factory=threading.Event)

    def start(self) -> None:
        """Returns when calls are served, which can take until there is a broker; what was
        interrupted goes on at once.
        """
        threading.Thread(target=self.prefetch, name='prefetch', daemon=True).start()
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


def compose(
    conf: cfg.ConfigOpts, layout: Layout, wrap: Callable[[work.Guest], work.Guest] = lambda own: own
) -> Agent:
    """All of it, from configuration that has been read.  Nothing is started; `wrap` is for a test's
    own entry point.

    :raises NotAGuest: the configuration does not say which guest this is.
    """
    options = conf[our_conf.GROUP]
    keep_apart(conf, service.detect(commands_module.SystemCommands(), layout.root))
    own = wrap(compose_guest(conf, layout))
    rpc_transport = transport.get_guest_transport(conf)
    client = taskmanager.TaskManagerAPI.from_conf(conf, rpc_transport)
    wakers: list[Callable[[], None]] = []

    def wake() -> None:
        for waker in wakers:
            waker()

    journal = Journal(layout.jobs)
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
        prefetch=functools.partial(prefetch, own),
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
