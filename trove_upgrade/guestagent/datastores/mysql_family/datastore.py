# SPDX-License-Identifier: Apache-2.0
"""The driver of the MySQL family: an engine on a host, in the order that the contract wants."""

import contextlib
import pathlib
from collections.abc import Sequence

from trove_upgrade.domain import exceptions, guest_options
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.image_archive import ImageArchive, ImageSource
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    comparison,
    configuration_checks,
    connection,
    option_files,
    places,
    precheck,
    probe,
    redo_log,
    rows_ahead,
    settings,
    unchanged,
    versions,
)
from trove_upgrade.guestagent.datastores.mysql_family.engines.engine import (
    Engine,
    UpgradingServer,
)
from trove_upgrade.guestagent.datastores.mysql_family.fingerprint import FingerprintCollector
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import Host, HostPorts
from trove_upgrade.guestagent.datastores.mysql_family.stopping import Stop
from trove_upgrade.guestagent.datastores.portable_image import Opened, PortableImage
from trove_upgrade.guestagent.machine.progress import Progress

#: Defaults of the operator's choices, in seconds.
_FINGERPRINT_SECONDS = 60
_LOCK_SECONDS = 30
_SHUTDOWN_SECONDS = 1800
#: Of one table that is read while the database serves: a change of its definition waits for that.
_TABLE_SECONDS = 20
#: After the upgrade a table that was read in time before must not fall out of the budget because
#: caches are cold.
_PATIENCE_AFTER = 4


