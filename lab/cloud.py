# SPDX-License-Identifier: Apache-2.0
"""The one-machine cloud as a whole: up, down, and what is in between."""

import contextlib
import dataclasses
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping

from lab import (
    bringup,
    cleanup,
    composition,
    errors,
    handle,
    packages,
    preflight,
    provision,
    services,
    template,
)
from lab.handle import CloudHandle
from lab.layout import RUN_VARIABLE, Layout
from lab.progress import Phase, Progress
from lab.services import (
    glance,
    keystone,
    mariadb,
    neutron,
    nova,
    placement,
    rabbitmq,
    trove,
)
from lab.settings import DRIVER_VARIABLE, LAB_DRIVER, Secrets, Settings
from lab.supervisor import Command, Supervisor, uninterrupted
from lab.venv import CloudVenv

READY_SECONDS = 180.0
PROXY = 'nova-proxy'
GUARD = 'security-groups'  #: only in a cloud that enforces them
_DATABASE = (mariadb.NAME,)
#: The broker is the slowest: what needs it loads meanwhile, and tries until it is there.
_NEEDS = {
    rabbitmq.NAME: (rabbitmq.EPMD,),
    keystone.NAME: _DATABASE,
    placement.NAME: _DATABASE,
    glance.NAME: _DATABASE,
    neutron.NAME: _DATABASE,
    nova.API: _DATABASE,
    nova.CONDUCTOR: _DATABASE,
    nova.SCHEDULER: _DATABASE,
    nova.COMPUTE: (nova.CONDUCTOR, keystone.NAME, placement.NAME),
    GUARD: (keystone.NAME, neutron.NAME),
}


@dataclasses.dataclass(frozen=True)
class ServiceStatus:
    """One process of the cloud."""

    name: str
    pid: int
    running: bool


