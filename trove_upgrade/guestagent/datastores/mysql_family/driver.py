# SPDX-License-Identifier: Apache-2.0
"""The driver of the MySQL family: the contract of `base`, put together from this package's
nouns.
"""

import pathlib
import time
import typing
from collections.abc import Callable, Sequence

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    admitted,
    autostart,
    bind_addresses,
    comparison,
    configuration_checks,
    connection,
    engine_upgrade,
    isolated,
    option_files,
    ownership,
    precheck,
    preserved,
    probe,
    programs,
    redo_log,
    scratch,
    settings,
    versions,
)
from trove_upgrade.guestagent.datastores.mysql_family.dialect import Dialect
from trove_upgrade.guestagent.datastores.mysql_family.fingerprint import FingerprintCollector
from trove_upgrade.guestagent.datastores.mysql_family.server import Server
from trove_upgrade.guestagent.datastores.mysql_family.stopping import Stop
from trove_upgrade.guestagent.machine import service as service_module
from trove_upgrade.guestagent.machine.progress import Progress

USER = 'mysql'
#: Defaults of the operator's choices, in seconds.
_FINGERPRINT_SECONDS = 60
_LOCK_SECONDS = 30
_SHUTDOWN_SECONDS = 1800
_START_SECONDS = 900
#: After the upgrade a table that was read in time before must not fall out of the budget because
#: caches are cold.
_PATIENCE_AFTER = 4


