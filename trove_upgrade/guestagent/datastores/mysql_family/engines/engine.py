# SPDX-License-Identifier: Apache-2.0
"""Interface of an engine: the server's kind.  The other half of a driver is its `Host`."""

import abc
import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import ClassVar

from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    connection,
    engine_upgrade,
    isolated,
    option_files,
    programs,
    scratch,
)
from trove_upgrade.guestagent.datastores.mysql_family.container import backup_images
from trove_upgrade.guestagent.datastores.mysql_family.dialect import Dialect
from trove_upgrade.guestagent.machine.progress import Progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstalledServer:
    """A server that this root disk has, and the configuration that it would be started with."""

    programs: programs.Programs
    configuration: option_files.Configuration
    scratch_places: Sequence[pathlib.Path]  #: where an empty data directory may stand
    defaults_file: pathlib.Path | None  #: None: the one that the server takes by itself
    user: str  #: who runs it


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpgradingServer:
    """A server that runs isolated on the data."""

    programs: programs.Programs
    credentials: connection.Credentials  #: as the programs see them
    progress: Progress
    former: str  #: version of the server that has stopped; '' where it is not known
    version: Callable[[], str | None]  #: of the one that runs
    data_directory: pathlib.Path
    #: what goes on beside an upgrade, as its context
    meanwhile: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext


class Engine(abc.ABC):
    """An engine that needs nothing more than the family's: others override what differs."""

    manager: ClassVar[str]  #: Trove's datastore manager
    dialect: ClassVar[Dialect]
    #: Arguments of the first start, which has no clients and runs none of the customer's
    #: statements.
    isolated: ClassVar[Sequence[str]] = isolated.ARGUMENTS
    #: Arguments of a first start that the packet filter isolates; None where opening is a start.
    behind_a_filter: ClassVar[Sequence[str] | None] = None
    #: Whether UPDATE_TIME of a table tells of its last change, at any time.
    tells_changes: ClassVar[bool] = False
    #: Whether Trove's agent makes its container privileged.
    privileged_container: ClassVar[bool] = False

    def backup_images(self, repository: str, number: str) -> Sequence[str]:
        """Return the references under which Trove looks for the image of its backups."""
        return backup_images.by_tag(repository, number)

    def checks(self, version: str, target: TargetFacts) -> Sequence[CheckResult]:  # noqa: ARG002 - the contract has it
        """Check what of the way from `version` to the target is this engine's own."""
        return ()

    def try_configuration(self, server: InstalledServer) -> CheckResult:
        """Try a configuration on an empty scratch data directory."""
        return scratch.try_configuration(
            server.programs,
            server.configuration,
            places=server.scratch_places,
            defaults_file=server.defaults_file,
            user=server.user,
        )

    @abc.abstractmethod
    def trial_script(
        self, options: Sequence[str], configuration: option_files.Configuration
    ) -> str:
        """Return a shell's script that tries it in a container: `options` of the command line,
        files below /etc/mysql.
        """

    def isolated_arguments(self, data_directory: pathlib.Path) -> Sequence[str]:  # noqa: ARG002 - the contract has it
        """Return what the isolated start adds to the server's command line."""
        return self.isolated

    def settle_isolated(  # noqa: B027 - most engines need nothing
        self, open_session: Callable[[], connection.Session], data_directory: pathlib.Path
    ) -> None:
        """Give the isolated server what its kind needs before its data is looked at.

        :raises StepFailed: it does not take it.
        """

    def upgrade_data(self, server: UpgradingServer) -> None:
        """Run the engine's own upgrade, where the data needs it.  Safe to repeat.

        :raises StepFailed: it failed.
        """
        version = server.version() or ''
        if not engine_upgrade.is_needed(server.former, version, server.data_directory):
            server.progress(None, f'from {server.former} to {version} there is none')
            return
        with server.meanwhile():
            engine_upgrade.run(server.programs, server.credentials, server.progress)

    def comparable(
        self,
        before: base.Fingerprint,
        data_directory: pathlib.Path,  # noqa: ARG002 - the contract has it
    ) -> base.Fingerprint:
        """Return `before` without what this engine brings back by itself when it is opened."""
        return before
