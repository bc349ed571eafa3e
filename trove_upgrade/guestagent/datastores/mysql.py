# SPDX-License-Identifier: Apache-2.0
"""MySQL: upgrades its data by itself at the first start, and can validate a configuration without a
start.
"""

import dataclasses
import pwd
from collections.abc import Sequence

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    bind_addresses,
    connection,
    isolated,
    persisted,
    scratch,
    versions,
)
from trove_upgrade.guestagent.datastores.mysql_family.dialect import MySQL
from trove_upgrade.guestagent.datastores.mysql_family.driver import FamilyDriver
from trove_upgrade.guestagent.machine.finished import Finished
from trove_upgrade.guestagent.machine.progress import Progress

#: Source: MySQL 8.0 Reference Manual, "Upgrade Paths": the redo log of servers before 5.7.9 is not
#: read.
_OLDEST_UPGRADABLE = (5, 7)
#: Source: MySQL 8.4 Reference Manual, "Upgrade Paths": from any series to each one up to the next
#: with long-term support, which is not skipped.
_LONG_TERM: Sequence[tuple[int, ...]] = ((5, 7), (8, 0), (8, 4), (9, 7))
_VALIDATE_SECONDS = 120


class MySQLDriver(FamilyDriver):
    """MySQL 5.7 and later.  Only the same version on a new image could be measured; a step of
    series is taken one at a time.
    """

    manager = 'mysql'
    title = 'MySQL'
    dialect = MySQL()
    isolated = (*isolated.ARGUMENTS, persisted.NOT_LOADED)

    def checks(self, target: TargetFacts, options: GuestOptions) -> Sequence[CheckResult]:
        """Also whether MySQL itself can go from here to there in one step."""
        results = list(super().checks(target, options))
        version = self.server_version()
        if version is not None:
            results.append(check_path(version, target.server_version))
        return results

    def check_configuration(self, options: GuestOptions) -> CheckResult:  # noqa: ARG002
        """MySQL's own --validate-config touches nothing."""
        refusal = bind_addresses.refusal(
            self.server.configuration(), self._sleep, self.context.monotonic
        )
        if refusal:
            return refusal
        server = self.programs.find('mysqld')
        if server is None:
            return _not_tried('mysqld is not installed in this image. Build the image with it.')
        defaults = self._defaults_file()
        arguments = [
            server,
            *([f'--defaults-file={defaults}'] if defaults else []),
            '--validate-config',
            '--log-error=stderr',
        ]
        try:
            account = pwd.getpwnam(self.user)
        except KeyError:
            return _not_tried(
                f'this image has no user {self.user}. Build the image with the database server.'
            )
        try:  # as the server's user, whatever user the configuration names
            finished = self.programs.run(
                arguments,
                timeout_seconds=_VALIDATE_SECONDS,
                as_user=(account.pw_uid, account.pw_gid),
            )
        except OSError as error:  # it took too long, or cannot be run
            finished = Finished(-1, str(error))
        return scratch.judge(finished)

    def isolated_arguments(self) -> Sequence[str]:
        """See `FamilyDriver`.  With the kept variables that a server takes at its start alone."""
        return (*persisted.at_start(self.context.data_directory), *self.isolated)

    def settle_isolated(self) -> None:
        """See `FamilyDriver`.  What the customer has told the server to keep is in force, but for
        what would start events.
        """
        session, _ = self._session()
        try:
            persisted.apply(session, self.context.data_directory)
        except connection.SessionError as error:
            raise exceptions.StepFailed(error.message, error.code) from error
        finally:
            session.close()

    def compare(self, before: base.Fingerprint, after: base.Fingerprint) -> base.Comparison:
        """Settings that are kept in the data directory are in force again when it is
        opened.
        """
        return super().compare(self._without_persisted(before), after)

    def keep_settings(
        self, before: base.Fingerprint, after: base.Fingerprint, options: GuestOptions
    ) -> Sequence[str]:
        return super().keep_settings(self._without_persisted(before), after, options)

    def _without_persisted(self, fingerprint: base.Fingerprint) -> base.Fingerprint:
        kept = persisted.names(self.context.data_directory)
        return dataclasses.replace(
            fingerprint,
            settings={
                name: value for name, value in fingerprint.settings.items() if name not in kept
            },
        )

    def upgrade_data(self, progress: Progress) -> None:
        """The server has done it while it started (8.0.16 and later); that it answers proves it.

        Source: MySQL 8.0 Reference Manual, "What the MySQL Upgrade Process Upgrades".

        :raises StepFailed: no server answers.
        """
        progress(None, 'the server upgrades its data while it starts')
        session, _ = self._session()
        session.close()


def _not_tried(reason: str) -> CheckResult:
    """Refuse with a reason that begins in the middle of the sentence, and names the remedy."""
    return CheckResult.refused(
        scratch.NAME, f'The configuration cannot be tried: {reason}', Code.CONFIGURATION_NOT_TRIED
    )


def check_path(version: str, wanted: str) -> CheckResult:
    """Return whether MySQL goes from `version` to `wanted` in one step; a way back is what another
    check refuses.
    """
    name, now, then = 'upgrade_path', versions.series(version), versions.series(wanted)
    if then <= now:
        return CheckResult.ok(name, f'MySQL {version} goes to no newer series.')
    if now < _OLDEST_UPGRADABLE:
        return CheckResult.refused(
            name,
            (
                f'MySQL {version} cannot be upgraded in place to {wanted}: the target does not '
                'read its redo log. Dump and restore the data into a new instance.'
            ),
            'UPGRADE_PATH',
        )
    following = next((series for series in _LONG_TERM if series > now), None)
    if following is None:
        return CheckResult.refused(
            name,
            (
                f'MySQL {version} cannot be upgraded in place to {wanted}: which series may follow '
                f'{now[0]}.{now[1]} was not known when this guest agent was made. Use an image '
                'with a newer agent for the version in between, or dump and restore.'
            ),
            'UPGRADE_PATH',
        )
    if then > following:
        return CheckResult.refused(
            name,
            (
                f'MySQL {version} cannot be upgraded in place to {wanted}: the next series is '
                f'{following[0]}.{following[1]}. Upgrade to that one first.'
            ),
            'UPGRADE_PATH',
        )
    return CheckResult.ok(name, f'MySQL goes from {version} to {wanted} in one step.')
