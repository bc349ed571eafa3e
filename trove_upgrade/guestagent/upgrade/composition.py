# SPDX-License-Identifier: Apache-2.0
"""Composes the guest that upgrades work on: its real ports, from configuration.

Nothing here imports oslo.messaging: what a restore waits for begins before that is loaded, which
takes a third of a second.
"""

import dataclasses
import functools
import json
import pathlib
from importlib import metadata
from typing import Any

from oslo_config import cfg

from trove_upgrade import clock as clock_module
from trove_upgrade import conf as our_conf
from trove_upgrade.conf import guestagent as guestagent_conf
from trove_upgrade.conf import messaging
from trove_upgrade.domain import exceptions, logs
from trove_upgrade.guestagent.datastores import base, factory
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.mysql_family.hosts.container_host import Containers
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
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.storage.stash.accounts import SystemAccounts
from trove_upgrade.guestagent.storage.volume import Volume
from trove_upgrade.guestagent.trove import (
    old_agent,
    refusing_server,
    trove_agent,
    trove_agent_control,
)
from trove_upgrade.guestagent.upgrade import work
from trove_upgrade.guestagent.upgrade.marks import Marks

LOG = logs.get_logger(__name__)
#: Distributions that bring the agent.
_OF_GUESTS, _WHOLE = 'trove-upgrade-guest', 'trove-upgrade'


class NotAGuest(exceptions.TroveUpgradeError):
    """The agent has not been told the id of its instance."""

    code = 'NOT_A_GUEST'
    template = (
        'The guest agent cannot start: its configuration names no {missing} in [DEFAULT]. '
        'See that user data writes guest_info.conf and that --config-dir names its directory.'
    )


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


def guest(conf: cfg.ConfigOpts, layout: Layout) -> work.Guest:
    """The guest with its real ports.  The configuration gets the topic that it listens on:
    see `keep_apart`.

    :raises NotAGuest: the configuration does not say which one.
    """
    for name in ('guest_id', 'datastore_manager'):
        if not conf[name]:
            raise NotAGuest(missing=name)
    options, clock = conf[our_conf.GROUP], clock_module.SystemClock()
    commands = commands_module.SystemCommands()
    layout = dataclasses.replace(layout, mount_point=factory.mount_point(conf.datastore_manager))
    context, services = _driver_context(layout, clock), service.detect(commands, layout.root)
    keep_apart(conf, services)
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

    def refusing_all() -> Any:
        from trove_upgrade.guestagent.trove import refuser  # which loads oslo.messaging

        return refuser.server(conf, prefix, conf.guest_id)

    refusing = refusing_server.RefusingServer(refusing_all)
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
