# SPDX-License-Identifier: Apache-2.0
"""A server that is a service of the guest, installed on its root disk."""

import pathlib
import pwd
from collections.abc import Callable, Sequence

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.image_archive import ImageArchive, ImageSource
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    admitted,
    autostart,
    bind_addresses,
    closed,
    connection,
    option_files,
    ownership,
    preserved,
    programs,
    restart_reasons,
    socket_place,
)
from trove_upgrade.guestagent.datastores.mysql_family.engines.engine import Engine, InstalledServer
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import HostPorts
from trove_upgrade.guestagent.datastores.mysql_family.restart_reasons import Restart
from trove_upgrade.guestagent.datastores.mysql_family.server import Server
from trove_upgrade.guestagent.datastores.portable_image import Opened, PortableImage
from trove_upgrade.guestagent.machine import service as service_module
from trove_upgrade.guestagent.machine.packet_filter import PacketFilter
from trove_upgrade.guestagent.machine.progress import Progress
from trove_upgrade.guestagent.trove.trove_agent_control import NoTroveAgent, TroveAgentControl

LOG = logs.get_logger(__name__)
USER = 'mysql'


class ServiceHost:
    """Implements Host with systemd's or an init script's service."""

    shares_volume = False

    def __init__(
        self,
        context: base.DriverContext,
        engine: Engine,
        service: service_module.ServicePort,
        ports: HostPorts,
        *,
        runs: programs.Programs | None = None,
        scratch_places: Sequence[pathlib.Path] | None = None,
        user: str = USER,
        trove_agent: TroveAgentControl | None = None,
        packets: PacketFilter | None = None,
    ) -> None:
        """`scratch_places`: where an empty data directory may stand for a trial; `packets`: what
        keeps clients away, so that opening is no start.
        """
        self._context = context
        self._engine = engine
        self._sleep = ports.sleep
        self._user = user
        self._trove_agent = trove_agent or NoTroveAgent()
        self.programs = runs or programs.LocalPrograms()
        self.server = Server(
            context,
            service,
            ports.connect,
            ports.sleep,
            groups=engine.dialect.groups,
            start_seconds=ports.start_seconds,
        )
        self._root = context.etc.parent
        self._closed = closed.ClosedServer(self.server, packets, context.run, self._root)
        self._scratch_places = scratch_places or (
            pathlib.Path('/dev/shm'),  # noqa: S108  # nosec B108 # the directory in it is made under a name of chance, for root alone
            context.run.parent,
            pathlib.Path('/var/tmp'),  # noqa: S108
        )
        memory = self._root / 'var/lib/trove-upgrade/database-autostart.json'
        self.autostart = autostart.Autostart(service, memory)

    def volume_owner(self) -> int | None:
        """Return the server's user: old Trove gave the volume to it."""
        try:
            return pwd.getpwnam(self._user).pw_uid
        except KeyError:
            return None

    # --- before -----------------------------------------------------------------------------------

    def preserve(
        self,
    ) -> Callable[[option_files.Configuration], preserved.Preserved] | None:
        return self._preserved

    def _preserved(self, configuration: option_files.Configuration) -> preserved.Preserved:
        return preserved.Preserved(
            self._context, configuration, self.server.client_file, self._user
        )

    def checks(self, target: TargetFacts) -> Sequence[CheckResult]:  # noqa: ARG002 - the contract has it
        """Return none: what the database's own checks look at is all there is."""
        return ()

    def bring_target(self, target: TargetFacts, progress: Progress) -> str | None:  # noqa: ARG002 - the contract has them
        """Bring nothing: the target's server is in the image that Nova boots."""
        return None

    def prepare_target(self, target: TargetFacts, progress: Progress) -> None:
        """Do nothing: the target's server is in the image that Nova boots."""

    def portable_target(self) -> PortableImage | None:
        """Return none: the target's server is in the image that Nova boots."""
        return None

    def portable_former(self) -> PortableImage | None:
        """Return none: the former server is in the image that Nova boots again."""
        return None

    def stopped(self, fingerprint: base.Fingerprint) -> None:
        """Keep nothing of the fingerprint: the service needs none of it."""

    def ended_cleanly(self) -> bool:
        """Leave it to the data's files."""
        return True

    def stash_roots(self) -> Sequence[pathlib.Path]:
        """Write, too, and name the list of what comes back: only this root disk can tell."""
        return self._preserved(self.server.configuration()).roots()

    # --- after ------------------------------------------------------------------------------------

    def restore_paths(self, stashed: base.Stashed) -> Sequence[str]:
        return self._admission(stashed).admitted(self.server.configuration())

    def left_alone(self, stashed: base.Stashed) -> Sequence[str]:
        return self._admission(stashed).left(self.server.configuration())

    def restore_first(self, stashed: Sequence[str]) -> Sequence[str]:
        """Return the copies of directories and logs."""
        return admitted.empty_ones(self._context, stashed)

    def prepare_places(self, stashed: base.Stashed, coming: Sequence[str]) -> None:
        self._admission(stashed).make(self.server.configuration(), coming)

    def check_restored(self, stashed: base.Stashed) -> CheckResult | None:
        return self._admission(stashed).judge(self.server.configuration())

    def _admission(self, stashed: base.Stashed) -> admitted.Admission:
        return admitted.Admission(self._context, stashed, self.server.client_file, self._user)

    def receive(self, archive: ImageArchive, opened: Opened) -> None:
        """Do nothing: the server is here."""

    def image_source(self) -> ImageSource | None:
        """Return none: the server is in no container image."""
        return None

    def prefetch(self) -> None:
        """Do nothing: the server is here."""

    def expect(self, target: TargetFacts) -> None:
        """Do nothing: this root disk has the one server that it can run."""

    def installed_version(self) -> str | None:
        return self._context.image_facts.server_version

    def check_configuration(self, options: GuestOptions) -> CheckResult:  # noqa: ARG002 - the contract has it
        configuration = self.server.configuration()
        refusal = bind_addresses.refusal(configuration, self._sleep, self._context.monotonic)
        if refusal is None:
            self._try_filter(configuration)
        return refusal or self._engine.try_configuration(
            InstalledServer(
                programs=self.programs,
                configuration=configuration,
                scratch_places=self._scratch_places,
                defaults_file=self._defaults_file(),
                user=self._user,
            )
        )

    def _try_filter(self, configuration: option_files.Configuration) -> None:
        """Find whether the packet filter can be used, where it will be asked for."""
        owner = self.volume_owner()
        if self._engine.behind_a_filter is None or owner is None:
            return
        if restart_reasons.of_configuration(configuration) is None:
            self._closed.try_out(owner)

    def check_again(self, options: GuestOptions, progress: Progress) -> CheckResult | None:  # noqa: ARG002 - the contract has it
        """The server of a root disk is what it was."""
        return None

    def _defaults_file(self) -> pathlib.Path | None:
        if self._context.etc == pathlib.Path('/etc'):
            return None
        return self._context.etc / 'mysql' / 'my.cnf'

    def own_data(self) -> None:
        ownership.give(self._context.data_directory, self._user)

    def run_isolated(self, arguments: Sequence[str]) -> None:
        if self._runs_isolated():
            return
        self._end_closed()  # of a run that was cut short
        reason = self._run_closed()
        if reason is None or not self.is_isolated():
            return  # the caller asks `is_isolated`: a client may have come to it
        LOG.info('The database will be opened by another start of its server: %s', reason)
        self._end_closed()
        self.server.start(autostart.DATABASE, (*arguments, *self._closed_socket()))

    def _closed_socket(self) -> Sequence[str]:
        """Return what moves the socket to the closed directory, where it may be elsewhere."""
        if restart_reasons.of_socket(self.server.configuration(), self._root) is None:
            return ()
        return (socket_place.argument(self._root),)

    def _run_closed(self) -> Restart | None:
        """Start the server behind the packet filter, or return why it is not to be opened so."""
        arguments = self._engine.behind_a_filter
        owner = self.volume_owner()
        if arguments is None or owner is None:
            return Restart.ENGINE
        reason = self._closed.close(owner)
        if reason is not None:
            return reason
        try:
            self.server.start(autostart.DATABASE, arguments)
        except exceptions.StepFailed as error:
            LOG.warning('The server did not start behind the packet filter: %s', error.message)
            return Restart.START
        return self._closed.settle()

    def _runs_isolated(self) -> bool:
        try:
            session = self.server.session()
        except connection.NoAnswer:
            return False
        try:
            skips, events = session.rows(
                'SELECT @@global.skip_networking, @@global.event_scheduler'
            )[0]
            return (
                (bool(skips) or self._closed.holds())
                and str(events).upper() != 'ON'
                and self.server.arguments_file.exists()
            )
        finally:
            session.close()

    def keep_closed(self) -> None:
        self._closed.renew()

    def is_isolated(self) -> bool:
        """Ask the packet filter; a server that has no network is isolated as long as it runs."""
        return not (self._closed.is_lost() and self._answers())

    def for_programs(self, credentials: connection.Credentials) -> connection.Credentials:
        return credentials

    def compared(
        self,
        before: base.Fingerprint,  # noqa: ARG002 - the contract has it
        after: base.Fingerprint,  # noqa: ARG002 - the contract has it
        found: base.Comparison,
    ) -> base.Comparison:
        """Compare the socket that clients will meet, not the one that the server was told."""
        if self.server.told_socket() is None:
            return found
        named = self.server.configuration().server_value('socket')
        return socket_place.as_clients_meet_it(found, named)

    def open_for_clients(self) -> None:
        """Open the server; one that is open already is left alone."""
        if not self._open_as_it_runs() and (
            self._closed.is_recorded()
            or self.server.arguments_file.exists()
            or self.server.version() is None
        ):
            self._stop_closed()
            try:
                self._closed.forget()
            finally:  # whom the rules that stay let through is served
                self.server.start(autostart.DATABASE)
        self.server.wait_for_tcp()

    def _open_as_it_runs(self) -> bool:
        """Let clients in to a server that was started as they are to meet it."""
        if not self._closed.is_recorded() or self.server.version() is None:
            return False
        reason = self._closed.open()
        if reason is not None:
            LOG.info('The database is opened by another start of its server: %s', reason)
            return False
        sockets = socket_place.directory(self._root)
        if sockets.is_dir():  # an isolated start closes it for other users
            sockets.chmod(0o755)
        self.server.arguments_file.unlink(missing_ok=True)
        return True

    def start(self) -> None:
        if self.server.arguments_file.exists() or self._closed.is_recorded():
            self._stop_closed()
            try:
                self._closed.forget()
            finally:
                self._start_former()
        self._start_former()
        self.server.wait_for_tcp()

    def _start_former(self) -> None:
        if self.server.version() is None:
            self.server.start(self.autostart.former())

    def set_autostart(self, *, enabled: bool) -> None:
        """Set the start at boot; before it is switched off, Trove's agent is parked: it would start
        the server again.
        """
        if enabled:
            self.autostart.switch_on_ours()
        else:
            self._trove_agent.hold()
            self.autostart.switch_off()

    def undo_autostart(self) -> None:
        self.autostart.undo()

    def autostart_is_durable(self) -> CheckResult | None:
        """Our database service does it, and is asked."""
        return None

    def publish(self) -> None:
        """Let Trove's agent watch it again, where there is one."""
        self._trove_agent.release()

    def _end_closed(self) -> None:
        """Stop the server before another start without a network, and lift the rules that may be
        there, as far as it can be done.
        """
        self._stop_closed()
        self._closed.forget_if_it_can()

    def _stop_closed(self) -> None:
        """Stop the server before its rules are lifted: clients would come to one that still runs.

        :raises StepFailed: DATABASE_NOT_STOPPED; a server answers all the same.
        """
        self._stop_whatever_runs()
        if self._closed.is_recorded() and self._answers():
            reason = (
                'The database server cannot be stopped: it answers, and no service says that it '
                'runs it. Clients are kept away. Stop it by hand, and try again.'
            )
            raise exceptions.StepFailed(reason, Code.DATABASE_NOT_STOPPED)

    def _answers(self) -> bool:
        return bool(self.server.version() or self.server.refusal())

    def _stop_whatever_runs(self) -> None:
        running = self.autostart.running()
        if running:
            self.server.stop(running)
