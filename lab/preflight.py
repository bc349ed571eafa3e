# SPDX-License-Identifier: Apache-2.0
"""Things that this machine lacks for a cloud, each in one line that also tells what to do; asked
before anything is changed.
"""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
from typing import Protocol

from lab import errors
from lab.layout import Layout
from lab.settings import HOST, Ports
from trove_upgrade import signals

DISK_BYTES = 6 * 1024**3  #: images, virtual environment, databases; measured about 4 GB
CACHED_DISK_BYTES = 2 * 1024**3  #: the same with a warm cache
MEMORY_BYTES = 4 * 1024**3  #: the services take 1.5 GB, two guests and a build the rest
PORTS = Ports()
NOT_ROOT = 'Not root: guests need namespaces and mounts. Run the same command with sudo.'
FILE_SYSTEMS = ('overlay', 'ext4', 'squashfs')


class Facts(Protocol):
    """The machine, as far as the checks ask."""

    def is_root(self) -> bool:
        """Tell whether this is the user with all rights."""

    def has_program(self, name: str) -> bool:
        """Tell whether a program is on the PATH."""

    def python(self) -> tuple[int, int]:
        """Version of the interpreter that runs us."""

    def unshares(self) -> bool:
        """Tell whether new mount, pid, network, uts and ipc namespaces can be made."""

    def has_loop_devices(self) -> bool:
        """Tell whether the kernel gives out loop devices."""

    def knows_file_system(self, name: str) -> bool:
        """Tell whether it can be mounted, or its module can be loaded."""

    def mounts_overlay(self, directory: pathlib.Path) -> bool:
        """Tell whether an overlay works with its upper layer on the file system of `directory`."""

    def free_bytes(self, path: pathlib.Path) -> int:
        """Space where `path` is, or would be."""

    def memory_bytes(self) -> int:
        """Memory that programs can still have."""

    def port_is_free(self, port: int) -> bool:
        """Tell whether no program listens there on loopback."""