class Datastore(base.DatastoreDriver):
    """One driver for each engine on each host."""

    def __init__(
        self, context: base.DriverContext, engine: Engine, host: Host, ports: HostPorts
    ) -> None:
        super().__init__(context)
        self.engine = engine
        self.host = host
        self.manager = engine.manager
        self.shares_volume = host.shares_volume
        self._server = host.server
        self._ports = ports
        self._stopped_with: option_files.Configuration | None = None
        self._ahead: rows_ahead.RowsAhead | None = None  # of the server that runs isolated

    def volume_owner(self) -> int | None:
        return self.host.volume_owner()

    # --- before -----------------------------------------------------------------------------------

    def checks(self, target: TargetFacts, options: GuestOptions) -> Sequence[CheckResult]:
        """Make those of the database, of the engine's way to the target, and of the host."""
        results = list(self._of_database(target, options))
        version = self.server_version()
        if version is not None:
            results.extend(self.engine.checks(version, target))
        return [*results, *self.host.checks(target)]

    def _of_database(self, target: TargetFacts, options: GuestOptions) -> Sequence[CheckResult]:
        """A server that does not answer is one refusal; the rest cannot be looked at then."""
        try:
            session = self._server.session()
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
            server=self._server,
            dialect=self.engine.dialect,
            manager=self.manager,
            proc=self._ports.proc,
            preserve=self.host.preserve(),
        )

    def bring_target(self, target: TargetFacts, progress: Progress) -> str | None:
        return self.host.bring_target(target, progress)

    def prepare_target(
        self,
        target: TargetFacts,
        options: GuestOptions,  # noqa: ARG002 - the contract has it
        progress: Progress,
    ) -> None:
        self.host.prepare_target(target, progress)

    def upgrade_bytes(self, target: TargetFacts, options: GuestOptions) -> int:
        session, _ = self._session()
        try:
            return self._precheck().needed_bytes(session, target, options)
        except connection.SessionError as error:
            raise exceptions.StepFailed(error.message, error.code) from error
        finally:
            session.close()

    def portable_target(self) -> PortableImage | None:
        return self.host.portable_target()

    def portable_former(self) -> PortableImage | None:
        return self.host.portable_former()

    def fingerprint_and_stop(self, options: GuestOptions, progress: Progress) -> base.Fingerprint:
        configuration = self._server.configuration()
        result = configuration_checks.check_read(configuration)
        if configuration.unread:
            raise exceptions.StepRefused(result.message, str(result.code))
        self._stopped_with = configuration
        self.host.autostart.remember_running()
        budget = _or_default(options.fingerprint_seconds, _FINGERPRINT_SECONDS)
        ahead = self._read_while_it_serves(budget, progress)
        stop = Stop(
            server=self._server,
            collect=lambda session: self._take(session, budget, progress, ahead),
            progress=progress,
            sleep=self._ports.sleep,
            read_only=self.engine.dialect.read_only,
            lock_seconds=_or_default(options.lock_seconds, _LOCK_SECONDS),
            shutdown_seconds=_or_default(options.shutdown_seconds, _SHUTDOWN_SECONDS),
        )
        fingerprint = stop.run()
        running = self.host.autostart.running()
        if running:  # a wrapper that outlives its server for a moment
            self._server.stop(running)
        self.host.stopped(fingerprint)
        return fingerprint

    def _read_while_it_serves(
        self, budget: float, progress: Progress
    ) -> rows_ahead.RowsAhead | None:
        """Read large tables that rest, where the server tells for certain what was written."""
        if not self.engine.tells_changes:
            return None
        proof = unchanged.WhileServing(self.context.data_directory)
        ahead = self._rows_ahead(proof, budget, _TABLE_SECONDS)
        ahead.read(lambda: progress(None, 'reading large tables that rest; the database serves'))
        return ahead

    def shutdown_was_clean(self) -> bool:
        """Tell by what the host knows and by the data's files."""
        if not self.host.ended_cleanly():
            return False
        # after the stop none of it is read again
        configuration = self._stopped_with or self._server.configuration()
        named = configuration.server_value('innodb-log-group-home-dir')
        return redo_log.is_clean(
            self.context.data_directory, self.context.data_directory / named if named else None
        )

    def directories(self) -> Sequence[pathlib.Path]:
        return (self.context.etc / places.CONFIGURATION,)

    def stash_roots(self) -> Sequence[pathlib.Path]:
        return self.host.stash_roots()

    def restore_paths(self, stashed: base.Stashed) -> Sequence[str]:
        return self.host.restore_paths(stashed)

    def left_alone(self, stashed: base.Stashed) -> Sequence[str]:
        return self.host.left_alone(stashed)

    def restore_first(self, stashed: Sequence[str]) -> Sequence[str]:
        return self.host.restore_first(stashed)

    def prepare_places(self, stashed: base.Stashed, coming: Sequence[str]) -> None:
        self.host.prepare_places(stashed, coming)

    def check_restored(self, stashed: base.Stashed) -> CheckResult | None:
        return self.host.check_restored(stashed)

    # --- after ------------------------------------------------------------------------------------

    def receive(self, archive: ImageArchive, opened: Opened) -> None:
        self.host.receive(archive, opened)

    def image_source(self) -> ImageSource | None:
        return self.host.image_source()

    def prefetch(self) -> None:
        self.host.prefetch()

    def expect(self, target: TargetFacts) -> None:
        self.host.expect(target)

    def installed_version(self) -> str | None:
        return self.host.installed_version()

    def check_configuration(self, options: GuestOptions) -> CheckResult:
        return self.host.check_configuration(options)

    def check_again(self, options: GuestOptions, progress: Progress) -> CheckResult | None:
        return self.host.check_again(options, progress)

    def own_data(self) -> None:
        self.host.own_data()

    def start_isolated(self) -> None:
        """Start in two parts: the host runs the server, the engine settles it."""
        self._ahead = None
        self.host.run_isolated(self.engine.isolated_arguments(self.context.data_directory))
        self.engine.settle_isolated(lambda: self._session()[0], self.context.data_directory)

    def upgrade_data(
        self,
        progress: Progress,
        former: str = '',
        options: GuestOptions = guest_options.DEFAULT,
    ) -> None:
        session, credentials = self._session()
        session.close()
        ahead = self._rows_ahead(
            unchanged.WhileIsolated(self.context.data_directory), _budget_after(options)
        )
        self.engine.upgrade_data(
            UpgradingServer(
                programs=self.host.programs,
                credentials=self.host.for_programs(credentials),
                progress=progress,
                former=former,
                version=self.server_version,
                data_directory=self.context.data_directory,
                meanwhile=ahead.beside,
            )
        )
        self._ahead = ahead

    def fingerprint(self, options: GuestOptions, progress: Progress) -> base.Fingerprint:
        session, _ = self._session(timeout_seconds=0)
        ahead, self._ahead = self._ahead, None
        try:
            return self._take(session, _budget_after(options), progress, ahead)
        except connection.SessionError as error:
            reason = (
                f'The fingerprint cannot be taken: {error.text}. Look at the error log of the '
                'database server.'
            )
            raise exceptions.StepFailed(reason, Code.FINGERPRINT_FAILED) from error
        finally:
            session.close()

    def _rows_ahead(
        self, proof: unchanged.Unchanged, budget: float, table_seconds: float | None = None
    ) -> rows_ahead.RowsAhead:
        return rows_ahead.RowsAhead(
            lambda: self._server.session(timeout_seconds=0),
            self.engine.dialect,
            proof,
            limit_seconds=budget,
            table_seconds=table_seconds,
            monotonic=self.context.monotonic,
        )

    def _take(
        self,
        session: connection.Session,
        budget: float,
        progress: Progress,
        ahead: rows_ahead.RowsAhead | None = None,
    ) -> base.Fingerprint:
        """Take it with a second session, where the server has room for one."""
        with contextlib.ExitStack() as opened:
            counting = None
            with contextlib.suppress(connection.NoAnswer):
                counting = opened.enter_context(
                    contextlib.closing(self._server.session(timeout_seconds=0))
                )
            return FingerprintCollector(
                session,
                self.engine.dialect,
                budget_seconds=budget,
                monotonic=self.context.monotonic,
                now=self.context.now,
                progress=progress,
                counting=counting,
                ahead=None if ahead is None else ahead.take,
            ).take()

    def compare(self, before: base.Fingerprint, after: base.Fingerprint) -> base.Comparison:
        """Leave out what the engine brings back when it is opened, and what is the host's own."""
        found = comparison.compare(self._comparable(before), after)
        return self.host.compared(before, after, found)

    def keep_settings(
        self, before: base.Fingerprint, after: base.Fingerprint, options: GuestOptions
    ) -> Sequence[str]:
        if not options.keep_changed_defaults:
            return ()
        former = settings.changed(self._comparable(before).settings, after.settings)
        if not former:
            return ()
        session, _ = self._session()
        try:
            with settings.place(self.context.etc / 'mysql') as directory:
                return settings.keep(session, former, directory) if directory is not None else ()
        finally:
            session.close()

    def _comparable(self, before: base.Fingerprint) -> base.Fingerprint:
        return self.engine.comparable(before, self.context.data_directory)

    def keep_closed(self) -> None:
        self.host.keep_closed()

    def is_isolated(self) -> bool:
        return self.host.is_isolated()

    def open_for_clients(self) -> None:
        self.host.open_for_clients()

    def start(self) -> None:
        self.host.start()

    def server_version(self) -> str | None:
        return self._server.version()

    def check_release(self, former: str, installed: str) -> CheckResult | None:
        return versions.check_target(former, installed)

    def write_probe(self) -> None:
        session, _ = self._session()
        try:
            probe.write(session)
        finally:
            session.close()

    def set_autostart(self, *, enabled: bool) -> None:
        self.host.set_autostart(enabled=enabled)

    def undo_autostart(self) -> None:
        self.host.undo_autostart()

    def autostart_is_durable(self) -> CheckResult | None:
        return self.host.autostart_is_durable()

    def publish(self) -> None:
        self.host.publish()

    def _session(
        self, timeout_seconds: float = 15
    ) -> tuple[connection.Session, connection.Credentials]:
        """Log in to the server, which must run.

        :raises StepFailed: nothing answers where a server must run.
        """
        return self._server.require_session(timeout_seconds)


def _budget_after(options: GuestOptions) -> float:
    """More time than before the upgrade: what was read then should be read again."""
    return _or_default(options.fingerprint_seconds, _FINGERPRINT_SECONDS) * _PATIENCE_AFTER


def _or_default(chosen: float | None, default: float) -> float:
    return default if chosen is None else float(chosen)
