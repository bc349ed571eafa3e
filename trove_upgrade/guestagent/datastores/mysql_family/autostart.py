# SPDX-License-Identifier: Apache-2.0
"""Start of the database at boot: the service that does it, and the one that did it before."""

import pathlib
from collections.abc import Sequence
from typing import Any

from trove_upgrade.guestagent.datastores.mysql_family import places
from trove_upgrade.guestagent.machine import boot_links, durable
from trove_upgrade.guestagent.machine import service as service_module

DATABASE = service_module.DATABASE


class Autostart:
    """The database services of one root disk.  `memory` says what was switched off, and outlives a
    reboot.
    """

    def __init__(self, service: service_module.ServicePort, memory: pathlib.Path) -> None:
        self._service = service
        self._memory = memory

    def switch_off(self) -> None:
        """Let nothing start the server at boot. A second call forgets nothing of what the first one
        remembered.
        """
        existing = self._existing()
        enabled = [name for name in existing if self._service.is_enabled(name)]
        links = {name: self._service.boot_links(name).to_json() for name in existing}
        self.remember_running()
        remembered = self._remembered()
        durable.write_json(
            self._memory,
            {
                **remembered,
                'enabled': sorted({*remembered.get('enabled', ()), *enabled}),
                'links': {**links, **remembered.get('links', {})},
            },
        )
        for name in enabled:
            self._service.disable(name)

    def remember_running(self) -> None:
        """Keep the name of the service that runs the server now; the first one that was seen
        counts.
        """
        remembered = self._remembered()
        if remembered.get('undone'):  # what an earlier upgrade remembered has been brought back
            remembered = {}
        durable.make_directory(self._memory.parent)
        durable.write_json(
            self._memory, {**remembered, 'running': remembered.get('running') or self.running()}
        )

    def switch_on_ours(self) -> None:
        """Our service starts the server at boot, and no other one does."""
        for name in self._existing():
            if name != DATABASE and self._service.is_enabled(name):
                self._service.disable(name)
        self._service.enable(DATABASE)

    def undo(self) -> None:
        """Restore exactly what was before `switch_off`. Where nothing is remembered, nothing was
        switched off.
        """
        remembered = self._remembered()
        if 'enabled' not in remembered or remembered.get('undone'):
            return
        links = remembered.get('links')
        for name, found in (links or {}).items():
            self._service.put_boot_links(name, boot_links.BootLinks.from_json(found))
        if links is None:  # of a release that has remembered less
            for name in remembered['enabled']:
                self._service.enable(name)
        durable.write_json(self._memory, {**remembered, 'undone': True})

    def running(self) -> str | None:
        """The service that runs the server now, if one says so."""
        return next((name for name in self._existing() if self._service.status(name)), None)

    def former(self) -> str:
        """The service that ran the server before the upgrade."""
        remembered = self._remembered()
        existing = self._existing()
        if remembered.get('running') in existing:
            return str(remembered['running'])
        enabled = [name for name in existing if self._service.is_enabled(name)]
        return (
            enabled
            or [name for name in remembered.get('enabled', ()) if name in existing]
            or existing
            or [DATABASE]
        )[0]

    def _existing(self) -> Sequence[str]:
        return [name for name in places.UNITS if self._service.exists(name)]

    def _remembered(self) -> dict[str, Any]:
        try:
            return durable.read_json(self._memory)
        except FileNotFoundError:
            return {}
