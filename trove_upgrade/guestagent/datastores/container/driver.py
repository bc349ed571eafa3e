# SPDX-License-Identifier: Apache-2.0
"""The driver of a server of the MySQL family in a container: the contract of `base`, with
containers for services.
"""

import dataclasses
import pathlib
import socket
import time
from collections.abc import Callable, Sequence

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckOutcome, CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.container import (
    acceptance,
    backup_images,
    definition,
    health_account,
    images,
    ownership,
    privileges,
    trial,
)
from trove_upgrade.guestagent.datastores.container.autostart import (
    DURABLE,
    DURABLE_POLICIES,
    ContainerAutostart,
)
from trove_upgrade.guestagent.datastores.container.creation import Creation
from trove_upgrade.guestagent.datastores.container.image_selection import ImageSelection
from trove_upgrade.guestagent.datastores.container.kept_files import KeptFiles
from trove_upgrade.guestagent.datastores.container.names import DATABASE, FIRST_START
from trove_upgrade.guestagent.datastores.container.programs import ContainerPrograms
from trove_upgrade.guestagent.datastores.container.record import ImageChoice, Record, Records
from trove_upgrade.guestagent.datastores.container.server import ContainerServer, Reach
from trove_upgrade.guestagent.datastores.container.target_preparation import TargetPreparation
from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.guestagent.datastores.mysql_family import ownership as family_ownership
from trove_upgrade.guestagent.datastores.mysql_family.driver import FamilyDriver
from trove_upgrade.guestagent.machine import service as service_module
from trove_upgrade.guestagent.machine.containers.engine import Engine
from trove_upgrade.guestagent.machine.progress import Progress
from trove_upgrade.guestagent.trove.trove_agent_control import TroveAgentControl

_START_SECONDS = 900


