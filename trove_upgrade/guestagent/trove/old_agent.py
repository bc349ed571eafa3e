# SPDX-License-Identifier: Apache-2.0
"""Trove's own agent beside a database that is a service of the guest, as on root disks that an old
Trove has made: parked while an upgrade has the database in hand.

Such an agent starts the database that it takes for crashed, at its own start too, and its service
asks nothing. So the service itself is stopped and started at no boot, and what is sent to it is
refused meanwhile (`refusing_server`). Outside of an upgrade it is left alone.
"""

import pathlib
from collections.abc import Sequence

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.guestagent.machine import durable
from trove_upgrade.guestagent.machine.agent_services import AgentServices
from trove_upgrade.guestagent.machine.parked import Parked
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.trove.trove_agent import Substitute

LOG = logs.get_logger(__name__)


class OldAgent:
    """`TroveAgentControl` of the drivers of services.  Between `hold` and `release` the file
    `trove-agent-held` tells so, where there is such an agent.  That an upgrade has the database in
    hand is told by the marks of the stop alone.
    """

    def __init__(
        self, layout: Layout, services: AgentServices, substitute: Substitute, names: Sequence[str]
    ) -> None:
        """:param names: those that the service may have; the ones that exist count."""
        self._services = services
        self._substitute = substitute
        self._names = names
        self._held = layout.state / 'trove-agent-held'
        self._parked = Parked(services, layout.state / 'trove-agent-services.json')

    def marker_files(self) -> Sequence[pathlib.Path]:
        """Return no file: nothing of it is kept for another root disk."""
        return ()

    def hold(self) -> None:
        """Stop it, and let it start at no boot.

        :raises StepFailed: it cannot be stopped or disabled.
        """
        names = [name for name in self._names if self._services.port.exists(name)]
        if not names:
            return
        durable.make_directory(self._held.parent, 0o700)
        durable.write(self._held, b'')
        self._parked.park(names)
        self._substitute.begin()

    def release(self) -> None:
        """Let it start at boot and run as before, if it did.

        A database that serves is not taken from its clients because it does not start.

        :raises StepFailed: what starts it at boot cannot be put back.
        """
        if not self._held.exists():
            return
        ran = self._parked.put_back()
        self._substitute.end()
        for name in ran:
            self._start(name)
        self._parked.forget()
        durable.remove(self._held)

    def _start(self, name: str) -> None:
        try:
            self._services.start(name)
        except exceptions.StepFailed:
            LOG.exception(
                "Trove's agent cannot be started again: Trove gets no sign of life of this guest "
                'until it runs'
            )

    def resume(self) -> None:
        """Stop what has started it against its settings, at our agent's own start, and go on to
        refuse what is sent to it.
        """
        if not self._held.exists():
            return
        try:
            self._parked.keep()
        except exceptions.StepFailed:
            LOG.exception("Trove's agent may run, and an upgrade has its database in hand")
        self._substitute.begin()
