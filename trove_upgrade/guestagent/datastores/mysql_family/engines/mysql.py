# SPDX-License-Identifier: Apache-2.0
"""MySQL: upgrades its data by itself at the first start, and can validate a configuration without a
start.
"""

import dataclasses
import pathlib
import pwd
from collections.abc import Callable, Sequence

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    connection,
    isolated,
    option_files,
    persisted,
    scratch,
    versions,
)
from trove_upgrade.guestagent.datastores.mysql_family.container import backup_images, trial
from trove_upgrade.guestagent.datastores.mysql_family.dialect import MySQL as MySQLDialect
from trove_upgrade.guestagent.datastores.mysql_family.engines.engine import (
    Engine,
    InstalledServer,
    UpgradingServer,
)
from trove_upgrade.guestagent.machine.finished import Finished

#: Source: MySQL 8.0 Reference Manual, "Upgrade Paths": the redo log of servers before 5.7.9 is not
#: read.
_OLDEST_UPGRADABLE = (5, 7)
#: Source: MySQL 8.4 Reference Manual, "Upgrade Paths": from any series to each one up to the next
#: with long-term support, which is not skipped.
_LONG_TERM: Sequence[tuple[int, ...]] = ((5, 7), (8, 0), (8, 4), (9, 7))
_VALIDATE_SECONDS = 120


class MySQL(Engine):
    """MySQL 5.7 and later.  Only the same version on a new image could be measured; a step of
    series is taken one at a time.

    No image of a container could be had here: those follow MySQL's own documentation, and what is
    the same as MariaDB.
    """

    manager = 'mysql'
    dialect = MySQLDialect()
    isolated = (*isolated.ARGUMENTS, isolated.X_SOCKET, persisted.NOT_LOADED)

    def backup_images(self, repository: str, number: str) -> Sequence[str]:
        return backup_images.by_name_for_mysql(repository, number)

    def checks(self, version: str, target: TargetFacts) -> Sequence[CheckResult]:
        """Check whether MySQL itself can go from here to there in one step."""
        return (check_path(version, target.server_version),)

    def try_configuration(self, server: InstalledServer) -> CheckResult:
        """Validate it without a start: --validate-config touches nothing."""
        program = server.programs.find('mysqld')
        if program is None:
            return _not_tried('mysqld is not installed in this image. Build the image with it.')
        defaults = server.defaults_file
        arguments = [
            program,
            *([f'--defaults-file={defaults}'] if defaults else []),
            '--validate-config',
            '--log-error=stderr',
        ]
        try:
            account = pwd.getpwnam(server.user)
        except KeyError:
            return _not_tried(
                f'this image has no user {server.user}. Build the image with the database server.'
            )
        try:  # as the server's user, whatever user the configuration names
            finished = server.programs.run(
                arguments,
                timeout_seconds=_VALIDATE_SECONDS,
                as_user=(account.pw_uid, account.pw_gid),
            )
        except OSError as error:  # it took too long, or cannot be run
            finished = Finished(-1, str(error))
        return scratch.judge(finished)

    def trial_script(
        self,
        options: Sequence[str],
        configuration: option_files.Configuration,  # noqa: ARG002 - the contract has it
    ) -> str:
        return trial.of_mysql(options)

    def isolated_arguments(self, data_directory: pathlib.Path) -> Sequence[str]:
        """Return also the kept variables that a server takes at its start alone."""
        return (*persisted.at_start(data_directory), *self.isolated)

    def settle_isolated(
        self, open_session: Callable[[], connection.Session], data_directory: pathlib.Path
    ) -> None:
        """Put in force what the customer has told the server to keep, but for what would start
        events.
        """
        session = open_session()
        try:
            persisted.apply(session, data_directory)
        except connection.SessionError as error:
            raise exceptions.StepFailed(error.message, error.code) from error
        finally:
            session.close()

    def upgrade_data(self, server: UpgradingServer) -> None:
        """Do nothing more: the server has done it while it started (8.0.16 and later), and that it
        answers proves it.

        Source: MySQL 8.0 Reference Manual, "What the MySQL Upgrade Process Upgrades".
        """
        server.progress(None, 'the server upgrades its data while it starts')

    def comparable(
        self, before: base.Fingerprint, data_directory: pathlib.Path
    ) -> base.Fingerprint:
        """Leave out settings that are kept in the data directory: they are in force again when it
        is opened.
        """
        kept = persisted.names(data_directory)
        return dataclasses.replace(
            before,
            settings={name: value for name, value in before.settings.items() if name not in kept},
        )


def _not_tried(reason: str) -> CheckResult:
    """Refuse with a reason that begins in the middle of the sentence, and names the remedy."""
    return CheckResult.refused(
        scratch.NAME, f'The configuration cannot be tried: {reason}', Code.CONFIGURATION_NOT_TRIED
    )


def check_path(version: str, target: str) -> CheckResult:
    """Return whether MySQL goes from `version` to `target` in one step; a way back is what another
    check refuses.
    """
    name, now, then = 'upgrade_path', versions.series(version), versions.series(target)
    if then <= now:
        return CheckResult.ok(name, f'MySQL {version} goes to no newer series.')
    if now < _OLDEST_UPGRADABLE:
        return CheckResult.refused(
            name,
            (
                f'MySQL {version} cannot be upgraded in place to {target}: the target does not '
                'read its redo log. Dump and restore the data into a new instance.'
            ),
            'UPGRADE_PATH',
        )
    following = next((series for series in _LONG_TERM if series > now), None)
    if following is None:
        return CheckResult.refused(
            name,
            (
                f'MySQL {version} cannot be upgraded in place to {target}: which series may follow '
                f'{now[0]}.{now[1]} was not known when this guest agent was made. Use an image '
                'with a newer agent for the version in between, or dump and restore.'
            ),
            'UPGRADE_PATH',
        )
    if then > following:
        return CheckResult.refused(
            name,
            (
                f'MySQL {version} cannot be upgraded in place to {target}: the next series is '
                f'{following[0]}.{following[1]}. Upgrade to that one first.'
            ),
            'UPGRADE_PATH',
        )
    return CheckResult.ok(name, f'MySQL goes from {version} to {target} in one step.')