class ContainerDriver(FamilyDriver):
    """Differences of the family's drivers where the server runs in Trove's container."""

    shares_volume = True
    #: How Trove names the images of its backups.
    backup_image_names: backup_images.Names = staticmethod(backup_images.by_tag)
    #: Whether Trove's agent makes its container privileged.
    privileged = False

    def __init__(
        self,
        context: base.DriverContext,
        service: service_module.ServicePort,
        engine: Engine,
        *,
        repository: str | None,
        trove_agent: TroveAgentControl,
        backup_repository: str | None = None,
        repositories: Sequence[str] = (),
        number: str | None = None,
        store: pathlib.Path | None = None,
        connect: connection.Connector = connection.open_session,
        sleep: Callable[[float], None] = time.sleep,
        proc: pathlib.Path = pathlib.Path('/proc'),
        start_seconds: float = _START_SECONDS,
        reach: Reach = socket.create_connection,
    ) -> None:
        """`repository`, `backup_repository`: docker_image and backup_docker_image of Trove's
        configuration; `repositories`: further ones that images are taken from; `number`: of the
        datastore version that this root disk is for.
        """
        runs = ContainerPrograms(engine, self._running_container)
        super().__init__(context, service, connect=connect, runs=runs, sleep=sleep, proc=proc)
        self.engine = engine
        self.server = self.containers = ContainerServer(
            context,
            service,
            connect,
            sleep,
            engine,
            groups=self.dialect.groups,
            start_seconds=start_seconds,
            reach=reach,
        )
        self.images = images.Images(
            engine, repository, store, sleep=sleep, monotonic=context.monotonic, others=repositories
        )
        self._trove_agent, self._number = trove_agent, number
        self._assemble(service, backup_repository)

    def _assemble(self, service: service_module.ServicePort, backup_repository: str | None) -> None:
        """Put together what is kept on this root disk, and what works with it."""
        self._backup_images = backup_images.BackupImages(
            self.engine, backup_repository, self.backup_image_names
        )
        state = self.context.etc.parent / 'var/lib/trove-upgrade'
        self.records = Records(state / 'database-container.json')
        policy = state / 'database-restart-policy.json'
        self.restart_policy = ContainerAutostart(self.engine, service, policy)
        self.autostart = self.restart_policy
        self._health = health_account.HealthAccount(
            state / 'database-health-accounts.json', self.context.data_directory
        )
        mysql = self.context.etc / 'mysql'
        self._kept_files = KeptFiles(mysql, (self.records.path, self._health.path))
        self._privileges = privileges.Privileges(
            volume=self.context.volume,
            mysql=mysql,
            sockets=self.containers.socket_directory,
            privileged=self.privileged,
        )
        self._creation = Creation(
            engine=self.engine,
            images=self.images,
            records=self.records,
            privileges=self._privileges,
            health=self._health,
            volume=self.context.volume,
        )
        self._selection = ImageSelection(self.images, self.records, self._try)

    # --- before -----------------------------------------------------------------------------------

    def checks(self, target: TargetFacts, options: GuestOptions) -> Sequence[CheckResult]:
        """Check also the container, whether the target's image can be had, and that of its
        backups.
        """
        return [
            *super().checks(target, options),
            *acceptance.check_running(self.engine, self._places),
            self.images.check(target),
            self._backup_images.check(target),
        ]

    @property
    def _places(self) -> Sequence[pathlib.Path]:
        """Directories that Trove gives to its container; the last two are of older Troves."""
        root = self.context.etc.parent
        return (
            self.context.volume,
            self.context.etc / 'mysql',
            self.containers.socket_directory,
            root / 'run/mysqld',
            root / 'var/run/mysqld',
        )

    def prepare_target(
        self,
        target: TargetFacts,
        options: GuestOptions,  # noqa: ARG002
        progress: Progress,
    ) -> None:
        """Bring the target's image here, which tries the configuration as it is
        now.
        """
        TargetPreparation(
            engine=self.engine,
            images=self.images,
            records=self.records,
            containers=self.containers,
            context=self.context,
            session=lambda: self._session()[0],
            record=self._record,
            trial=self._try,
        ).prepare(target, progress)

    def _record(self, wanted: ImageChoice) -> Record:
        container, image = self.images.of_database()
        kept, secrets = definition.portable(container.definition, image.config)
        former = images.choice(container.image, image)
        return Record(
            definition=kept,
            secrets=secrets,
            restart_policy=self.restart_policy.policy(),
            former=former,
            target=wanted,
        )

    def _try(self, image: ImageChoice, record: Record) -> CheckResult:
        return trial.try_configuration(
            self.engine,
            image.reference,
            self._privileges.given(record.definition),
            self.context.etc / 'mysql',
            self._trial_script(record),
        )

    def _trial_script(self, record: Record) -> str:
        return trial.of_mariadb(
            definition.options(record.definition), self.containers.configuration()
        )

    def fingerprint_and_stop(self, options: GuestOptions, progress: Progress) -> base.Fingerprint:
        fingerprint = super().fingerprint_and_stop(options, progress)
        self._health.remember(fingerprint.users)
        return fingerprint

    def shutdown_was_clean(self) -> bool:
        """Tell by the data's files and by the exit code of the process."""
        container = self.engine.inspect(DATABASE)
        return container is not None and container.exit_code == 0 and super().shutdown_was_clean()

    def stash_roots(self) -> Sequence[pathlib.Path]:
        """Keep all of /etc/mysql: it is Trove's there, and nothing of it an image's."""
        return self._kept_files.roots(self._trove_agent.marker_files())

    def restore_paths(self, stashed: base.Stashed) -> Sequence[str]:
        """Place last the files by which Trove's agent takes its database to serve:
        `publish`.
        """
        return self.restore_first(stashed.files)

    def left_alone(self, stashed: base.Stashed) -> Sequence[str]:  # noqa: ARG002
        """Return none: all of /etc/mysql comes back."""
        return ()

    def restore_first(self, stashed: Sequence[str]) -> Sequence[str]:
        """Return directories, too: the server includes empty ones."""
        return self._kept_files.coming_back(stashed)

    def prepare_places(self, stashed: base.Stashed, coming: Sequence[str]) -> None:
        """Do nothing: what the server needs elsewhere is its container's."""

    def check_restored(self, stashed: base.Stashed) -> CheckResult | None:  # noqa: ARG002
        """No program of the guest's root reads the container's option files."""
        return None

    # --- after ------------------------------------------------------------------------------------

    def prefetch(self) -> None:
        """The stash cannot be read yet; user data has the number.  The engine lets a
        second pull join the first.
        """
        if self._number:
            self.images.wait_for_engine()
            self.images.fetch(
                self.images.reference(TargetFacts(version_number=self._number)),
                lambda _percent, _sentence: None,
            )

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
        if self._first_start_serves():
            return None
        return self._selection.renew(options, progress)

    def own_data(self) -> None:
        """Go by the number: the container's user is one, and its names are the image's."""
        user = definition.user(self.records.require().definition)
        if user is not None:
            ownership.make(self.containers.socket_directory, *user)
            family_ownership.give_beside(self.context.data_directory, *user)
            for directory in (self.context.data_directory, self.context.etc / 'mysql'):
                ownership.give(directory, *user)

    def run_isolated(self) -> None:
        """See `FamilyDriver`.  In a container of another name, without a network."""
        if self._first_start_serves():
            return
        self._end(FIRST_START)
        self._end(DATABASE)
        record = self.records.require()
        self._creation.create(
            FIRST_START,
            record,
            command=[*definition.command(record.definition), *self.isolated_arguments()],
            network='none',
        )
        self.containers.run(FIRST_START)

    def _first_start_serves(self) -> bool:
        container = self.engine.inspect(FIRST_START)
        return container is not None and container.running and self.server_version() is not None

    def _end(self, name: str) -> None:
        """Stop it cleanly and remove it, if it is there."""
        self.containers.stop(name)
        self.engine.remove(name, force=True)

    def _running_container(self) -> str:
        container = self.engine.inspect(FIRST_START)
        return FIRST_START if container is not None and container.running else DATABASE

    def _for_programs(self, credentials: connection.Credentials) -> connection.Credentials:
        return connection.Credentials(
            self.containers.socket_inside, credentials.user, credentials.password
        )

    def compare(self, before: base.Fingerprint, after: base.Fingerprint) -> base.Comparison:
        """A container's host name is its id: what is named after it has not
        changed.
        """
        then, now = (fingerprint.settings.get('hostname', '') for fingerprint in (before, after))
        found = super().compare(before, after)
        return dataclasses.replace(
            found,
            settings_changed=[
                change
                for change in found.settings_changed
                if not then or change['before'].replace(then, now) != change['after']
            ],
        )

    def open_for_clients(self) -> None:
        """Open it as Trove made it, with its own command and ports."""
        record = self.records.require()
        container = self.engine.inspect(DATABASE)
        first = self.engine.inspect(FIRST_START)
        if (
            first is not None
            or container is None
            or not container.running
            or self.server_version() is None
        ):
            self._end(FIRST_START)
            self._end(DATABASE)
            self._creation.create(DATABASE, record)
            self.containers.run(DATABASE)
        session, _ = self._session()
        try:
            self._health.drop_listed(session)
        finally:
            session.close()
        self.containers.wait_for_clients_way(record)
        self.engine.set_restart_policy(
            DATABASE,
            record.restart_policy if record.restart_policy in DURABLE_POLICIES else DURABLE,
        )

    def start(self) -> None:
        """Start the same container; it is made again only if it was removed."""
        self.images.wait_for_engine()
        self._end(FIRST_START)
        if self.server_version() is None:
            if self.engine.inspect(DATABASE) is None:
                self._creation.create(DATABASE, self.records.require())
            self.containers.run(DATABASE)
            self.autostart.undo()
        self.containers.wait_for_clients_way(self.records.read())

    def installed_version(self) -> str | None:
        """The root disk has no server of its own."""
        return None

    def set_autostart(self, *, enabled: bool) -> None:
        """From now on Trove's agent is silent, and does not restart what is being
        stopped.
        """
        if not enabled:
            self._trove_agent.hold()
        super().set_autostart(enabled=enabled)

    def undo_autostart(self) -> None:
        """A container that was started while the volume was away serves an
        empty directory: it ends first.
        """
        container = self.engine.inspect(DATABASE)
        if (
            container is not None
            and container.running
            and not self.containers.sees_the_data(container, self._proc)
        ):
            self.containers.stop(DATABASE)
        super().undo_autostart()

    def autostart_is_durable(self) -> CheckResult:
        return self.restart_policy.durability()

    def publish(self) -> None:
        """Release Trove's agent: it may report again that the database serves."""
        self._trove_agent.release()
