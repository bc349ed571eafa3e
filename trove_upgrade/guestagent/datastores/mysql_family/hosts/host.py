# SPDX-License-Identifier: Apache-2.0
"""Interface of a host: where the server runs.  The other half of a driver is its `Engine`."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import connection, option_files, preserved
from trove_upgrade.guestagent.datastores.mysql_family.programs import Programs
from trove_upgrade.guestagent.datastores.mysql_family.server import Server
from trove_upgrade.guestagent.machine.progress import Progress

START_SECONDS = 900


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostPorts:
    """Ports to what is outside of a host; a test hands in others."""

    connect: connection.Connector = connection.open_session
    sleep: Callable[[float], None] = time.sleep
    proc: pathlib.Path = pathlib.Path('/proc')
    start_seconds: float = START_SECONDS  #: how long a start may take


class BootSetting(Protocol):
    """What starts the server at boot, and what runs it now."""

    def switch_off(self) -> None:
        """Remember what is on, and switch it off."""

    def switch_on_ours(self) -> None:
        """Have our database service, or Trove's policy, start it."""

    def undo(self) -> None:
        """Bring back what `switch_off` has remembered."""

    def remember_running(self) -> None:
        """Remember what runs the server."""

    def running(self) -> str | None:
        """Return the name of what runs it; None: nothing does."""

    def former(self) -> str:
        """Return the name of what ran it before the upgrade."""


class Host(Protocol):
    """A contract of `base.DatastoreDriver`'s kind: what is said there of a method of the same name
    holds here.
    """

    @property
    def shares_volume(self) -> bool:
        """Return whether Trove's agent gives the volume's top to the database's user."""

    @property
    def server(self) -> Server:
        """The server that runs here."""

    @property
    def programs(self) -> Programs:
        """The engine's programs."""

    @property
    def autostart(self) -> BootSetting:
        """What starts the server at boot."""

    # --- before -----------------------------------------------------------------------------------

    def preserve(
        self,
    ) -> Callable[[option_files.Configuration], preserved.Preserved] | None:
        """Return what tells which files of the root disk are kept; None: all that counts lies in
        one directory.
        """

    def checks(self, target: TargetFacts) -> Sequence[CheckResult]:
        """Check what is this host's own."""

    def prepare_target(self, target: TargetFacts, progress: Progress) -> None:
        """As `base`."""

    def stopped(self, fingerprint: base.Fingerprint) -> None:
        """Remember what is known of the server that has just been stopped."""

    def ended_cleanly(self) -> bool:
        """Return whether the server's process has, as far as the host knows."""

    def stash_roots(self) -> Sequence[pathlib.Path]:
        """As `base`."""

    # --- after ------------------------------------------------------------------------------------

    def restore_paths(self, stashed: base.Stashed) -> Sequence[str]:
        """As `base`."""

    def left_alone(self, stashed: base.Stashed) -> Sequence[str]:
        """As `base`."""

    def restore_first(self, stashed: Sequence[str]) -> Sequence[str]:
        """As `base`."""

    def prepare_places(self, stashed: base.Stashed, coming: Sequence[str]) -> None:
        """As `base`."""

    def check_restored(self, stashed: base.Stashed) -> CheckResult | None:
        """As `base`."""

    def prefetch(self) -> None:
        """As `base`."""

    def expect(self, target: TargetFacts) -> None:
        """As `base`."""

    def installed_version(self) -> str | None:
        """As `base`."""

    def check_configuration(self, options: GuestOptions) -> CheckResult:
        """As `base`."""

    def check_again(self, options: GuestOptions, progress: Progress) -> CheckResult | None:
        """As `base`."""

    def own_data(self) -> None:
        """As `base`."""

    def run_isolated(self, arguments: Sequence[str]) -> None:
        """Run the server with `arguments` added, which isolate it.  One that runs in any other way
        is stopped first.

        :raises StepFailed: it does not start.
        """

    def for_programs(self, credentials: connection.Credentials) -> connection.Credentials:
        """Return the same way in, as the engine's programs see it."""

    def compared(
        self, before: base.Fingerprint, after: base.Fingerprint, found: base.Comparison
    ) -> base.Comparison:
        """Return `found` without what differs on this host alone."""

    def open_for_clients(self) -> None:
        """As `base`."""

    def start(self) -> None:
        """As `base`."""

    def set_autostart(self, *, enabled: bool) -> None:
        """As `base`."""

    def undo_autostart(self) -> None:
        """As `base`."""

    def autostart_is_durable(self) -> CheckResult | None:
        """As `base`."""

    def publish(self) -> None:
        """As `base`."""