class Cloud:
    """The cloud in one run directory.  Only one `up` or `down` works on it at a time, across
    processes.
    """

    def __init__(self, layout: Layout, environ: Mapping[str, str] = os.environ) -> None:
        self._layout = layout
        self._environ = environ
        self._supervisor = Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir)
        self._venv = CloudVenv(
            venvs_dir=layout.venvs_dir, log=layout.log_file('venv'), environ=environ
        )

    def up(self, progress: Progress, *, security_groups: bool = False) -> CloudHandle:
        """Bring it up; a cloud that is up already is handed back as it is, remains of a crashed one
        are cleared first.  With `security_groups` Neutron's are enforced at the guests' ports.

        What it started it ends again when it fails or is interrupted.

        :raises MachineLacks: the machine cannot do it; nothing was changed.
        :raises LabError: something failed, and the message names the log; or the cloud that is up
            enforces no security groups.
        """
        with self._alone():
            if self.is_up():
                return _enforcing(self.handle()) if security_groups else self.handle()
            preflight.require(self._layout, preflight.Machine())
            try:
                return self._up(progress, security_groups)
            except BaseException:
                with uninterrupted():
                    self._down(progress)
                raise

    def down(self, progress: Progress) -> None:
        """End everything and leave nothing; nothing to end is no error.  Cannot be interrupted."""
        with uninterrupted(), self._alone():
            self._down(progress)

    def prepare(self, progress: Progress) -> None:
        """Make ready all that needs no cloud that stays: packages and the virtual environment."""
        preflight.require(self._layout, preflight.Machine())
        self._install(progress)

    def handle(self) -> CloudHandle:
        """Return the handle of the running cloud.

        :raises LabError: none is up.
        """
        try:
            return CloudHandle.load(self._layout.handle_file)
        except FileNotFoundError as error:
            raise errors.LabError(
                f'No cloud is up in {self._layout.run_dir}. Start one with trove-upgrade-lab up.',
                code='lab_not_up',
            ) from error

    def is_up(self) -> bool:
        """Tell whether `up` has ended well and everything that it started still runs."""
        return self._layout.handle_file.exists() and all(status.running for status in self.status())

    def status(self) -> list[ServiceStatus]:
        """Its processes, in the order of their names; empty when it is down."""
        return [
            ServiceStatus(record.name, record.pid, self._supervisor.runs(record.name))
            for record in self._supervisor.records()
        ]

    def env(self, user: str) -> dict[str, str]:
        """Variables for the unmodified clients as `user`: admin, demo, reader, other or trove.

        :raises LabError: no cloud is up, or there is no such user.
        """
        running = self.handle()
        if user not in running.users:
            raise errors.LabError(
                f'There is no user {user!r}. Known are {", ".join(running.users)}.',
                code='lab_no_user',
            )
        return running.users[user].environ()

    def create_database(self, name: str) -> str:
        """SQLAlchemy's address of a fresh, empty database; one of that name is thrown away.

        :raises LabError: no cloud is up, or the name does not begin with `trove`.
        """
        return mariadb.create_database(self.settings(), name)

    def restart(self, name: str) -> None:
        """Stop one process of the running cloud and start it again, for tests of what that does to
        others.
        """
        site = self.settings()
        command = {process.name: process for process in self._processes(site)}[name]
        self._supervisor.stop((name,))
        self._supervisor.start(command)
        self._supervisor.wait_ready(name, self._probes(site)[name], READY_SECONDS)

    def stop_process(self, name: str) -> None:
        """Stop one process; `restart` brings it back."""
        self._supervisor.stop((name,))

    def _up(self, progress: Progress, security_groups: bool) -> CloudHandle:
        with (
            progress.phase('Clearing remains of an earlier cloud')
            if self._has_remains()
            else _silent() as tell
        ):
            self._clear(tell)
            shutil.rmtree(self._layout.logs_dir, ignore_errors=True)
        self._install(progress)
        self._layout.prepare()
        site = self._settings(security_groups=security_groups)
        kept = template.directory(site)
        known = template.secrets(kept)
        if known is None:
            site = dataclasses.replace(site, secrets=Secrets.generate())
            self._configure(site)
            with progress.phase('Making the databases (once)') as tell:
                template.Builder(site, self._supervisor, tell).build(kept)
        else:
            site = dataclasses.replace(site, secrets=known)
        with progress.phase('Starting the services') as tell:
            template.instantiate(site, kept)
            self._configure(site)
            running = self._start(site, tell)
        site.secrets.save(self._layout.run_dir / 'secrets.json')
        running.save(self._layout.handle_file)
        return running

    def _install(self, progress: Progress) -> None:
        missing = packages.missing()
        if missing:
            with progress.phase('Installing packages') as tell:
                packages.install(missing, self._layout.log_file('packages'), tell)
        if not self._venv.ready:
            with progress.phase("Making the cloud's virtual environment (once)") as tell:
                self._venv.ensure(tell)

    def _settings(self, secrets: Secrets | None = None, *, security_groups: bool) -> Settings:
        return Settings(
            layout=self._layout,
            venv=self._venv,
            secrets=secrets or Secrets.generate(),
            compute_driver=self._environ.get(DRIVER_VARIABLE, LAB_DRIVER),
            security_groups=security_groups,
        )

    def settings(self) -> Settings:
        """Return what its services agree on, for callers that run more services beside them.

        :raises LabError: none is up.
        """
        running = self.handle()
        return self._settings(
            Secrets.load(self._layout.run_dir / 'secrets.json'),
            security_groups=running.security_groups,
        )

    def _configure(self, site: Settings) -> None:
        neutron.install_plugins(site)
        for module in (rabbitmq, keystone, glance, placement, neutron, nova):
            module.configure(site)

    def _processes(self, site: Settings) -> list[Command]:
        return [
            mariadb.process(site),
            *rabbitmq.processes(site),
            keystone.process(site),
            placement.process(site),
            glance.process(site),
            neutron.process(site),
            nova.api_process(site),
            *(
                nova.agent_process(site, name)
                for name in (nova.CONDUCTOR, nova.SCHEDULER, nova.COMPUTE)
            ),
            _proxy(site),
            *([_guard(site)] if site.security_groups else []),
            *trove.processes(site),
        ]

    def _probes(self, site: Settings) -> dict[str, Callable[[], bool]]:
        return {
            mariadb.NAME: lambda: mariadb.ready(site),
            rabbitmq.EPMD: lambda: rabbitmq.epmd_ready(site),
            rabbitmq.NAME: lambda: rabbitmq.ready(site),
            keystone.NAME: lambda: keystone.ready(site),
            placement.NAME: lambda: placement.ready(site),
            glance.NAME: lambda: glance.ready(site),
            neutron.NAME: lambda: neutron.ready(site),
            nova.API: lambda: nova.api_ready(site),
            nova.CONDUCTOR: lambda: nova.agent_ready(site, nova.CONDUCTOR),
            nova.SCHEDULER: lambda: nova.agent_ready(site, nova.SCHEDULER),
            nova.COMPUTE: lambda: nova.compute_ready(site),
            PROXY: lambda: True,
            GUARD: lambda: True,
            **trove.probes(site),
        }

    def _start(self, site: Settings, tell: Phase) -> CloudHandle:
        run = bringup.Bringup(tell)
        probes = self._probes(site)

        def start(command: Command) -> Callable[[], None]:
            def probe() -> bool:
                run.check()
                return probes[command.name]()

            def action() -> None:
                self._supervisor.start(command)
                self._supervisor.wait_ready(command.name, probe, READY_SECONDS)

            return action

        made: dict[str, str] = {}
        flavors: dict[str, str] = {}
        run.run(
            (
                *(
                    bringup.Part(command.name, start(command), _NEEDS.get(command.name, ()))
                    for command in self._processes(site)
                ),
                bringup.Part(
                    'network',
                    lambda: made.update(network=provision.network(site)),
                    (keystone.NAME, neutron.NAME),
                ),
                bringup.Part(
                    'flavors',
                    lambda: flavors.update(provision.flavors(site)),
                    (keystone.NAME, nova.API),
                ),
            )
        )
        return handle.make(
            site, network_id=made['network'], network_cidr=provision.NETWORK_CIDR, flavors=flavors
        )

    def _down(self, progress: Progress) -> None:
        with progress.phase('Stopping the cloud') if self._has_remains() else _silent() as tell:
            self._clear(tell)

    def _has_remains(self) -> bool:
        return self._layout.pids_dir.exists() or self._layout.hypervisor_dir.exists()

    def _clear(self, tell: Phase) -> None:
        self._layout.handle_file.unlink(missing_ok=True)
        self._supervisor.stop(
            record.name
            for record in self._supervisor.records()
            if record.stage >= services.STAGE_AGENTS
        )
        tell('guests and networks')
        if self._layout.hypervisor_dir.is_dir():
            composition.hypervisor(self._layout.hypervisor_dir).guests.clean_all()
        self._supervisor.stop_all(tell)
        cleanup.devices(self._layout.run_dir)
        cleanup.files(self._layout)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if os.geteuid() != 0:
            raise errors.MachineLacks((preflight.NOT_ROOT,))
        path = self._layout.lock_file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held = path.open('a')
        except OSError as error:
            raise errors.LabError(
                f'Cannot write the lock {path} of the cloud ({error.strerror}). Set {RUN_VARIABLE} '
                'to a directory below one that can be written.',
                code='lab_run_directory',
            ) from error
        with held as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise errors.LabError(
                    f'Cannot change the cloud in {self._layout.run_dir}: another up or down is at '
                    'work. Wait for it to end.',
                    code='lab_locked',
                ) from error
            yield


@contextlib.contextmanager
def _silent() -> Iterator[Phase]:
    yield lambda _text: None


def _enforcing(running: CloudHandle) -> CloudHandle:
    """Return this cloud, which was asked for with security groups.

    :raises LabError: it is up without them.
    """
    if not running.security_groups:
        raise errors.LabError(
            f'The cloud in {running.run_dir} is up and enforces no security groups. End it with '
            'trove-upgrade-lab down, then start it with --security-groups.',
            code='lab_without_groups',
        )
    return running


def _proxy(site: Settings) -> Command:
    return Command(
        name=PROXY,
        stage=services.STAGE_AGENTS,
        stop_seconds=1.0,
        env=site.env(),
        argv=(
            site.venv.program('python'),
            '-m',
            'lab.service_proxy',
            '--port',
            str(site.ports.compute_proxy),
            '--target-port',
            str(site.ports.compute),
            '--service',
            'Nova',
        ),
    )


def _guard(site: Settings) -> Command:
    return Command(
        name=GUARD,
        stage=services.STAGE_AGENTS,
        stop_seconds=1.0,
        env=site.env(),
        argv=(site.venv.program('python'), '-m', 'lab.hypervisor.groups.guard'),
    )
