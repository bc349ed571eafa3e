# SPDX-License-Identifier: Apache-2.0
"""A server in Trove's container: containers for services."""

import dataclasses
import pathlib
import socket
from collections.abc import Callable, Sequence

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.image_archive import ImageArchive, ImageSource
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckOutcome, CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import connection, option_files, preserved
from trove_upgrade.guestagent.datastores.mysql_family import ownership as family_ownership
from trove_upgrade.guestagent.datastores.mysql_family.container import (
    acceptance,
    autostart,
    backup_images,
    closed_network,
    definition,
    first_start,
    health_account,
    host_name,
    image_selection,
    images,
    ownership,
    privileges,
    target_preparation,
    trial,
)
from trove_upgrade.guestagent.datastores.mysql_family.container.creation import Creation
from trove_upgrade.guestagent.datastores.mysql_family.container.image_arrival import ImageArrival
from trove_upgrade.guestagent.datastores.mysql_family.container.kept_files import KeptFiles
from trove_upgrade.guestagent.datastores.mysql_family.container.names import DATABASE, FIRST_START
from trove_upgrade.guestagent.datastores.mysql_family.container.programs import ContainerPrograms
from trove_upgrade.guestagent.datastores.mysql_family.container.record import (
    ImageChoice,
    Record,
    Records,
)
from trove_upgrade.guestagent.datastores.mysql_family.container.server import ContainerServer, Reach
from trove_upgrade.guestagent.datastores.mysql_family.container.tried import Tried
from trove_upgrade.guestagent.datastores.mysql_family.engines.engine import Engine
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import HostPorts
from trove_upgrade.guestagent.datastores.portable_image import Opened, PortableImage
from trove_upgrade.guestagent.machine import service as service_module
from trove_upgrade.guestagent.machine.containers.engine import Engine as ContainerEngine
from trove_upgrade.guestagent.machine.progress import Progress
from trove_upgrade.guestagent.trove.trove_agent_control import TroveAgentControl


@dataclasses.dataclass(frozen=True, kw_only=True)
class Containers:
    """Parts of the guest that run the server in a container."""

    engine: ContainerEngine
    repository: str | None  #: docker_image of Trove's configuration
    trove_agent: TroveAgentControl
    backup_repository: str | None = None  #: backup_docker_image of Trove's configuration
    repositories: Sequence[str] = ()  #: whose images are taken besides
    #: of the datastore version that this root disk is for, as user data names it
    number: str | None = None
    store: pathlib.Path | None = None  #: where the engine keeps images; None: the engine tells
    reach: Reach = socket.create_connection


