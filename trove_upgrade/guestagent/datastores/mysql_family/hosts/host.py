# SPDX-License-Identifier: Apache-2.0
"""Interface of a host: where the server runs.  The other half of a driver is its `Engine`."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.image_archive import ImageArchive, ImageSource
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import connection, option_files, preserved
from trove_upgrade.guestagent.datastores.mysql_family.programs import Programs
from trove_upgrade.guestagent.datastores.mysql_family.server import Server
from trove_upgrade.guestagent.datastores.portable_image import Opened, PortableImage
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
    """Port to what starts the server at boot, and what runs it now."""

    def switch_off(self) -> None:
        """Remember what is on, and switch it off."""

    def switch_on_ours(self) -> None:
        """Let our database service, or Trove's policy, start it."""

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
        """Names of the engine's programs, as this host starts them."""

    @property
    def autostart(self) -> BootSetting:
        """Setting of what starts the server at boot."""

    def volume_owner(self) -> int | None:
        """Implement `DatastoreDriver.volume_owner`: the one user besides root that may own it."""

    # --- before -----------------------------------------------------------------------------------

    def preserve(
        self,
    ) -> Callable[[option_files.Configuration], preserved.Preserved] | None:
        """Return what tells which files of the root disk are kept; None: all that counts lies in
        one directory.
        """

    def checks(self, target: TargetFacts) -> Sequence[CheckResult]:
        """Check what is this host's own."""

    def bring_target(self, target: TargetFacts, progress: Progress) -> str | None:
        """Implement `DatastoreDriver.bring_target`: bring here what the new server needs."""

    def prepare_target(self, target: TargetFacts, progress: Progress) -> None:
        """Implement `DatastoreDriver.prepare_target`: bring here and try what the new server
        needs.
        """

    def stopped(self, fingerprint: base.Fingerprint) -> None:
        """Remember what is known of the server that has just been stopped."""

    def ended_cleanly(self) -> bool:
        """Return whether the server's process has, as far as the host knows."""

    def stash_roots(self) -> Sequence[pathlib.Path]:
        """Implement `DatastoreDriver.stash_roots`: name what of this root disk is kept."""

    # --- after ------------------------------------------------------------------------------------

    def restore_paths(self, stashed: base.Stashed) -> Sequence[str]:
        """Implement `DatastoreDriver.restore_paths`: choose what of the stash comes back now."""

    def left_alone(self, stashed: base.Stashed) -> Sequence[str]:
        """Implement `DatastoreDriver.left_alone`: name what does not come, as one is here
        already.
        """

    def restore_first(self, stashed: Sequence[str]) -> Sequence[str]:
        """Implement `DatastoreDriver.restore_first`: choose what comes before the rest."""

    def prepare_places(self, stashed: base.Stashed, coming: Sequence[str]) -> None:
        """Implement `DatastoreDriver.prepare_places`: make the places of the coming files."""

    def check_restored(self, stashed: base.Stashed) -> CheckResult | None:
        """Implement `DatastoreDriver.check_restored`: judge as a whole what has come."""

    def portable_target(self) -> PortableImage | None:
        """Implement `DatastoreDriver.portable_target`: give what was tried as a file."""

    def portable_former(self) -> PortableImage | None:
        """Implement `DatastoreDriver.portable_former`: give what runs as a file."""

    def receive(self, archive: ImageArchive, opened: Opened) -> None:
        """Implement `DatastoreDriver.receive`: take the image from a copy of its archive."""

    def image_source(self) -> ImageSource | None:
        """Implement `DatastoreDriver.image_source`: tell where the server is from."""

    def prefetch(self) -> None:
        """Implement `DatastoreDriver.prefetch`: begin to bring here what the host will want."""

    def expect(self, target: TargetFacts) -> None:
        """Implement `DatastoreDriver.expect`: take the call's word for what shall run here."""

    def installed_version(self) -> str | None:
        """Implement `DatastoreDriver.installed_version`: tell which version is here."""

    def check_configuration(self, options: GuestOptions) -> CheckResult:
        """Implement `DatastoreDriver.check_configuration`: try the configuration on scratch
        data.
        """

    def check_again(self, options: GuestOptions, progress: Progress) -> CheckResult | None:
        """Implement `DatastoreDriver.check_again`: try again what may have been mended since."""

    def own_data(self) -> None:
        """Implement `DatastoreDriver.own_data`: give the data to the server's user."""

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

    def keep_closed(self) -> None:
        """Implement `DatastoreDriver.keep_closed`: put lost rules in force again."""

    def is_isolated(self) -> bool:
        """Implement `DatastoreDriver.is_isolated`: tell whether clients may have come."""

    def open_for_clients(self) -> None:
        """Implement `DatastoreDriver.open_for_clients`: end the isolation."""

    def start(self) -> None:
        """Implement `DatastoreDriver.start`: start the server as before the upgrade."""

    def set_autostart(self, *, enabled: bool) -> None:
        """Implement `DatastoreDriver.set_autostart`: set durably what starts the server at boot."""

    def undo_autostart(self) -> None:
        """Implement `DatastoreDriver.undo_autostart`: bring back what was switched off."""

    def autostart_is_durable(self) -> CheckResult | None:
        """Implement `DatastoreDriver.autostart_is_durable`: check the start at the next boot."""

    def publish(self) -> None:
        """Implement `DatastoreDriver.publish`: let watchers say that the database serves."""
