# SPDX-License-Identifier: Apache-2.0
"""The precheck of a running server: each check there is, in the order in which their results are
told.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence

from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    authentication,
    bind_addresses,
    checks,
    configuration_checks,
    connection,
    data_places,
    fleeting_places,
    keyring,
    libraries,
    option_files,
    preserved,
    rehearsal,
    server_environment,
    server_process,
    system_accounts,
    time_zones,
    volume_top,
)
from trove_upgrade.guestagent.datastores.mysql_family.dialect import Dialect
from trove_upgrade.guestagent.datastores.mysql_family.server import Server
from trove_upgrade.guestagent.datastores.mysql_family.target_options import TargetOptions

#: For one statement of the checks that reads the catalog.
_REHEARSAL_SECONDS = 120

#: What the server has from its root disk beside files that options name.
_OF_ROOT_DISK: Sequence[checks.Check] = (
    time_zones.time_zone,
    server_environment.environment,
    server_environment.limits,
    server_environment.unit,
    bind_addresses.addresses,
    fleeting_places.fleeting_places,
    system_accounts.system_accounts,
)
_OF_SERVER: Sequence[checks.Check] = (
    *checks.ALL,
    data_places.layout,
    volume_top.volume_top,
    libraries.plugins,
    authentication.authentication,
    keyring.keyring,
    *_OF_ROOT_DISK,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatabaseChecks:
    """Means to look at one server."""

    context: base.DriverContext
    server: Server
    dialect: Dialect
    manager: str
    proc: pathlib.Path
    #: Which files come back on the next root disk.  None where the volume is shared: so is
    #: /etc/mysql, all of it comes back, and no directory that it names is searched.
    preserve: Callable[[option_files.Configuration], preserved.Preserved] | None

    def run(
        self, session: connection.Session, target: TargetFacts, options: GuestOptions
    ) -> Sequence[CheckResult]:
        """Make all of them; where the configuration cannot be read, those alone that do without.

        :raises SessionError: the server does not tell what no check can do without.
        """
        looked_at = self._probe(session, target, options)
        results = [
            CheckResult.ok('database_answers', f'The server answers; it is {looked_at.version}.'),
            configuration_checks.check_read(looked_at.configuration),
        ]
        if looked_at.configuration.unread:
            return results
        results += [_one_check(check, looked_at) for check in _OF_SERVER]
        results += self._of_configuration(looked_at)
        results.append(self._rehearse())
        return results

    def needed_bytes(
        self, session: connection.Session, target: TargetFacts, options: GuestOptions
    ) -> int:
        """Return what must be free on the volume for the upgrade of the data.

        :raises SessionError: the server does not tell.
        """
        return checks.needed_bytes(self._probe(session, target, options))

    def _probe(
        self, session: connection.Session, target: TargetFacts, options: GuestOptions
    ) -> checks.Probe:
        return checks.Probe(
            context=self.context,
            session=session,
            configuration=self.server.configuration(),
            version=str(session.rows('SELECT VERSION()')[0][0]),
            target=target,
            options=options,
            proc=self.proc,
            process=server_process.read(self.proc, self.server.process_id(session)),
        )

    def _of_configuration(self, looked_at: checks.Probe) -> Sequence[CheckResult]:
        configuration = looked_at.configuration
        kept_files = self.preserve(configuration) if self.preserve is not None else None
        coming_back = configuration.files if kept_files is None else kept_files.comes_back()
        restored = {os.path.realpath(path) for path in coming_back}

        def comes_back(path: pathlib.Path) -> bool:
            return os.path.realpath(path) in restored or path.is_relative_to(
                self.context.data_directory
            )

        results = [
            self._of_options(looked_at, comes_back),
            configuration_checks.check_groups(
                configuration, comes_back, looked_at.version, looked_at.target
            ),
            configuration_checks.check_key_files(
                configuration, comes_back, self.context.data_directory, self.context.etc.parent
            ),
        ]
        if kept_files is not None:
            results.append(kept_files.check())
        results.append(
            configuration_checks.check_command_line(
                self._command_line(looked_at.session), configuration.files
            )
        )
        return results

    def _of_options(
        self, looked_at: checks.Probe, comes_back: Callable[[pathlib.Path], bool]
    ) -> CheckResult:
        configuration = looked_at.configuration
        modules = libraries.modules(libraries.of_server(looked_at.session, configuration))
        groups = frozenset(configuration.groups.of(looked_at.version)) | frozenset(
            self.context.image_facts.option_groups
        )
        kept = [option for option in configuration.of_server(groups) if comes_back(option.path)]
        return configuration_checks.check_options(
            kept, TargetOptions(self.manager, looked_at.target, modules)
        )

    def _rehearse(self) -> CheckResult:
        """Rehearse in a session of its own: what it sets is no other check's, and a catalog of many
        tables takes its time.
        """
        try:
            session = self.server.session(timeout_seconds=_REHEARSAL_SECONDS)
        except connection.NoAnswer as error:  # to one more: it may let no other in
            return CheckResult.unknown(rehearsal.NAME, error.message, error.code)
        try:
            return rehearsal.rehearse(session, self.dialect, self.context.monotonic)
        finally:
            session.close()

    def _command_line(self, session: connection.Session) -> Sequence[str]:
        process_id = self.server.process_id(session)
        try:
            return (
                (self.proc / str(process_id) / 'cmdline')
                .read_bytes()
                .decode(errors='replace')
                .split('\0')[1:]
            )
        except OSError:
            return ()


def _one_check(check: checks.Check, looked_at: checks.Probe) -> CheckResult:
    """A check that the server gives no answer to is unknown, and one unknown check does not hide
    the others.
    """
    try:
        return check(looked_at)
    except OSError as error:
        return base.files_not_read(check.__name__, error)
    except connection.SessionError as error:
        if error.number in connection.CONNECTION_LOST:
            raise
        return CheckResult.unknown(check.__name__, error.message, error.code)


def clean_end(data_directory: pathlib.Path, *, clean: bool) -> CheckResult:
    """The check of a server that does not answer: `clean` is whether it ended so."""
    if clean:
        return CheckResult.ok('clean_shutdown', 'The server was shut down cleanly.')
    return CheckResult.refused(
        'clean_shutdown',
        (
            f'The data in {data_directory} cannot be upgraded: its server did not end cleanly. '
            'Start and stop it with its own version first.'
        ),
        Code.UNCLEAN_SHUTDOWN,
    )
