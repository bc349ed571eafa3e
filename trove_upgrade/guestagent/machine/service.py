# SPDX-License-Identifier: Apache-2.0
"""Services of the guest: systemd where it runs, sysv scripts everywhere else, behind one port.

`systemctl` on the disk proves nothing (it is installed in images that another init boots);
/run/systemd/system does. Source: sd_booted(3).
"""

import enum
import pathlib
import re
from typing import Protocol

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.machine import boot_links as boot_links_module
from trove_upgrade.guestagent.machine import commands as commands_module
from trove_upgrade.guestagent.machine import durable, listing
from trove_upgrade.guestagent.machine.boot_links import BootLinks

#: Our own database service: checks mount point and UUID, then starts the server directly, without
#: the distribution's hooks.
DATABASE = 'trove-upgrade-database'

_START_SECONDS = 300
_SHORT_SECONDS = 60
#: Source: LSB, "Init Script Actions", and systemctl(1), "Exit status".
_NOT_RUNNING = 3
#: A script without the word has no such action, but for those that Debian's interpreter runs.
_HAS_STATUS = re.compile(r'\bstatus\b|\A#!.*/init-d-script\b')


class ServiceState(enum.Enum):
    """Word of a service about itself."""

    RUNNING = enum.auto()  #: or systemd is about to start it again
    STOPPED = enum.auto()
    UNKNOWN = enum.auto()  #: its script was not understood, or has no such action


class ServicePort(Protocol):
    """The agent's operations on a service.  `name` has no suffix.

    Every change is durable when the call returns.
    """

    def exists(self, name: str) -> bool:
        """Return whether this image has such a service."""

    def start(self, name: str) -> None:
        """Start a service, and wait until it runs.

        :raises StepFailed: SERVICE_NOT_STARTED; it did not start.
        """

    def stop(self, name: str) -> None:
        """Stop a service, and wait until it has ended.

        :raises StepFailed: SERVICE_NOT_STOPPED; it did not stop.
        """

    def status(self, name: str) -> bool:
        """Tell whether the service runs."""

    def state(self, name: str) -> ServiceState:
        """Return the same, where a wrong "no" would do harm."""

    def script(self, name: str) -> str:
        """Return the text of its script; empty where it has none, as a systemd unit."""

    def enable(self, name: str) -> None:
        """Let it start at boot.

        :raises StepFailed: SERVICE_NOT_ENABLED.
        """

    def disable(self, name: str) -> None:
        """Let nothing start it at boot.

        :raises StepFailed: SERVICE_NOT_DISABLED.
        """

    def is_enabled(self, name: str) -> bool:
        """Return whether it starts at boot."""

    def boot_links(self, name: str) -> BootLinks:
        """Return all that decides on its start at boot."""

    def put_boot_links(self, name: str, links: BootLinks) -> None:
        """Let it start at boot, or not, exactly as when `links` were found.

        :raises StepFailed: SERVICE_NOT_ENABLED.
        """


def _failed(what: str, name: str, said: str, code: str) -> exceptions.StepFailed:
    return exceptions.StepFailed(
        f'Service {name} cannot be {what}: {said or "it said nothing"}. '
        f"Look at the service's log in the guest.",
        code,
    )


#: Source: systemd(1); "activating" is also the pause before a restart.
_SYSTEMD_STATES = {
    **dict.fromkeys(('active', 'activating', 'reloading', 'refreshing'), ServiceState.RUNNING),
    **dict.fromkeys(('inactive', 'failed'), ServiceState.STOPPED),
}


