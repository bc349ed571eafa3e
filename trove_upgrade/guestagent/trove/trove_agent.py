# SPDX-License-Identifier: Apache-2.0
"""Trove's own agent in the same guest: held back while an upgrade has the database in hand, let go
when it serves.

At its start that agent mounts the volume where it is not mounted (and gives all of it to the
database's user), every minute it reports what its container does, and it obeys whatever was cast to
it while it was away.  Source: trove 26, cmd/guest.py, guestagent/datastore/{manager,service}.py.
So between the stop of the database and its opening it does not run, on either root disk, and what
is sent to it meanwhile is refused in its name (`refusing_server`): it would come hours too late.

Two files in the agent's state keep this over reboots, and
/usr/lib/trove-upgrade/trove-agent-may-start reads them before each start.  Where a bridge has
brought ours into a guest the image has no such program, and no service asks it: there the service
itself is started at no boot.
"""

import pathlib
import threading
from collections.abc import Sequence
from typing import Protocol

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.guestagent.machine import commands as commands_module
from trove_upgrade.guestagent.machine import durable, identity
from trove_upgrade.guestagent.machine.agent_services import AgentServices
from trove_upgrade.guestagent.machine.parked import Parked
from trove_upgrade.guestagent.storage.layout import Layout

LOG = logs.get_logger(__name__)

#: Names that the unit of Trove's agent has had: in images of Trove's project, in this project's
#: lab, in older images.
SERVICES = ('guest-agent', 'trove-guestagent', 'trove-guest')
#: Trove's agent reports only where the second one is.  Source: trove 26,
#: guestagent/datastore/service.py.
PREPARED = ('.guestagent.prepare.start', '.guestagent.prepare.end')

#: Below the root, in images of ours.
_MAY_START = pathlib.PurePosixPath('usr/lib/trove-upgrade/trove-agent-may-start')
_REPORT = pathlib.Path('/usr/lib/trove-upgrade/trove-agent-report')
_REPORT_SECONDS = 60.0


class Substitute(Protocol):
    """The port to what answers in the place of Trove's agent."""

    def begin(self) -> None:
        """Take what is sent to Trove's agent, and refuse it.  Safe to repeat."""

    def end(self) -> None:
        """Stop answering. Safe to repeat."""


class Reporter(Protocol):
    """The port to Trove's own words to its conductor."""

    def report(self) -> None:
        """Have them said soon; only sooner than Trove's agent would by itself, so that a failure
        changes nothing else.
        """


class TroveAgent:
    """`TroveAgentControl` of the container drivers."""

    def __init__(
        self,
        layout: Layout,
        services: AgentServices,
        substitute: Substitute,
        reporter: Reporter,
        names: Sequence[str] = SERVICES,
    ) -> None:
        self._layout = layout
        self._services = services
        self._substitute = substitute
        self._reporter = reporter
        self._names = names
        self._home = layout.root / 'opt' / 'trove-guestagent'
        self._held = layout.state / 'trove-agent-held'
        self._released = layout.state / 'trove-agent-released'
        self._parked = Parked(services, layout.state / 'trove-agent-services.json')

    def _installed(self) -> list[str]:
        return [name for name in self._names if self._services.port.exists(name)]

    def marker_files(self) -> Sequence[pathlib.Path]:
        """Return the files by which it knows that its database has been made."""
        return [self._home / name for name in PREPARED]

    def is_held(self) -> bool:
        """Return whether it may not start now, by the same rule as trove-agent-may-start."""
        return self._held.exists() or (
            identity.read_marker(self._layout.marker) is not None and not self._released.exists()
        )

    def resume(self) -> None:
        """Refuse from now on, at our agent's own start, what is sent to a Trove's agent that is
        held back.
        """
        if not self._installed() or not self.is_held():
            return
        try:
            self._parked.keep()
        except exceptions.StepFailed:
            LOG.exception("Trove's agent may run, and an upgrade has its database in hand")
        self._substitute.begin()

    def hold(self) -> None:
        """Hold it back, durably, and stop it.

        :raises StepFailed: it cannot be stopped, or be kept from a start at boot.
        """
        names = self._installed()
        if not names:
            return
        durable.make_directory(self._layout.state, 0o700)
        durable.write(self._held, b'')
        durable.remove(self._released)
        if (self._layout.root / _MAY_START).exists():
            self._services.stop(names)
        else:
            self._parked.park(names)
        self._substitute.begin()

    def release(self) -> None:
        """Let it go: its marks first, then it is started, then it is heard.

        A database that serves is not taken from its clients because that cannot be told: Trove
        then shows no sign of life of it, and this says why in the log.

        :raises StepFailed: what starts it at boot cannot be put back.
        """
        names = self._installed()
        if not names:
            return
        for path in self.marker_files():
            durable.make_directory(path.parent)
            if not path.exists():
                durable.write(path, b'')
        durable.make_directory(self._layout.state, 0o700)
        self._parked.put_back()
        durable.write(self._released, b'')
        durable.remove(self._held)
        self._parked.forget()
        self._substitute.end()
        try:
            for name in names:
                self._services.start(name)
        except exceptions.StepFailed:
            LOG.exception(
                "Trove's agent cannot be started again: Trove gets no sign of life of this guest "
                'until it runs'
            )
        self._reporter.report()


class ProgramReporter:
    """`Reporter` by a program that Trove's own interpreter runs."""

    def __init__(
        self,
        commands: commands_module.Commands,
        program: pathlib.Path,
        configuration: pathlib.Path,
        script: pathlib.Path = _REPORT,
    ) -> None:
        """:param program: trove-guestagent; its first line names the interpreter."""
        self._commands = commands
        self._program = program
        self._configuration = configuration
        self._script = script

    def report(self) -> None:
        threading.Thread(target=self._run, name='trove-report', daemon=True).start()

    def _run(self) -> None:
        interpreter = self._interpreter()
        if interpreter is None:
            return
        done = self._commands.run(
            [*interpreter, str(self._script), f'--config-dir={self._configuration}'],
            _REPORT_SECONDS,
        )
        if done.returncode == 0:
            LOG.info("Trove's conductor was told that the database is healthy")
        else:
            LOG.info(
                "Trove's conductor hears of the database from Trove's agent, within two minutes: "
                '%s',
                done.said,
            )

    def _interpreter(self) -> list[str] | None:
        try:
            first = self._program.read_bytes().split(b'\n', 1)[0]
        except OSError:
            return None
        return (
            first[2:].decode(errors='replace').split()
            if first.startswith(b'#!') and b'python' in first
            else None
        )