class Machine:
    """Implements `Facts` by looking at the machine itself."""

    def is_root(self) -> bool:
        """Tell it by the effective user."""
        return os.geteuid() == 0

    def has_program(self, name: str) -> bool:
        """Look on the PATH of this process."""
        return shutil.which(name) is not None

    def python(self) -> tuple[int, int]:
        """Return the version of the running interpreter."""
        return sys.version_info[:2]

    def unshares(self) -> bool:
        """Try it with the program unshare; nothing stays."""
        return _succeeds('unshare', '--mount', '--pid', '--net', '--uts', '--ipc', '--fork', 'true')

    def has_loop_devices(self) -> bool:
        """Look for the control device, and a number that it offers; none is taken."""
        return pathlib.Path('/dev/loop-control').exists() and _succeeds('losetup', '--find')

    def knows_file_system(self, name: str) -> bool:
        """Ask the running kernel, else its modules."""
        listed = {
            line.split()[-1] for line in pathlib.Path('/proc/filesystems').read_text().splitlines()
        }
        return name in listed or _succeeds('modprobe', '--dry-run', name)

    def mounts_overlay(self, directory: pathlib.Path) -> bool:
        """Try it in a mount namespace that ends with the attempt."""
        with tempfile.TemporaryDirectory(
            prefix='.trove-upgrade-', dir=_existing(directory)
        ) as name:
            scratch = pathlib.Path(name)
            for part in ('lower', 'upper', 'work', 'merged'):
                (scratch / part).mkdir()
            options = f'lowerdir={scratch}/lower,upperdir={scratch}/upper,workdir={scratch}/work'
            return _succeeds(
                'unshare',
                '--mount',
                'mount',
                '-t',
                'overlay',
                'overlay',
                '-o',
                options,
                f'{scratch}/merged',
            )

    def free_bytes(self, path: pathlib.Path) -> int:
        """Return the free bytes of the nearest directory that exists."""
        return shutil.disk_usage(_existing(path)).free

    def memory_bytes(self) -> int:
        """Return MemAvailable in bytes. Source: proc(5), /proc/meminfo."""
        for line in pathlib.Path('/proc/meminfo').read_text().splitlines():
            if line.startswith('MemAvailable:'):
                return int(line.split()[1]) * 1024
        return 0

    def port_is_free(self, port: int) -> bool:
        """Try to bind it as the services do: connections that are closing do not count."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
        return True


def findings(layout: Layout, machine: Facts) -> list[str]:
    """List what is missing; empty when the cloud can come up."""
    if not machine.is_root():
        return [NOT_ROOT]
    found = []
    if machine.python() < (3, 11):
        found.append(
            'Python is older than 3.11. Use Debian 12 or newer, or name another interpreter with '
            'make PYTHON=...'
        )
    if not machine.has_program('apt-get') or not machine.has_program('dpkg-query'):
        found.append('No apt-get: missing packages cannot be installed. Use a Debian 12 machine.')
    if not machine.unshares():
        found.append(
            'No namespaces: unshare failed. In a container, run it privileged; else enable them '
            'in the kernel.'
        )
    if not machine.has_loop_devices():
        found.append(
            'No loop devices: /dev/loop-control is missing or gives none. Run "modprobe loop", '
            "or run the container privileged with the host's /dev."
        )
    found += [
        f'The kernel cannot mount {name}. Run "modprobe {name}", or use Debian\'s own kernel.'
        for name in FILE_SYSTEMS
        if not machine.knows_file_system(name)
    ]
    if not found and not machine.mounts_overlay(layout.run_dir):
        found.append(
            f'An overlay cannot be mounted on the file system of {layout.run_dir}. '
            'Set TROVE_UPGRADE_LAB_RUN to a directory on ext4 or xfs.'
        )
    return found + _space(layout, machine) + _taken(machine, PORTS)


def _space(layout: Layout, machine: Facts) -> list[str]:
    found = []
    cached = layout.images_cache.is_dir() and layout.venvs_dir.is_dir()
    for path, needed, variable in (
        (layout.cache_dir, CACHED_DISK_BYTES if cached else DISK_BYTES, 'TROVE_UPGRADE_LAB_CACHE'),
        (layout.run_dir, CACHED_DISK_BYTES, 'TROVE_UPGRADE_LAB_RUN'),
    ):
        free = machine.free_bytes(path)
        if free < needed:
            found.append(
                f'Too little space for {path}: {_gib(free)} free, {_gib(needed)} needed. '
                f'Free some, or set {variable} to another disk.'
            )
    memory = machine.memory_bytes()
    if memory < MEMORY_BYTES:
        found.append(
            f'Too little memory: {_gib(memory)} available, {_gib(MEMORY_BYTES)} needed. End other '
            'programs.'
        )
    return found


def _taken(machine: Facts, ports: Ports) -> list[str]:
    taken = [str(port) for port in ports.ours() if not machine.port_is_free(port)]
    if not taken:
        return []
    return [
        (
            f'Another process listens on {HOST} port {", ".join(taken)}. If it is another cloud of '
            'ours, end it with "trove-upgrade-lab down" in its environment; else see which process '
            'it is with "ss -ltnp".'
        )
    ]


def require(layout: Layout, machine: Facts) -> None:
    """Return when nothing is missing.

    :raises MachineLacks: with one line for each thing.
    """
    found = findings(layout, machine)
    if found:
        raise errors.MachineLacks(tuple(found))


def main() -> int:
    """`python3 -m lab.preflight`, which needs nothing installed: 0, or 1 after one
    line for each thing.

    A cloud of ours that is up already is no obstacle.
    """
    layout = Layout.from_environ()
    found = [
        line
        for line in findings(layout, Machine())
        if not (layout.handle_file.exists() and line in _taken(Machine(), PORTS))
    ]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


def _gib(size: int) -> str:
    return f'{size / 1024**3:.1f} GiB'


def _existing(path: pathlib.Path) -> pathlib.Path:
    while not path.is_dir():
        path = path.parent
    return path


def _succeeds(*argv: str) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


if __name__ == '__main__':
    signals.end_at_once('preflight')
    sys.exit(main())
