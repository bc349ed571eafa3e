# SPDX-License-Identifier: Apache-2.0
"""The bare machine's life: made, entered, ended; and removed whatever happens."""

import contextlib
import dataclasses
import fcntl
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from lab import cleanup, commands, errors, packages
from lab.bare import root
from lab.bare.network import Network
from lab.bare.place import LOCK, NAME, Place
from lab.bare.registries import Taken
from lab.commands import HostCommands
from lab.progress import Progress
from trove_upgrade.waiting import wait_until

PROFILE = 'bare'
FREE_BYTES = 20 * 1024**3
_HERE = pathlib.Path(__file__).resolve().parent
_CHECKOUT = _HERE.parents[1]
_ENVIRON = {
    'HOME': '/root',
    'USER': 'root',
    'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'TERM': 'dumb',
}
_INSIDE = pathlib.PurePosixPath('/root/targets.sh')
_NAMESPACES = ('--mount', '--pid', '--fork', '--uts', '--ipc', '--kill-child')
_END_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of one target in the bare machine."""

    target: str
    exit_code: int | None  #: None: it did not run to its end
    seconds: int
    last_line: str

    def __str__(self) -> str:
        if self.exit_code is None:
            return f'make {self.target} did not end'
        outcome = 'ended well' if self.exit_code == 0 else f'FAILED with exit code {self.exit_code}'
        return (
            f'make {self.target} {outcome} in {self.seconds // 60} min {self.seconds % 60} s '
            f'("{self.last_line}")'
        )


class BareMachine:
    """One bare machine in one place."""

    def __init__(
        self, place: Place, taken: Taken, progress: Progress, stream: Callable[[str], None]
    ) -> None:
        self._place = place
        self._taken = taken
        self._progress = progress
        self._stream = stream  #: takes each line that the targets print
        self._commands = HostCommands()
        self._network = Network(self._commands, place.directory / 'ip_forward')

    def run(self, targets: Sequence[str], *, keep: bool) -> list[Ending]:
        """Make the machine, run the targets in it, and remove it; with `keep` its files stay, for a
        look.

        :raises errors.LabError: this machine lacks something, another bare machine runs, or a
            program failed.
        """
        with self._locked():
            self._prepare()
            try:
                with self._progress.phase('Making the bare machine') as tell:
                    root.make(self._place, _CHECKOUT, self._taken, self._commands, tell)
                    self._network.make()
                self._enter(targets)
                return self._endings(targets)
            finally:
                self._remove(keep=keep)

    def _prepare(self) -> None:
        missing = packages.missing(PROFILE)
        if missing:
            with self._progress.phase('Installing packages') as tell:
                packages.install(missing, self._place.logs / 'packages.log', tell)
        free = shutil.disk_usage(self._place.directory).free
        if free < FREE_BYTES:
            raise errors.LabError(
                f'Too little space for {self._place.directory}: {free >> 30} GiB free, '
                f'{FREE_BYTES >> 30} GiB needed. Free some, or set TROVE_UPGRADE_BARE to a '
                'directory on another disk.',
                code='lab_machine_lacks',
            )
        changed = root.uncommitted(_CHECKOUT, self._commands)
        if changed:
            self._progress.line(
                f'Not committed, so not tried: {len(changed)} files, among them '
                f'{changed[0].strip()}.'
            )
        self._remove(keep=False)  # an earlier one that was killed

    def _enter(self, targets: Sequence[str]) -> None:
        """Run the targets to their end; a signal that ends this process kills process 1, and with
        it all that runs inside.
        """
        self._furnish()
        child = subprocess.Popen(
            [
                'setpriv',
                '--pdeathsig',
                'KILL',
                '--',
                'nsenter',
                f'--net={self._network.namespace}',
                '--',
                'unshare',
                *_NAMESPACES,
                '--',
                '/bin/sh',
                str(_HERE / 'enter.sh'),
                str(self._place.root),
                NAME,
                str(self._place.cgroup_scratch),
                str(self._place.shared_directories),
                '/bin/bash',
                str(_INSIDE),
                *targets,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            start_new_session=True,
        )
        self._follow(child)

    def _furnish(self) -> None:
        """Lay down in the machine what its process 1 and the targets read."""
        tree = self._place.root
        self._place.cgroup_scratch.mkdir(exist_ok=True)
        shutil.copy(_HERE / 'targets.sh', tree / _INSIDE.relative_to('/'))
        (tree / 'root/environ').write_text(environ_lines(_ENVIRON | dict(self._taken.environ)))
        self._place.shared_directories.write_text(
            ''.join(f'{path}\n' for path in self._taken.directories)
        )

    def _follow(self, child: 'subprocess.Popen[str]') -> None:
        try:
            with (self._place.logs / 'output.log').open('w') as log:
                for line in child.stdout or ():
                    log.write(line)
                    self._stream(line)
            child.wait()
        finally:
            commands.end_session(child)

    def _endings(self, targets: Sequence[str]) -> list[Ending]:
        results = (
            self._place.results.read_text().splitlines() if self._place.results.exists() else []
        )
        last_lines = lines_before(self._place.logs / 'output.log', 'bare machine: make ')
        found = []
        for number, target in enumerate(targets):
            if number < len(results):
                _, code, seconds = results[number].split()
                found.append(
                    Ending(
                        target=target,
                        exit_code=int(code),
                        seconds=int(seconds),
                        last_line=last_lines[number],
                    )
                )
            else:
                found.append(Ending(target=target, exit_code=None, seconds=0, last_line=''))
        return found

    def _remove(self, *, keep: bool) -> None:
        self._network.remove()
        for device in cleanup.loop_devices(self._place.root, self._place.root):
            self._commands.run(['losetup', '--detach', device], check=False)
        if not wait_until(self._cgroups_are_gone, _END_SECONDS, interval_seconds=0.2):
            raise errors.TimedOut(
                'the processes of the bare machine to end', _END_SECONDS, 'See the logs.'
            )
        if keep:
            self._progress.line(f'Kept: {self._place.root}, until the next bare machine.')
        else:
            root.remove(self._place, self._commands)

    def _cgroups_are_gone(self) -> bool:
        scratch = self._place.cgroup_scratch
        if not scratch.is_dir():
            return True
        script = f'. {_HERE.parent}/hypervisor/guest-cgroups.sh; remove_cgroups {NAME} {scratch}'
        return (
            self._commands.run(
                ['unshare', '--mount', '--', '/bin/sh', '-c', script], check=False
            ).returncode
            == 0
        )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._place.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._place.directory.chmod(0o700)  # credentials of registries may be in it
        with LOCK.open('w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as taken:
                raise errors.LabError(
                    'Another bare machine runs on this machine. Wait for its end, or end it with '
                    'Ctrl-C.',
                    code='lab_bare_runs',
                ) from taken
            yield


def environ_lines(environ: Mapping[str, str]) -> str:
    """Return `environ` as lines NAME=VALUE; a value of several lines cannot be carried, and is left
    out.
    """
    return ''.join(
        f'{name}={value}\n' for name, value in sorted(environ.items()) if '\n' not in value
    )


def lines_before(log: pathlib.Path, mark: str) -> list[str]:
    """Return the last line of each part of a log, without those in which make names its own line; a
    part begins with `mark`.
    """
    parts: list[str] = []
    for line in log.read_text(errors='replace').splitlines():
        if line.startswith(mark):
            parts.append('')
        elif parts and line.strip() and not line.startswith('make: ***'):
            parts[-1] = line.strip()
    return parts


def to_stdout(line: str) -> None:
    """Show a line at once."""
    sys.stdout.write(line)
    sys.stdout.flush()
