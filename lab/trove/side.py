# SPDX-License-Identifier: Apache-2.0
"""Trove on the running cloud.

For callers::

    side = TroveSide.of(cloud)                       # a cloud that is up
    side.start()                                     # stock Trove under uWSGI
    side.restart(server='gunicorn', with_filter=True, options={'trove_agent': 'refuse'})
    side.taskmanager.kill(); side.taskmanager.start()
    side.manage('datastore_update', 'mariadb', '10.11')
    side.stop()
"""

import dataclasses
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

from lab import errors
from lab.cloud import Cloud
from lab.handle import CloudHandle
from lab.servers import BROKER_PORT, REGISTRY_PORT, gateway_of
from lab.services import mariadb, trove, trove_conf, trove_deployment
from lab.services.trove_deployment import Deployment
from lab.settings import Settings
from lab.supervisor import Command, Supervisor
from lab.trove import provision, schema

READY_SECONDS = 120.0
MANAGE_SECONDS = 180.0


class Daemon:
    """One of Trove's processes.  `command` says how it is started now."""

    def __init__(
        self,
        name: str,
        supervisor: Supervisor,
        command: Callable[[], Command],
        ready: Callable[[], bool],
    ) -> None:
        self.name = name
        self._supervisor = supervisor
        self._command = command
        self._ready = ready

    def launch(self) -> None:
        """Start it and return at once."""
        self._supervisor.start(self._command())

    def wait(self) -> None:
        """Return once it works.

        :raises NotReady: it died, or took too long.
        """
        self._supervisor.wait_ready(self.name, self._ready, READY_SECONDS)

    def start(self) -> None:
        """Start it and wait until it works."""
        self.launch()
        self.wait()

    def stop(self) -> None:
        """End it as an operator would; one that does not run is no error."""
        self._supervisor.stop((self.name,))

    def kill(self) -> None:
        """SIGKILL, as when its machine dies: nothing is said goodbye to."""
        self._supervisor.kill(self.name)

    @property
    def running(self) -> bool:
        """Tell whether the process runs."""
        return self._supervisor.runs(self.name)


class TroveSide:
    """Trove's API, conductor and taskmanager."""

    def __init__(self, settings: Settings, handle: CloudHandle, supervisor: Supervisor) -> None:
        self.settings = settings
        self._handle = handle
        self._supervisor = supervisor
        probes = trove.probes(settings)
        self.api = Daemon(
            trove.API,
            supervisor,
            lambda: trove.api_process(settings, self.deployment),
            probes[trove.API],
        )
        self.conductor = Daemon(
            trove.CONDUCTOR,
            supervisor,
            lambda: trove.agent_process(settings, trove.CONDUCTOR),
            probes[trove.CONDUCTOR],
        )
        self.taskmanager = Daemon(
            trove.TASKMANAGER,
            supervisor,
            lambda: trove.agent_process(settings, trove.TASKMANAGER),
            probes[trove.TASKMANAGER],
        )

    @classmethod
    def of(cls, cloud: Cloud) -> 'TroveSide':
        """Make it for a cloud that is up.

        :raises LabError: none is up.
        """
        settings = cloud.settings()
        return cls(
            settings,
            cloud.handle(),
            Supervisor(settings.layout.run_dir, settings.layout.pids_dir, settings.layout.logs_dir),
        )

    @property
    def deployment(self) -> Deployment:
        """Return the deployment as it is installed now; what a plain `start` would make where
        nothing is.
        """
        return trove_deployment.load(self.settings) or self._default()

    @property
    def installed(self) -> bool:
        """Tell whether Trove belongs to this cloud."""
        return trove_deployment.load(self.settings) is not None

    @property
    def conf_path(self) -> pathlib.Path:
        """Return the path of trove.conf."""
        return trove_conf.config_file(self.settings)

    @property
    def paste_path(self) -> pathlib.Path:
        """Return the path of api-paste.ini."""
        return trove_conf.paste_file(self.settings)

    @property
    def database_url(self) -> str:
        """SQLAlchemy's address of Trove's database."""
        return self.settings.database_url(self.deployment.database, user='trove')

    @property
    def url(self) -> str:
        """The API's address, without version or project."""
        return self.settings.url(self.deployment.port)

    @property
    def gateway(self) -> str:
        """The lab's own address in the guests' network."""
        return gateway_of(self._handle.network_cidr, None)

    def start(self, **changes: Any) -> None:
        """Configure, make tables, routes and flavors where they are missing, start all three and
        wait.

        `changes` are fields of `Deployment`: server, with_filter, options, guest_options, sections,
        ...  Safe to repeat; a process that runs already goes on with what it has read.

        :raises LabError: something failed; the message names the log.
        """
        self.configure(**changes)
        schema.ensure(self.settings, self.deployment.database)
        provision.ensure(self.settings, self._handle)
        waiting = [daemon for daemon in self._daemons if not daemon.running]
        for daemon in waiting:
            daemon.launch()
        for daemon in self._daemons:
            daemon.wait()

    def configure(self, **changes: Any) -> None:
        """Write the files anew with these fields of `Deployment` changed; running processes do not
        notice.
        """
        deployed = dataclasses.replace(self.deployment, **changes)
        trove.configure(self.settings, deployed)
        deployed.save(self.settings)

    def stop(self) -> None:
        """End all three; the configuration and the tables stay."""
        self._supervisor.stop([daemon.name for daemon in self._daemons])

    def remove(self) -> None:
        """End all three; from now on the cloud is one without Trove.  The tables stay."""
        self.stop()
        trove_deployment.forget(self.settings)

    def restart(self, **changes: Any) -> None:
        """End all three and start them with these fields of `Deployment` changed."""
        self.stop()
        self.start(**changes)

    def restart_api(self, **changes: Any) -> None:
        """Restart the API alone: conductor and taskmanager go on with what they have read."""
        self.api.stop()
        self.configure(**changes)
        self.api.start()

    def manage(self, *arguments: str) -> str:
        """Run trove-manage to its end and return what it printed.

        :raises CommandFailed: it ended with another code than 0.
        """
        argv = [
            self.settings.venv.program('trove-manage'),
            '--config-file',
            str(self.conf_path),
            *arguments,
        ]
        done = subprocess.run(
            argv,
            env=trove.manage_env(self.settings),
            capture_output=True,
            text=True,
            timeout=MANAGE_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise errors.CommandFailed(
                f'trove-manage {" ".join(arguments)} ended with '
                f'{done.returncode}:\n{done.stdout}{done.stderr}'
            )
        return done.stdout

    def sql(self, statement: str) -> list[list[str]]:
        """Rows of text from Trove's database, asked as root.

        :raises CommandFailed: the server refused it.
        """
        return mariadb.execute(self.settings, f'USE {self.deployment.database}; {statement}')

    def flavors(self) -> dict[str, str]:
        """Flavors with a second disk, which Trove takes as volume; name -> id."""
        return provision.flavors(self.settings)

    @property
    def _daemons(self) -> tuple[Daemon, Daemon, Daemon]:
        return self.conductor, self.taskmanager, self.api

    def _default(self) -> Deployment:
        return Deployment(
            broker=f'{self.gateway}:{BROKER_PORT}',
            registry=f'{self.gateway}:{REGISTRY_PORT}',
        )
