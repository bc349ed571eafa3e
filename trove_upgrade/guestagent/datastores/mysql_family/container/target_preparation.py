# SPDX-License-Identifier: Apache-2.0
"""Preparation of the target while the database serves: its image is brought here, tries the
configuration, and is compared with what runs.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckOutcome, CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    connection,
    libraries,
    option_files,
    option_paths,
    preserved,
    scratch,
    versions,
)
from trove_upgrade.guestagent.datastores.mysql_family.container import target_server
from trove_upgrade.guestagent.datastores.mysql_family.container.images import Images
from trove_upgrade.guestagent.datastores.mysql_family.container.names import DATABASE
from trove_upgrade.guestagent.datastores.mysql_family.container.record import (
    ImageChoice,
    Record,
    Records,
)
from trove_upgrade.guestagent.datastores.mysql_family.container.server import ContainerServer
from trove_upgrade.guestagent.datastores.mysql_family.container.tried import Tried
from trove_upgrade.guestagent.machine.containers.engine import Engine
from trove_upgrade.guestagent.machine.progress import Progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetPreparation:
    """Means to prepare the target of one guest."""

    engine: Engine
    images: Images
    records: Records
    containers: ContainerServer
    context: base.DriverContext
    session: Callable[[], connection.Session]
    #: Makes the record of the container that runs, with the image that follows.
    record: Callable[[ImageChoice], Record]
    #: Tries the configuration as it is now.
    trial: Callable[[ImageChoice, Record], CheckResult]
    tried: Tried

    def prepare(self, target: TargetFacts, progress: Progress) -> None:
        """Bring the image here, try it, and write the record of the container.  Safe to repeat.

        :raises StepRefused: it cannot be had, or cannot follow; the database serves.
        """
        progress(None, 'Looking for the container image of the target.')
        reference = self.images.reference(target)
        try:
            choice = self.images.fetch(reference, progress)
            record = self.record(choice)
        except exceptions.StepFailed as error:
            raise exceptions.StepRefused(
                f'{error.message} The database serves as before.', error.code
            ) from error
        progress(None, f'Trying the configuration with container image {reference}.')
        digest = self.tried.digest(choice, record)  # before: what changes meanwhile is another one
        tried = self.trial(choice, record)
        if tried.outcome == CheckOutcome.REFUSED:
            raise exceptions.StepRefused(tried.message, tried.code or scratch.REFUSED)
        for result in self._look_at(choice, record, target.server_version):
            if result.outcome == CheckOutcome.REFUSED:
                raise exceptions.StepRefused(result.message, result.code or libraries.NAME)
        self.tried.remember(digest)
        self.records.write(record)

    def _look_at(self, choice: ImageChoice, record: Record, expected: str) -> Sequence[CheckResult]:
        """Compare the server of that image with the one that runs: its release, and the libraries
        and files that this one uses; and with the number that is expected of it.
        """
        configuration = self.containers.configuration()
        named = self._named_inside(configuration)
        running, loaded = self._running(configuration)
        try:
            files = target_server.there(self.engine, DATABASE, list(named))
            found = target_server.inspect(
                self.engine, choice.reference, record.definition, loaded, files
            )
        except exceptions.StepFailed as error:
            raise exceptions.StepRefused(
                f'{error.message} The database serves as before.', error.code
            ) from error
        results = [libraries.refusal(found.lacks)] if found.lacks else []
        if found.lacks_files:
            results.append(
                preserved.refusal(
                    [
                        f'{path} is in the container alone ({named[path]})'
                        for path in found.lacks_files
                    ],
                    self.context.etc / 'mysql',
                )
            )
        if found.version:
            results.append(versions.check_target(running, found.version))
            results.append(versions.check_number(choice.reference, found.version, expected))
        return results

    def _running(
        self, configuration: option_files.Configuration
    ) -> tuple[str, Sequence[libraries.Library]]:
        """The release of the server that runs, and the libraries that it uses."""
        session = self.session()
        try:
            version = str(session.rows('SELECT VERSION()')[0][0])
            return version, libraries.of_server(session, configuration)
        except connection.SessionError as error:
            raise exceptions.StepRefused(
                f'{error.message} The database serves as before.', error.code
            ) from error
        finally:
            session.close()

    def _named_inside(
        self, configuration: option_files.Configuration
    ) -> Mapping[pathlib.Path, str]:
        """Return what the configuration names inside the container alone: the next one sees the
        volume and /etc/mysql, too.
        """
        named = option_paths.paths_of(configuration.of_servers())
        kept = (self.context.volume, self.context.etc / 'mysql')
        return {
            path: why
            for path, why in named.items()
            if not any(path.is_relative_to(place) for place in kept)
        }
