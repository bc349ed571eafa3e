# SPDX-License-Identifier: Apache-2.0
"""Commands of the upgrade service's own client, shown with what they print as it comes."""

import pathlib
from collections.abc import Callable

from lab import errors
from lab.clients import Clients
from trove_upgrade import terminal

#: An upgrade of the demonstrations takes some seconds: each of its steps is to be seen.
LOOK_SECONDS = 0.5
UPGRADE_SECONDS = 900
#: The end of an upgrade, as its user needs it.
COLUMNS = (
    'state',
    'steps',
    'downtime_seconds',
    'downtime',
    'warnings',
    'remarks',
    'settings_changed',
)
_WIDTH = 110


class OwnClient:
    """Runs `openstack database upgrade ...` as one user, on one line each."""

    def __init__(self, clients: Clients, tell: Callable[[str], None]) -> None:
        self._clients = clients
        self._tell = tell

    def targets(self, instance: str) -> None:
        """Show what an instance may be upgraded to.

        :raises CommandFailed: the command did not end well; its output is in the message.
        """
        self._run('targets', instance)

    def watch(self, instance: str, logs: pathlib.Path) -> None:
        """Follow the newest upgrade of an instance until it is COMPLETED, and show its end.

        :raises LabError: it ended otherwise, or not in time; `logs` are named.
        """
        columns = [word for name in COLUMNS for word in ('-c', name)]
        pace = ('--interval', str(LOOK_SECONDS), '--timeout', str(UPGRADE_SECONDS))
        try:
            self._run('watch', instance, *pace, *columns, '--max-width', str(_WIDTH))
        except errors.CommandFailed as failed:
            raise errors.LabError(
                f'The upgrade of {instance} has not completed. See the logs in {logs}. {failed}',
                code='lab_upgrade_not_completed',
            ) from failed

    def _run(self, *words: str) -> None:
        command = ('openstack', 'database', 'upgrade', *words)
        self._tell(f'$ {" ".join(command)}')
        self._clients.follow(*command, on_line=self._show)

    def _show(self, line: str) -> None:
        self._tell(f'  {terminal.printable(line)}')