class ContainerHost:
    """Implements Host with Trove's container."""

    shares_volume = True

    def __init__(
        self,
        context: base.DriverContext,
        engine: Engine,
        service: service_module.ServicePort,
        ports: HostPorts,
        containers: Containers,
    ) -> None:
        self._context, self._engine, self._ports = context, engine, ports
        self._containers = containers.engine
        self._trove_agent, self._number = containers.trove_agent, containers.number
        self.server = ContainerServer(
            context,
            service,
            ports.connect,
            ports.sleep,
            self._containers,
            groups=engine.dialect.groups,
            start_seconds=ports.start_seconds,
            reach=containers.reach,
        )
        self.images = images.Images(
            self._containers,
            containers.repository,
            containers.store,
            sleep=ports.sleep,
            monotonic=context.monotonic,
            others=containers.repositories,
        )
        self._backup_images = backup_images.BackupImages(
            self._containers, containers.backup_repository, engine.backup_images
        )
        self._assemble(service)

    def _assemble(self, service: service_module.ServicePort) -> None:
        """Put together what is kept on this root disk, and what works with it."""
        state = self._context.etc.parent / 'var/lib/trove-upgrade'
        self.records = Records(state / 'database-container.json')
        policy = state / 'database-restart-policy.json'
        self.autostart = autostart.ContainerAutostart(self._containers, service, policy)
        self._health = health_account.HealthAccount(
            state / 'database-health-accounts.json', self._context.data_directory
        )
        mysql = self._context.etc / 'mysql'
        tried = state / 'database-configuration-tried.json'
        self.tried = Tried(tried, mysql, self.server.configuration)
        self._kept_files = KeptFiles(mysql, (self.records.path, self.tried.path, self._health.path))
        self._privileges = privileges.Privileges(
            volume=self._context.volume,
            mysql=mysql,
            sockets=self.server.socket_directory,
            privileged=self._engine.privileged_container,
        )
        self._creation = Creation(
            engine=self._containers,
            images=self.images,
            records=self.records,
            privileges=self._privileges,
            health=self._health,
            volume=self._context.volume,
        )
        self._first = first_start.FirstStart(
            engine=self._containers,
            server=self.server,
            creation=self._creation,
            closed=closed_network.ClosedNetwork(self._containers, self.server, self._context.run),
            data_directory=self._context.data_directory,
            may_be_opened=self._engine.behind_a_filter is not None,
        )
        self.programs = ContainerPrograms(self._containers, self._first.container)
        self._arrival = ImageArrival(self._containers, self.images, self.records, self._number)
        self._selection = image_selection.ImageSelection(
            self._arrival, self.images, self.records, self._try, self.tried
        )

    def volume_owner(self) -> int | None:
        """Return none: the user is the container's, and the top is taken whose ever it is."""
        return None

    # --- before -----------------------------------------------------------------------------------

    def preserve(self) -> Callable[[option_files.Configuration], preserved.Preserved] | None:
        """Return None: all of /etc/mysql comes back, and no directory that it names is searched."""
        return None

    def checks(self, target: TargetFacts) -> Sequence[CheckResult]:
        """Check the container, whether the target's image can be had, and that of its backups."""
        return [
            *acceptance.check_running(self._containers, self._places),
            self.images.check(target),
            self._backup_images.check(target),
        ]

    @property
    def _places(self) -> Sequence[pathlib.Path]:
        """Directories that Trove gives to its container; the last two are of older Troves."""
        root = self._context.etc.parent
        return (
            self._context.volume,
            self._context.etc / 'mysql',
            self.server.socket_directory,
            root / 'run/mysqld',
            root / 'var/run/mysqld',
        )

    def bring_target(self, target: TargetFacts, progress: Progress) -> str | None:
        return self.images.bring(target, progress)

    def prepare_target(self, target: TargetFacts, progress: Progress) -> None:
        """Bring the target's image here, which tries the configuration as it is now."""
        target_preparation.TargetPreparation(
            engine=self._containers,
            images=self.images,
            records=self.records,
            containers=self.server,
            context=self._context,
            session=lambda: self.server.require_session()[0],
            record=self._record,
            trial=self._try,
            tried=self.tried,
        ).prepare(target, progress)

    def portable_target(self) -> PortableImage:
        return self._arrival.portable(self.records.require().target)

    def portable_former(self) -> PortableImage:
        return self._arrival.portable(self.records.require().former)

    def _record(self, picked: ImageChoice) -> Record:
        container, image = self.images.of_database()
        kept, secrets = definition.portable(container.definition, image.config)
        former = self._arrival.with_digests(images.choice(container.image, image))
        return Record(
            definition=kept,
            secrets=secrets,
            restart_policy=self.autostart.policy(),
            former=former,
            target=picked,
        )

    def _try(self, image: ImageChoice, record: Record) -> CheckResult:
        return trial.try_configuration(
            self._containers,
            image.reference,
            self._privileges.given(record.definition),
            self._context.etc / 'mysql',
            self._engine.trial_script(
                definition.options(record.definition), self.server.configuration()
            ),
        )

    def stopped(self, fingerprint: base.Fingerprint) -> None:
        """Remember the accounts, of which the container's health check may have one."""
        self._health.remember(fingerprint.users)

    def ended_cleanly(self) -> bool:
        """Tell by the exit code of the process."""
        container = self._containers.inspect(DATABASE)
        return container is not None and container.exit_code == 0

    def stash_roots(self) -> Sequence[pathlib.Path]:
        """Keep all of /etc/mysql: it is Trove's there, and nothing of it an image's."""
        return self._kept_files.roots(self._trove_agent.marker_files())

    def restore_paths(self, stashed: base.Stashed) -> Sequence[str]:
        """Place last the files by which Trove's agent takes its database to serve: `publish`."""
        return self.restore_first(stashed.files)

    def left_alone(self, stashed: base.Stashed) -> Sequence[str]:  # noqa: ARG002 - the contract has it
        """Return none: all of /etc/mysql comes back."""
        return ()

    def restore_first(self, stashed: Sequence[str]) -> Sequence[str]:
        """Return directories, too: the server includes empty ones."""
        return self._kept_files.coming_back(stashed)

    def prepare_places(self, stashed: base.Stashed, coming: Sequence[str]) -> None:
        """Do nothing: what the server needs elsewhere is its container's."""

    def check_restored(self, stashed: base.Stashed) -> CheckResult | None:  # noqa: ARG002 - the contract has it
        """Check nothing: no program of the guest's root reads the container's option files."""
        return None

    # --- after ------------------------------------------------------------------------------------

    def receive(self, archive: ImageArchive, opened: Opened) -> None:
        self._arrival.receive(archive, opened)

    def image_source(self) -> ImageSource | None:
        return self._arrival.source

    def prefetch(self) -> None:
        self._arrival.prefetch()

    def expect(self, target: TargetFacts) -> None:
        self._selection.expect(target)

    def check_configuration(self, options: GuestOptions) -> CheckResult:
        """Bring the image here, too.  What that very image has accepted on the former
        root disk it accepts here.
        """
        record = self.records.require()
        accepted = acceptance.check(record.definition, self._places)
        if accepted.outcome == CheckOutcome.REFUSED:
            return accepted
        return self._selection.select(record, options)

    def check_again(self, options: GuestOptions, progress: Progress) -> CheckResult | None:
        """The image: an operator mends a broken one under its tag.  Not while its
        server works on the data.
        """
        if self._first.serves():
            return None
        return self._selection.renew(options, progress)

    def own_data(self) -> None:
        """Go by the number: the container's user is one, and its names are the image's."""
        user = definition.user(self.records.require().definition)
        if user is not None:
            ownership.make(self.server.socket_directory, *user)
            family_ownership.give_beside(self._context.data_directory, *user)
            for directory in (self._context.data_directory, self._context.etc / 'mysql'):
                ownership.give(directory, *user)

    def run_isolated(self, arguments: Sequence[str]) -> None:
        """Run it in a container of another name, and without a network."""
        self._first.run(self.records.require(), arguments)

    def for_programs(self, credentials: connection.Credentials) -> connection.Credentials:
        return connection.Credentials(
            self.server.socket_inside, credentials.user, credentials.password
        )

    def compared(
        self, before: base.Fingerprint, after: base.Fingerprint, found: base.Comparison
    ) -> base.Comparison:
        """Leave out what is named after the container: its host name is its id."""
        return host_name.leave_out(before, after, found)

    def open_for_clients(self) -> None:
        """Open it as Trove made it, with its own command and ports."""
        record = self.records.require()
        policy = record.restart_policy
        is_durable = policy in autostart.DURABLE_POLICIES
        self._first.open(record, policy if is_durable else autostart.DURABLE)
        session, _ = self.server.require_session()
        try:
            self._health.drop_listed(session)
        finally:
            session.close()
        self.server.wait_for_clients_way(record)

    def keep_closed(self) -> None:
        self._first.closed.renew()

    def is_isolated(self) -> bool:
        return self._first.is_isolated()

    def start(self) -> None:
        """Start the same container; it is made again only if it was removed."""
        self.images.wait_for_engine()
        self._first.end(FIRST_START)
        if self.server.version() is None:
            if self._containers.inspect(DATABASE) is None:
                self._creation.create(DATABASE, self.records.require())
            self.server.run(DATABASE)
            self.autostart.undo()
        self.server.wait_for_clients_way(self.records.read())

    def installed_version(self) -> str | None:
        """The root disk has no server of its own."""
        return None

    def set_autostart(self, *, enabled: bool) -> None:
        """Set the start at boot; before it is switched off, Trove's agent is held back."""
        if enabled:
            self.autostart.switch_on_ours()
        else:
            self._trove_agent.hold()
            self.autostart.switch_off()

    def undo_autostart(self) -> None:
        """A container that was started while the volume was away serves an
        empty directory: it ends first.
        """
        container = self._containers.inspect(DATABASE)
        if (
            container is not None
            and container.running
            and not self.server.sees_the_data(container, self._ports.proc)
        ):
            self.server.stop(DATABASE)
        self.autostart.undo()

    def autostart_is_durable(self) -> CheckResult:
        return self.autostart.durability()

    def publish(self) -> None:
        """Release Trove's agent: it may report again that the database serves."""
        self._trove_agent.release()
