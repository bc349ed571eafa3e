# SPDX-License-Identifier: Apache-2.0
"""Services of Trove's agent that do not run for a while, not after a reboot either, and then are
what they were.
"""

import dataclasses
import pathlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self

from trove_upgrade.guestagent.machine import boot_links, durable
from trove_upgrade.guestagent.machine.agent_services import AgentServices


@dataclasses.dataclass(frozen=True)
class _Was:
    """State of one service before it was parked."""

    running: bool
    links: boot_links.BootLinks
    may_run: bool = False  #: nothing told whether it ran, and boots started it

    def to_json(self) -> dict[str, Any]:
        return {'running': self.running, 'links': self.links.to_json(), 'may_run': self.may_run}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` has returned; former releases wrote no `may_run`."""
        links = boot_links.BootLinks.from_json(document['links'])
        return cls(bool(document['running']), links, bool(document.get('may_run', False)))


def _ran(services: Mapping[str, _Was]) -> list[str]:
    return [name for name, was in services.items() if was.running]


class Parked:
    """The services of one root disk that are parked.  `memory` is a file there, and is gone when
    none is.
    """

    def __init__(self, services: AgentServices, memory: pathlib.Path) -> None:
        self._services, self._port = services, services.port
        self._memory = memory

    def park(self, names: Iterable[str]) -> None:
        """Stop them, and let nothing start them at boot.  What was first seen of each is
        remembered; safe to repeat.

        :raises StepFailed: one cannot be stopped or disabled.
        """
        remembered = self._remembered()
        found = self._look([name for name in names if name not in remembered])
        if found:
            durable.make_directory(self._memory.parent, 0o700)
            durable.write_json(
                self._memory,
                {name: was.to_json() for name, was in {**remembered, **found}.items()},
            )
        self._switch_off(once_ran=_ran(remembered))

    def keep(self) -> None:
        """Stop and disable again what is parked, where something has started it since."""
        self._switch_off(once_ran=_ran(self._remembered()))

    def _switch_off(self, *, once_ran: Collection[str]) -> None:
        remembered = self._remembered()
        for name in remembered:
            if self._port.is_enabled(name):
                self._port.disable(name)
        self._services.stop(remembered, once_ran=once_ran)

    def put_back(self) -> list[str]:
        """Make all of them start at boot, or not, as before; return which ones ran, or may have.
        They are parked until `forget`.
        """
        remembered = self._remembered()
        for name, was in remembered.items():
            self._port.put_boot_links(name, was.links)
        return [name for name, was in remembered.items() if was.running or was.may_run]

    def forget(self) -> None:
        """Let go of what was remembered.  Safe to repeat."""
        durable.remove(self._memory)

    def _look(self, names: Collection[str]) -> dict[str, _Was]:
        running = self._services.running(names)
        return {
            name: _Was(
                name in running,
                self._port.boot_links(name),
                name not in running and self._services.may_run(name),
            )
            for name in names
        }

    def _remembered(self) -> dict[str, _Was]:
        try:
            document = durable.read_json(self._memory)
        except FileNotFoundError:
            return {}
        return {name: _Was.from_json(was) for name, was in document.items()}