class Systemd:
    """Implements `ServicePort` with systemctl."""

    def __init__(
        self, commands: commands_module.Commands, root: pathlib.Path = pathlib.Path('/')
    ) -> None:
        self._commands = commands
        self._etc = root / 'etc'
        self._units = self._etc / 'systemd' / 'system'

    def _systemctl(
        self, *arguments: str, timeout_seconds: float = _SHORT_SECONDS
    ) -> commands_module.Completed:
        return self._commands.run(['systemctl', '--no-ask-password', *arguments], timeout_seconds)

    def exists(self, name: str) -> bool:
        return self._systemctl('cat', f'{name}.service').returncode == 0

    def start(self, name: str) -> None:
        """A unit that has failed too often is given another chance."""
        self._systemctl('reset-failed', f'{name}.service')
        done = self._systemctl('start', f'{name}.service', timeout_seconds=_START_SECONDS)
        if done.returncode != 0:
            raise _failed('started', name, done.said, 'SERVICE_NOT_STARTED')

    def stop(self, name: str) -> None:
        done = self._systemctl('stop', f'{name}.service', timeout_seconds=_START_SECONDS)
        if done.returncode != 0 or self.status(name):
            raise _failed('stopped', name, done.said, 'SERVICE_NOT_STOPPED')

    def status(self, name: str) -> bool:
        return self._systemctl('is-active', '--quiet', f'{name}.service').returncode == 0

    def state(self, name: str) -> ServiceState:
        word = self._systemctl('is-active', f'{name}.service').stdout.strip()
        return _SYSTEMD_STATES.get(word, ServiceState.UNKNOWN)

    def script(self, name: str) -> str:  # noqa: ARG002 - the port's
        """Return nothing: systemd itself knows the processes of a unit."""
        return ''

    def enable(self, name: str) -> None:
        self._change(name, 'enable', 'enabled', 'SERVICE_NOT_ENABLED')

    def disable(self, name: str) -> None:
        self._change(name, 'disable', 'disabled', 'SERVICE_NOT_DISABLED')

    def _change(self, name: str, verb: str, done_word: str, code: str) -> None:
        done = self._systemctl(verb, f'{name}.service')
        if done.returncode != 0 or self.is_enabled(name) != (verb == 'enable'):
            raise _failed(done_word, name, done.said, code)
        durable.sync_directories((self._units, *listing.matching(self._units, '*.wants')))

    def is_enabled(self, name: str) -> bool:
        """Tell whether it says "enabled": "alias" and "static" start nothing by themselves."""
        return self._systemctl('is-enabled', f'{name}.service').stdout.strip() == 'enabled'

    def boot_links(self, name: str) -> BootLinks:
        return boot_links_module.find(self._etc, name)

    def put_boot_links(self, name: str, links: BootLinks) -> None:
        """Put them back, and have systemd read them."""
        boot_links_module.put_back(self._etc, name, links)
        done = self._systemctl('daemon-reload')
        if done.returncode != 0:
            raise _failed('enabled', name, done.said, 'SERVICE_NOT_ENABLED')


class Sysv:
    """Services with a script in /etc/init.d, started by whatever init reads /etc/rc?.d."""

    def __init__(
        self, commands: commands_module.Commands, root: pathlib.Path = pathlib.Path('/')
    ) -> None:
        self._commands = commands
        self._etc = root / 'etc'

    def _script(self, name: str) -> str:
        return str(self._etc / 'init.d' / name)

    def exists(self, name: str) -> bool:
        return (self._etc / 'init.d' / name).is_file()

    def start(self, name: str) -> None:
        done = self._commands.run([self._script(name), 'start'], _START_SECONDS)
        if done.returncode != 0:
            raise _failed('started', name, done.said, 'SERVICE_NOT_STARTED')

    def stop(self, name: str) -> None:
        done = self._commands.run([self._script(name), 'stop'], _START_SECONDS)
        if done.returncode != 0 or self.state(name) is ServiceState.RUNNING:
            raise _failed('stopped', name, done.said, 'SERVICE_NOT_STOPPED')

    def status(self, name: str) -> bool:
        return self._status_code(name) == 0

    def _status_code(self, name: str) -> int:
        return self._commands.run([self._script(name), 'status'], _SHORT_SECONDS).returncode

    def state(self, name: str) -> ServiceState:
        """A script that does not know the action may end with any code, also with those of LSB."""
        if _HAS_STATUS.search(self.script(name)) is None:
            return ServiceState.UNKNOWN
        states = {0: ServiceState.RUNNING, _NOT_RUNNING: ServiceState.STOPPED}
        return states.get(self._status_code(name), ServiceState.UNKNOWN)

    def script(self, name: str) -> str:
        with listing.vanishing():
            return pathlib.Path(self._script(name)).read_text(errors='replace')
        return ''

    def enable(self, name: str) -> None:
        """`defaults` makes the links where there are none, `enable` switches
        existing ones on.
        """
        self._commands.run(['update-rc.d', name, 'defaults'], _SHORT_SECONDS)
        self._change(name, 'enable', 'enabled', 'SERVICE_NOT_ENABLED')

    def disable(self, name: str) -> None:
        if self._links(name, 'S'):
            self._change(name, 'disable', 'disabled', 'SERVICE_NOT_DISABLED')

    def _change(self, name: str, verb: str, done_word: str, code: str) -> None:
        done = self._commands.run(['update-rc.d', name, verb], _SHORT_SECONDS)
        if done.returncode != 0 or self.is_enabled(name) != (verb == 'enable'):
            raise _failed(done_word, name, done.said, code)
        durable.sync_directories(listing.matching(self._etc, 'rc?.d'))

    def _links(self, name: str, kind: str) -> list[pathlib.Path]:
        return [
            link
            for directory in listing.matching(self._etc, 'rc[2-5].d')
            for link in listing.matching(directory, f'{kind}[0-9][0-9]{name}')
        ]

    def is_enabled(self, name: str) -> bool:
        return bool(self._links(name, 'S'))

    def boot_links(self, name: str) -> BootLinks:
        return boot_links_module.find(self._etc, name)

    def put_boot_links(self, name: str, links: BootLinks) -> None:
        boot_links_module.put_back(self._etc, name, links)


def detect(
    commands: commands_module.Commands, root: pathlib.Path = pathlib.Path('/')
) -> Systemd | Sysv:
    """The port for the init that runs now."""
    if (root / 'run' / 'systemd' / 'system').is_dir():
        return Systemd(commands, root)
    return Sysv(commands, root)
