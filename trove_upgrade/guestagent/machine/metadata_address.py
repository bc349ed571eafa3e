# SPDX-License-Identifier: Apache-2.0
"""The cloud's metadata address, which shows the server's user data to all programs of the guest:
closed for all but root, or open.
"""

import pathlib
from typing import Protocol

from trove_upgrade.guestagent.machine import commands as commands_module

#: Of our images; closes the address, and looks whether it is closed.
PROGRAM = pathlib.Path('/usr/lib/trove-upgrade/metadata-closed')
_NO_SUCH_PROGRAM = 127


class MetadataAddress(Protocol):
    """The guest's own firewall, as far as it concerns the metadata address."""

    def opening(self) -> str | None:
        """Return why the address is open for other users than root; None where it is closed."""


class Closed:
    """Stands for a guest with a closed address."""

    def opening(self) -> str | None:
        return None


class GuestFirewall:
    """`MetadataAddress` by the script of the image."""

    def __init__(self, commands: commands_module.Commands) -> None:
        self._commands = commands

    def opening(self) -> str | None:
        done = self._commands.run([str(PROGRAM), '--check'], timeout_seconds=20)
        if done.returncode == 0:
            return None
        return f'this image has no {PROGRAM}' if done.returncode == _NO_SUCH_PROGRAM else done.said
