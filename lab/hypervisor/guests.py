# SPDX-License-Identifier: Apache-2.0
"""Guests: an image's root file system under an overlay, in namespaces of their own.

For callers::

    guest = store.get(guest_id)         # see guest_store.py
    guest.boot()
    guest.exec(['mariadb', '-e', 'SELECT 1']).output
    guest.reboot()                      # the root disk keeps what was written to it
    guest.destroy()

State is in files, so every process of the lab (nova-compute, the lab's commands, a test) may look
at a guest, run programs in it and end it.  Two processes must not boot or end the same guest at
once: Nova locks each server, and tests own their guests.  A guest is not a security boundary: its
root is the host's root in other namespaces.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from lab import errors, processes
from lab.commands import Commands, Outcome
from lab.hypervisor import boot_device, cgroups, engine_disk
from lab.hypervisor.entry import ENVIRONMENT, entry_of
from lab.hypervisor.errors import GuestBootFailed, GuestNotRunning
from lab.hypervisor.netns import NETNS_DIR
from lab.hypervisor.network import NetworkFabric
from lab.hypervisor.processes import name_of, read_process, wait_gone
from lab.hypervisor.spec import GuestSpec
from lab.hypervisor.volume import Volume, VolumeStore, power_cut
from lab.servers import DATABASE_MOUNT, STATE, Port
from trove_upgrade.waiting import wait_until

_START_SCRIPT = Path(__file__).with_name('start-guest.sh')
#: Services are started before a boot counts as done, and a database that was killed recovers first.
_BOOT_SECONDS = 180
#: Clean stop of a guest: its database gets this long to shut down before it is killed.
STOP_SECONDS = 60

_ENGINE = 'engine'  #: where its disk is mounted, in the guest's own mount namespace
_ENGINE_DISK = 'engine.img'
_IMAGE_DEVICE, _ENGINE_DEVICE = 'image_device', 'engine_device'
_REACH_SECONDS = 10


class Guest:
    """One guest; made by `guest_store.GuestStore`."""

    def __init__(
        self,
        spec: GuestSpec,
        home: Path,
        fabric: NetworkFabric,
        volumes: VolumeStore,
        commands: Commands,
    ) -> None:
        self.spec = spec
        self.home = home
        self._fabric = fabric
        self._volumes = volumes
        self._commands = commands

    @property
    def id(self) -> str:
        """Nova's id of the server."""
        return self.spec.guest_id

    @property
    def name(self) -> str:
        """Its host name."""
        return self.spec.hostname

    @property
    def init(self) -> str:
        """Process 1 of its image."""
        return self.spec.init

    @property
    def ports(self) -> tuple[Port, ...]:
        """Its ports as Neutron described them."""
        return self.spec.ports

    @property
    def volume_uuid(self) -> str | None:
        """UUID that its volume was made with, empty for a raw one; None where it has none."""
        volume = self.volume
        return volume.filesystem_uuid if volume else None

    @property
    def pid(self) -> int | None:
        """The pid of process 1 on the host, where it runs."""
        process = self.process
        return process.pid if process else None

    @property
    def process(self) -> psutil.Process | None:
        """Process 1 of the guest, where it runs."""
        return read_process(self.home / 'pid')

    @property
    def running(self) -> bool:
        """Return whether the guest has a process 1."""
        return self.process is not None

    @property
    def boot_id(self) -> str:
        """The boot id of the present or last boot; what the guest reads in
        /proc/sys/kernel/random/boot_id.
        """
        return (self.home / 'boot_id').read_text('utf-8').strip()

    @property
    def volume(self) -> Volume | None:
        """The guest's volume as recorded."""
        return self._volumes.find(self.spec.volume_id) if self.spec.volume_id else None

    @property
    def console(self) -> str:
        """Return what the guest has printed since it was created or rebuilt."""
        log = self.home / 'console.log'
        return log.read_text('utf-8', 'replace') if log.exists() else ''

    @property
    def _cgroup(self) -> str:
        """The name of its control group, where it has one; two labs on a machine may have guests of
        the same name.
        """
        wanted = self.spec.init == 'systemd' or self.spec.runs_containers
        return self._fabric.guest_namespace(self.spec.guest_id) if wanted else ''

    def boot(self) -> None:
        """Start the guest and return when its init has brought its services up.  A running guest
        stays as it is.

        :raises GuestBootFailed: process 1 died, or the services were not up in time.
        """
        if self.running:
            return
        self._wait_released()
        for name in ('lower', 'upper', 'work', 'root', _ENGINE):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        (self.home / 'pid').unlink(missing_ok=True)
        (self.home / 'boot_id').write_text(f'{uuid.uuid4()}\n', 'utf-8')
        namespace = self._fabric.attach(self.spec.guest_id, self.spec.ports)
        volume = self.volume
        device = self._volumes.attach(volume) if volume else '-'
        with self._image() as image, self._engine_disk() as disk:
            self._commands.launch(
                self._process_1(namespace, image, device, disk),
                self.home / 'console.log',
                {**ENVIRONMENT},
            )
            self._wait_booted()

    def _image(self) -> contextlib.AbstractContextManager[str]:
        return boot_device.attached(
            self.spec.image_path, self.home / _IMAGE_DEVICE, self._commands, read_only=True
        )

    def _engine_disk(self) -> contextlib.AbstractContextManager[str]:
        if not self.spec.runs_containers:
            return contextlib.nullcontext('-')
        engine_disk.ensure(self.home / _ENGINE_DISK, self._commands)
        return boot_device.attached(
            self.home / _ENGINE_DISK, self.home / _ENGINE_DEVICE, self._commands
        )

    def _process_1(self, namespace: str, image: str, volume: str, disk: str) -> list[str]:
        """The command that becomes process 1 in the guest's namespaces; its devices by name, or
        `-` for none.
        """
        return [
            'nsenter',
            f'--net={NETNS_DIR / namespace}',
            '--',
            'unshare',
            '--mount',
            '--pid',
            '--uts',
            '--ipc',
            *([] if self._cgroup else ['--cgroup']),
            '--fork',
            '--kill-child',
            '--',
            '/bin/sh',
            str(_START_SCRIPT),
            str(self.home),
            image,
            self.spec.hostname,
            volume,
            self.spec.init,
            self._cgroup or '-',
            disk,
        ]

    def _wait_booted(self) -> None:
        def up() -> bool:
            if (self.home / 'pid').exists() and not self.running:
                raise GuestBootFailed(self.spec.guest_id, self.console)
            return self.reachable and self._services_up()

        interval_seconds = 0.02 if self.spec.init == 'tini' else 0.3
        with contextlib.suppress(errors.TimedOut):  # it went away between two looks of one turn
            if wait_until(up, _BOOT_SECONDS, interval_seconds=interval_seconds):
                return
        raise GuestBootFailed(self.spec.guest_id, self.console)

    def _services_up(self) -> bool:
        if self.spec.init == 'systemd':
            state = self.exec(['systemctl', 'is-system-running'], check=False).output.strip()
            return state in {'running', 'degraded'}
        process = self.process
        return (
            process is not None and Path(f'/proc/{process.pid}/root/run/trove-lab/booted').exists()
        )

    @property
    def reachable(self) -> bool:
        """Return whether process 1 has entered the guest's own root: before, a program would run on
        the host's tree.
        """
        process = self.process
        return process is not None and name_of(process) == self.spec.init

    def exec(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        input_text: str | None = None,
        timeout_seconds: float = 120,
        env: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run a program in the guest as its root, as `ssh root@guest` would.

        :raises GuestNotRunning: there is no guest to run it in.
        :raises errors.CommandFailed: with `check`, its exit code was not 0; always where it did not
            end in time.
        """
        process = self._reached_process()
        # `timeout` runs inside: killing nsenter alone would leave the program running in the guest.
        return self._commands.run(
            [
                *entry_of(process.pid),
                '/usr/bin/timeout',
                '--kill-after=5',
                f'{timeout_seconds:g}',
                *argv,
            ],
            check=check,
            input_text=input_text,
            timeout_seconds=timeout_seconds + 10,
            env={**ENVIRONMENT, **(env or {})},
        )

    def entry(self) -> tuple[str, ...]:
        """The beginning of a command that runs the rest of it in the guest, as its root.

        :raises GuestNotRunning: there is no guest to run it in.
        """
        pid = self.pid
        if pid is None:
            raise GuestNotRunning(self.spec.guest_id)
        return entry_of(pid)

    def _reached_process(self) -> psutil.Process:
        process = self.process
        if process is None:
            raise GuestNotRunning(self.spec.guest_id)
        if not wait_until(
            lambda: self.reachable or not processes.runs(process),
            _REACH_SECONDS,
            interval_seconds=0.02,
        ):
            raise errors.TimedOut(
                f'guest {self.spec.guest_id} to be reachable', _REACH_SECONDS, 'See the logs.'
            )
        if not processes.runs(process):
            raise GuestNotRunning(self.spec.guest_id)
        return process

    def write_file(self, path: str, content: str, *, mode: str = '0644') -> None:
        """Write a small file of root's in the guest, with its final mode before it gets its
        name.
        """
        self.exec(
            [
                '/bin/sh',
                '-ec',
                (
                    'mkdir -p "$(dirname "$1")"; umask 077; cat > "$1.new"; chmod "$2" "$1.new"; '
                    'mv "$1.new" "$1"'
                ),
                'write',
                path,
                mode,
            ],
            input_text=content,
        )

    def copy_in(self, source: Path, target: Path) -> None:
        """Copy a file of the host to a place in the guest, which runs."""
        root = Path(f'/proc/{self._reached_process().pid}/root')
        shutil.copyfile(source, root / target.relative_to('/'))

    def copy_out(self, source: Path, target: Path) -> None:
        """Copy what is at a place in a directory of the guest's engine into one of the host.  The
        guest must not run.
        """
        disk, within = self.home / _ENGINE_DISK, source.relative_to(STATE)
        engine_disk.copy_out(disk, self.home / _ENGINE, within, target, self._commands)

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """Shut the guest down cleanly; kill it where that takes longer.  A stopped guest stays as
        it is.
        """
        process = self.process
        if process is not None:
            # systemd takes SIGRTMIN+4 as "power off".
            end = signal.SIGTERM if self.spec.init == 'tini' else signal.SIGRTMIN + 4
            processes.send(process, end)
            with contextlib.suppress(errors.TimedOut):  # the kill below is what follows
                wait_gone(process, timeout_seconds)
        self.kill()

    def kill(self) -> None:
        """End every process of the guest at once and wait until the kernel has unmounted all of
        it.
        """
        process = self.process
        if process is not None:
            processes.send(process, signal.SIGKILL)
            wait_gone(process, 30)
        self._wait_released()
        if self._cgroup:
            cgroups.remove(self._cgroup, self.home / 'cgroup', self._commands)

    def _wait_released(self) -> None:
        """Process 1 being gone does not mean that its mounts are: that takes the kernel 0.1 to 0.2
        s more.
        """
        volume = self.volume
        if volume is not None:
            self._volumes.wait_free(volume)
        for record in (_IMAGE_DEVICE, _ENGINE_DEVICE):
            boot_device.wait_free(self.home / record)

    def reboot(self, *, hard: bool = False) -> None:
        """Stop (or kill) the guest and boot it again, with a new boot id and the same root disk."""
        if hard:
            self.kill()
        else:
            self.stop()
        self.boot()

    def power_cut(self) -> None:
        """End the guest as a power failure would: what was not synced to the volume is lost."""
        process = self.process
        if process is None:
            raise GuestNotRunning(self.spec.guest_id)
        power_cut(Path(f'/proc/{process.pid}/root{DATABASE_MOUNT}'))
        self.kill()

    def take_agent_away(self) -> None:
        """Let the guest boot without its agent, as from an image that was built wrong.  Before
        `boot`.
        """
        script = self.home / 'upper/etc/init.d/trove-upgrade-guestagent'
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text('#!/bin/sh\nexit 0\n', 'utf-8')
        script.chmod(0o755)
        unit = self.home / 'upper/etc/systemd/system/trove-upgrade-guestagent.service'
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.symlink_to('/dev/null')

    def drop_root_disk(self) -> None:
        """Forget what was written to the root disk; the files go with the guest, which must not
        run.
        """
        dropped = self.home / f'dropped-{uuid.uuid4()}'
        dropped.mkdir(parents=True, exist_ok=True)
        for name in ('upper', 'work', _ENGINE_DISK):
            with contextlib.suppress(FileNotFoundError):
                (self.home / name).rename(dropped / name)

    def destroy(self, *, keep_volume: bool = False) -> None:
        """End the guest and remove its root disk, its port and its volume.  Safe to repeat."""
        self.kill()
        self._fabric.detach(self.spec.guest_id)
        if self.spec.volume_id and not keep_volume:
            self._volumes.destroy(self.spec.volume_id)
        shutil.rmtree(self.home, ignore_errors=True)