class FamilyDriver(base.DatastoreDriver):
    """Base of the drivers of MariaDB and MySQL."""

    title = ''
    dialect: Dialect
    #: Arguments of the first start, which has no clients and runs none of the customer's
    #: statements.
    isolated: Sequence[str] = isolated.ARGUMENTS

    def __init__(
        self,
        context: base.DriverContext,
        service: service_module.ServicePort,
        *,
        connect: connection.Connector = connection.open_session,
        runs: programs.Programs | None = None,
        sleep: Callable[[float], None] = time.sleep,
        proc: pathlib.Path = pathlib.Path('/proc'),
        scratch_places: Sequence[pathlib.Path] | None = None,
        start_seconds: float = _START_SECONDS,
        user: str = USER,
    ) -> None:
        super().__init__(context)
        self.programs = runs or programs.LocalPrograms()
        self.server = Server(
            context,
            service,
            connect,
            sleep,
            groups=self.dialect.groups,
            start_seconds=start_seconds,
        )
        self.user = user
        self._sleep = sleep
        self._stopped_with: option_files.Configuration | None = None
        self._proc = proc
        self._scratch_places = scratch_places or (
            pathlib.Path('/dev/shm'),  # noqa: S108  # nosec B108 # the directory in it is made under a name of chance, for root alone
            context.run.parent,
            pathlib.Path('/var/tmp'),  # noqa: S108
        )
        memory = context.etc.parent / 'var/lib/trove-upgrade/database-autostart.json'
        self.autostart = autostart.Autostart(service, memory)

    # --- before -----------------------------------------------------------------------------------

    def checks(self, target: TargetFacts, options: GuestOptions) -> Sequence[CheckResult]:
        """A server that does not answer is one refusal; the rest cannot be looked at
        then.
        """
        try:
            session = self.server.session()
        except connection.NoAnswer as error:
            return [
                CheckResult.refused('database_answers', error.message, error.code),
                precheck.clean_end(self.context.data_directory, clean=self.shutdown_was_clean()),
            ]
        try:
            return self._precheck().run(session, target, options)
        except connection.SessionError as error:
            return [CheckResult.refused('database_answers', error.message, error.code)]
        finally:
            session.close()

    def _precheck(self) -> precheck.DatabaseChecks:
        return precheck.DatabaseChecks(
            context=self.context,
            server=self.server,
            dialect=self.dialect,
            manager=self.manager,
            proc=self._proc,
            preserve=None if self.shares_volume else self._preserved,
        )

    def fingerprint_and_stop(self, options: GuestOptions, progress: Progress) -> base.Fingerprint:
        configuration = self.server.configuration()
        result = configuration_checks.check_read(configuration)
        if configuration.unread:
            raise exceptions.StepRefused(result.message, str(result.code))
        self._stopped_with = configuration
        self.autostart.remember_running()
        budget = _or_default(options.fingerprint_seconds, _FINGERPRINT_SECONDS)
        stop = Stop(
            server=self.server,
            photograph=lambda session: self._photographer(session, budget, progress).take(),
            progress=progress,
            sleep=self._sleep,
            read_only=self.dialect.read_only,
            lock_seconds=_or_default(options.lock_seconds, _LOCK_SECONDS),
            shutdown_seconds=_or_default(options.shutdown_seconds, _SHUTDOWN_SECONDS),
        )
        fingerprint = stop.run()
        running = self.autostart.running()
        if running:  # a wrapper that outlives its server for a moment
            self.server.stop(running)
        return fingerprint

    def shutdown_was_clean(self) -> bool:
        # after the stop none of it is read again
        configuration = self._stopped_with or self.server.configuration()
        named = configuration.server_value('innodb-log-group-home-dir')
        return redo_log.is_clean(
            self.context.data_directory, self.context.data_directory / named if named else None
        )

    def stash_roots(self) -> Sequence[pathlib.Path]:
        """Write, too, and name the list of what comes back: only this root disk can
        tell.
        """
        return self._preserved(self.server.configuration()).roots()

    def restore_paths(self, stashed: base.Stashed) -> Sequence[str]:
        return self._admission(stashed).admitted(self.server.configuration())

    def left_alone(self, stashed: base.Stashed) -> Sequence[str]:
        return self._admission(stashed).left(self.server.configuration())

    def restore_first(self, stashed: Sequence[str]) -> Sequence[str]:
        """Return the copies of directories and logs."""
        return admitted.empty_ones(self.context, stashed)

    def prepare_places(self, stashed: base.Stashed, coming: Sequence[str]) -> None:
        self._admission(stashed).make(self.server.configuration(), coming)

    def check_restored(self, stashed: base.Stashed) -> CheckResult | None:
        return self._admission(stashed).judge(self.server.configuration())

    def _admission(self, stashed: base.Stashed) -> admitted.Admission:
        return admitted.Admission(self.context, stashed, self.server.client_file, self.user)

    def _preserved(self, configuration: option_files.Configuration) -> preserved.Preserved:
        return preserved.Preserved(self.context, configuration, self.server.client_file, self.user)

    # --- after ------------------------------------------------------------------------------------

    def check_configuration(self, options: GuestOptions) -> CheckResult:  # noqa: ARG002
        refusal = bind_addresses.refusal(
            self.server.configuration(), self._sleep, self.context.monotonic
        )
        return refusal or scratch.try_configuration(
            self.programs,
            self.server.configuration(),
            places=self._scratch_places,
            defaults_file=self._defaults_file(),
            user=self.user,
        )

    def _defaults_file(self) -> pathlib.Path | None:
        return (
            None
            if self.context.etc == pathlib.Path('/etc')
            else self.context.etc / 'mysql' / 'my.cnf'
        )

    def own_data(self) -> None:
        ownership.give(self.context.data_directory, self.user)

    @typing.final
    def start_isolated(self) -> None:
        """Start in two parts, as where a server runs and which server it is are two
        questions: neither driver hides the other's part.
        """
        self.run_isolated()
        self.settle_isolated()

    def isolated_arguments(self) -> Sequence[str]:
        """Return what the isolated start adds to the server's command line."""
        return self.isolated

    def settle_isolated(self) -> None:
        """Give the isolated server what its kind needs before its data is looked at.  Again after
        each call of `start_isolated`.

        :raises StepFailed: it does not take it.
        """

    def run_isolated(self) -> None:
        """Run the isolated server where servers run here.  One that runs in any other way is
        stopped first.

        :raises StepFailed: it does not start.
        """
        if self._is_isolated():
            return
        self._stop_whatever_runs()
        self.server.start(autostart.DATABASE, self.isolated_arguments())

    def _is_isolated(self) -> bool:
        try:
            session = self.server.session()
        except connection.NoAnswer:
            return False
        try:
            skips, events = session.rows(
                'SELECT @@global.skip_networking, @@global.event_scheduler'
            )[0]
            return (
                bool(skips) and str(events).upper() != 'ON' and self.server.arguments_file.exists()
            )
        finally:
            session.close()

    def upgrade_data(self, progress: Progress) -> None:
        session, credentials = self._session()
        session.close()
        engine_upgrade.run(self.programs, self._for_programs(credentials), progress)

    def _for_programs(self, credentials: connection.Credentials) -> connection.Credentials:
        """The same way in, as the programs see it."""
        return credentials

    def fingerprint(self, options: GuestOptions, progress: Progress) -> base.Fingerprint:
        """Take more time than before the upgrade: what was read then should be read
        again.
        """
        budget = _or_default(options.fingerprint_seconds, _FINGERPRINT_SECONDS) * _PATIENCE_AFTER
        session, _ = self._session(timeout_seconds=0)
        try:
            return self._photographer(session, budget, progress).take()
        except connection.SessionError as error:
            reason = (
                f'The fingerprint cannot be taken: {error.text}. Look at the error log of the '
                'database server.'
            )
            raise exceptions.StepFailed(reason, Code.FINGERPRINT_FAILED) from error
        finally:
            session.close()

    def _photographer(
        self, session: connection.Session, budget: float, progress: Progress
    ) -> FingerprintCollector:
        return FingerprintCollector(
            session,
            self.dialect,
            budget_seconds=budget,
            monotonic=self.context.monotonic,
            now=self.context.now,
            progress=progress,
        )

    def compare(self, before: base.Fingerprint, after: base.Fingerprint) -> base.Comparison:
        return comparison.compare(before, after)

    def keep_settings(
        self, before: base.Fingerprint, after: base.Fingerprint, options: GuestOptions
    ) -> Sequence[str]:
        wanted = (
            settings.changed(before.settings, after.settings)
            if options.keep_changed_defaults
            else {}
        )
        if not wanted:
            return ()
        session, _ = self._session()
        try:
            with settings.place(self.context.etc / 'mysql') as directory:
                return settings.keep(session, wanted, directory) if directory is not None else ()
        finally:
            session.close()

    def open_for_clients(self) -> None:
        """Open the server; one that is open already is left alone."""
        if self.server.arguments_file.exists() or self.server.version() is None:
            self._stop_whatever_runs()
            self.server.start(autostart.DATABASE)
        self.server.wait_for_tcp()

    def start(self) -> None:
        if self.server.arguments_file.exists():
            self._stop_whatever_runs()
        if self.server.version() is None:
            self.server.start(self.autostart.former())
        self.server.wait_for_tcp()

    def server_version(self) -> str | None:
        return self.server.version()

    def check_release(self, former: str, installed: str) -> CheckResult | None:
        return versions.check_target(former, installed)

    def write_probe(self) -> None:
        session, _ = self._session()
        try:
            probe.write(session)
        finally:
            session.close()

    def set_autostart(self, *, enabled: bool) -> None:
        if enabled:
            self.autostart.switch_on_ours()
        else:
            self.autostart.switch_off()

    def undo_autostart(self) -> None:
        self.autostart.undo()

    def _stop_whatever_runs(self) -> None:
        running = self.autostart.running()
        if running:
            self.server.stop(running)

    def _session(
        self, timeout_seconds: float = 15
    ) -> tuple[connection.Session, connection.Credentials]:
        """:raises StepFailed: DATABASE_NOT_RUNNING; nothing answers where a server must run."""
        try:
            return self.server.session_with_credentials(timeout_seconds)
        except connection.NoAnswer as error:
            raise exceptions.StepFailed(error.message, error.code) from error


def _or_default(chosen: float | None, default: float) -> float:
    return default if chosen is None else float(chosen)
