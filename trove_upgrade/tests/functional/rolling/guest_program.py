# SPDX-License-Identifier: Apache-2.0
"""Program: a guest agent of whichever release is first on the path; its disks are directories, and
its database is an object.

    python guest_program.py DIRECTORY VERSION BOOT

DIRECTORY holds `root`, which a rebuild makes anew, and `volume`, which stays; VERSION is the
server's of the image, BOOT the id of this boot.  While DIRECTORY has a file `hold-<step>`, that
step's job waits; a file `clock-hours` has the hours by which the guest's time of day is off.  The
stand-ins are those of the release's own unit tests.  Nothing of this folder is imported: the code
on the path may be another release's.
"""

import dataclasses
import datetime
import functools
import inspect
import pathlib
import sys
import threading

NEVER = threading.Event()
LOOK_SECONDS = 0.05


def machine(fakes, directory, version):
    """The guest's machine as an earlier process, or an earlier root disk, has left it."""

    class Server(fakes.Machine):
        def _provision(self):
            if self.volume_directory.exists() or (self.layout.volume / 'data').exists():
                self._new_root()
                self.boot()
            else:
                super()._provision()

        def _new_root(self):
            """User data was written already."""
            self.layout.volume.mkdir(parents=True, exist_ok=True)
            self.layout.configuration_directory.mkdir(parents=True, exist_ok=True)
            for path, text in (
                (self.layout.fstab, '/dev/sda1 / ext4 defaults 0 1\n'),
                (self.layout.etc / 'autostart', ''),
            ):
                if not path.exists():
                    path.write_text(text)

    return Server(directory, version)


def driver(fakes, server, directory):
    """The database, whose work waits while it is held."""

    def held(step):
        while (directory / f'hold-{step}').exists():
            (directory / f'reached-{step}').touch()
            NEVER.wait(LOOK_SECONDS)

    class Driver(fakes.Driver):
        def checks(self, target, options):
            held('precheck')
            return super().checks(target, options)

        def fingerprint_and_stop(self, options, progress):
            held('quiesce')
            return as_drivers_write(super().fingerprint_and_stop(options, progress))

        def own_data(self):
            held('restore')
            super().own_data()

        def write_probe(self):
            held('verify')
            super().write_probe()

    return Driver(server)


def as_drivers_write(fingerprint):
    """The stand-in of borealis leaves facts out that its driver writes of every table."""
    tables = {
        name: {'checksum': None, 'kind': 'table', **facts} if isinstance(facts, dict) else facts
        for name, facts in fingerprint.tables.items()
    }
    return dataclasses.replace(fingerprint, tables=tables)


class WrongClock:
    """The guest's clock, with another time of day."""

    def __init__(self, right, hours):
        self._right = right
        self._off = datetime.timedelta(hours=hours)

    def now(self):
        return self._right.now() + self._off

    def __getattr__(self, name):
        return getattr(self._right, name)


def clock(right, directory):
    """The clock that the guest is to have."""
    off = directory / 'clock-hours'
    return WrongClock(right, float(off.read_text())) if off.exists() else right


def sender(conf, rpc_transport):
    """What casts a heartbeat."""
    from trove_upgrade.rpc import serializer, taskmanager

    client = taskmanager.TaskManagerAPI.from_conf(conf, rpc_transport)
    return lambda heartbeat: client.heartbeat(serializer.service_context(), heartbeat)


def composed_by_hand(conf, own):
    """Borealis has no place to hand the guest in: as its `agent.compose` does it."""
    from trove_upgrade import conf as our_conf
    from trove_upgrade.guestagent import agent
    from trove_upgrade.guestagent.heartbeat import Heartbeats
    from trove_upgrade.guestagent.job import Jobs
    from trove_upgrade.guestagent.journal import Journal
    from trove_upgrade.guestagent.keeper import StashKeeper
    from trove_upgrade.guestagent.manager import GuestManager
    from trove_upgrade.rpc import transport

    rpc_transport = transport.get_transport(conf)
    wakers = []

    def wake():
        for waker in wakers:
            waker()

    options = conf[our_conf.GROUP]
    journal = Journal(own.layout.jobs)
    jobs = Jobs(journal, agent.bodies(own), own.clock, on_change=wake)
    send = sender(conf, rpc_transport)
    heartbeats = Heartbeats(own, send, jobs.busy, options.heartbeat_interval)
    keeper = StashKeeper(own)
    wakers += [heartbeats.wake, keeper.wake]
    manager = GuestManager(own, jobs, journal, options.guest_join_seconds, heartbeats.wake)
    server = transport.get_server(
        rpc_transport, transport.guest_target(conf, own.instance_id), [manager]
    )
    return agent.Agent(
        jobs,
        heartbeats,
        keeper,
        functools.partial(agent.prefetch, own),
        own.watchers,
        manager,
        server,
    )


def with_head_start(conf, layout, wrap):
    """With the guest handed in; the agent's program imports `agent` last."""
    from trove_upgrade.guestagent import agent
    from trove_upgrade.guestagent.upgrade import composition, head_start

    own = wrap(composition.guest(conf, layout))
    head_start.begin(own)
    return agent.compose(conf, own)


def choose_threads():
    """Before anything imports oslo.messaging, as the agent's program does it."""
    sys.modules.setdefault('eventlet', None)
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)


def configured(layout):
    """As the agent's program reads it."""
    from oslo_config import cfg
    from oslo_log import log

    from trove_upgrade import conf as our_conf
    from trove_upgrade.conf import guestagent as guestagent_conf

    conf = cfg.CONF
    log.register_options(conf)
    our_conf.register_opts(conf)
    conf.register_opts(guestagent_conf.IDENTITY_OPTS)
    conf(
        args=['--config-dir', str(layout.configuration_directory)],
        project='trove-upgrade',
        prog='trove-upgrade-guestagent',
    )
    log.setup(conf, 'trove-upgrade')
    return conf


def on_machine(own, server, boot, driver_of):
    """The guest with the machine's ports in place of the kernel's."""
    from trove_upgrade.tests.unit.guestagent import fakes

    others = {}
    if hasattr(own, 'metadata'):
        from trove_upgrade.guestagent.machine import metadata_address

        others['metadata'] = metadata_address.Closed()
    return dataclasses.replace(
        own,
        boot_id=lambda: boot,
        volume=fakes.Volume(server),
        service=fakes.Service(server),
        driver=driver_of(server),
        **others,
    )


def main(directory, version, boot):
    """Serve until it is killed."""
    choose_threads()
    from trove_upgrade.tests.unit.guestagent import fakes

    directory = pathlib.Path(directory)
    server = machine(fakes, directory, version)
    conf = configured(server.layout)
    from trove_upgrade.guestagent import agent

    def wrap(own):
        own = dataclasses.replace(own, clock=clock(own.clock, directory))
        return on_machine(own, server, boot, lambda machine: driver(fakes, machine, directory))

    takes = inspect.signature(agent.compose).parameters
    if 'own' in takes:
        running = with_head_start(conf, server.layout, wrap)
    elif 'wrap' in takes:
        running = agent.compose(conf, server.layout, wrap)
    else:
        running = composed_by_hand(conf, wrap(agent.compose_guest(conf, server.layout)))
    running.start()
    NEVER.wait()


if __name__ == '__main__':
    main(*sys.argv[1:])
