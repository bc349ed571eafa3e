# SPDX-License-Identifier: Apache-2.0
"""The driver of a server of the MySQL family in a container: the contract of `base`, with
containers for services.
"""

import dataclasses
import os
import pathlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trove_upgrade.domain import exceptions, upgrade
from trove_upgrade.guestagent import service as service_module
from trove_upgrade.guestagent.containers.answers import Container
from trove_upgrade.guestagent.containers.engine import Engine
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.container import (
    acceptance,
    backup_images,
    credentials,
    definition,
    health_account,
    images,
    ownership,
    privileges,
    target_server,
    trial,
)
from trove_upgrade.guestagent.datastores.container.autostart import (
    DURABLE,
    DURABLE_POLICIES,
    OFF,
    ContainerAutostart,
)
from trove_upgrade.guestagent.datastores.container.names import DATABASE, FIRST_START
from trove_upgrade.guestagent.datastores.container.programs import ContainerPrograms
from trove_upgrade.guestagent.datastores.container.record import ImageChoice, Record, Records
from trove_upgrade.guestagent.datastores.container.server import ContainerServer, Reach
from trove_upgrade.guestagent.datastores.container.watchers import Watchers
from trove_upgrade.guestagent.datastores.mysql_family import (
    connection,
    libraries,
    option_files,
    option_paths,
    preserved,
    scratch,
    versions,
)
from trove_upgrade.guestagent.datastores.mysql_family import ownership as family_ownership
from trove_upgrade.guestagent.datastores.mysql_family.driver import FamilyDriver

_START_SECONDS = 900
_ROOT_PASSWORDS = frozenset({'MYSQL_ROOT_PASSWORD', 'MARIADB_ROOT_PASSWORD'})
_ROLLBACK = 'rollback'
_ENGINE_SERVICE = 'docker'


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
        watchers: Watchers,
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
        configuration; `repositories`: whose images are taken besides; `number`: of the datastore
        version that this root disk is for.
        """
        super().__init__(
            context,
            service,
            connect=connect,
            runs=ContainerPrograms(engine, self._running_container),
            sleep=sleep,
            proc=proc,
        )
        state = context.etc.parent / 'var/lib/trove-upgrade'
        self.engine = engine
        self.records = Records(state / 'database-container.json')
        self.images = images.Images(
            engine, repository, store, sleep=sleep, monotonic=context.monotonic, others=repositories
        )
        self._backup_images = backup_images.BackupImages(
            engine, backup_repository, self.backup_image_names
        )
        self.containers = ContainerServer(
            context,
            service,
            connect,
            sleep,
            engine,
            groups=self.dialect.groups,
            start_seconds=start_seconds,
            reach=reach,
        )
        self.server = self.containers
        self._privileges = privileges.Privileges(
            context.volume, context.etc / 'mysql', self.containers.socket_directory, self.privileged
        )
        self.restart_policy = ContainerAutostart(
            engine, service, state / 'database-restart-policy.json'
        )
        self.autostart = self.restart_policy
        self._health = health_account.HealthAccount(
            state / 'database-health-accounts.json', context.data_directory
        )
        self._service = service
        self._watchers = watchers
        self._number = number
        self._expected: Mapping[str, Any] | None = None

    # --- before -----------------------------------------------------------------------------------

    def checks(
        self, target: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Sequence[upgrade.CheckResult]:
        """See `base`.  Also the container, whether the target's image can be had, and that of its
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
        target: Mapping[str, Any],
        options: Mapping[str, Any],  # noqa: ARG002
        progress: base.Progress,
    ) -> None:
        """See `base`.  The target's image is brought here and tries the configuration as it is
        now.
        """
        progress(None, 'Looking for the container image of the target.')
        reference = self.images.reference(target)
        try:
            wanted = self.images.fetch(reference, progress)
            record = self._record(wanted)
        except exceptions.StepFailed as error:
            raise exceptions.StepRefused(
                f'{error.message} The database serves as before.', error.code
            ) from error
        progress(None, f'Trying the configuration with container image {reference}.')
        tried = self._try(wanted, record)
        if tried.outcome == 'refused':
            raise exceptions.StepRefused(tried.message, tried.code or scratch.REFUSED)
        for result in self._look_at(wanted, record):
            if result.outcome == 'refused':
                raise exceptions.StepRefused(result.message, result.code or libraries.NAME)
        self.records.write(record)

    def _look_at(self, wanted: ImageChoice, record: Record) -> Sequence[upgrade.CheckResult]:
        """Compare the server of that image with the one that runs: its release, and the libraries
        and files that this one uses.
        """
        configuration = self.containers.configuration()
        named = self._named_inside(configuration)
        session, _ = self._session()
        try:
            running = str(session.rows('SELECT VERSION()')[0][0])
            loaded = libraries.of_server(session, configuration)
        except connection.SessionError as error:
            raise exceptions.StepRefused(
                f'{error.message} The database serves as before.', error.code
            ) from error
        finally:
            session.close()
        try:
            files = target_server.there(self.engine, DATABASE, list(named))
            found = target_server.look(
                self.engine, wanted.reference, record.definition, loaded, files
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
        return (
            [*results, versions.check_target(running, found.version)] if found.version else results
        )

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

    def _record(self, wanted: ImageChoice) -> Record:
        container = self.engine.inspect(DATABASE)
        image = self.engine.image(container.image_id) if container is not None else None
        if container is None or image is None:
            raise exceptions.StepRefused(
                f'The database cannot be upgraded: container {DATABASE} or its image has gone. '
                'Look who has removed it.',
                'CONTAINER_NOT_RUNNING',
            )
        kept, secrets = definition.portable(container.definition, image.config)
        return Record(
            kept,
            secrets,
            self.restart_policy.policy(),
            images.choice(container.image, image),
            wanted,
        )

    def _try(self, image: ImageChoice, record: Record) -> upgrade.CheckResult:
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

    def fingerprint_and_stop(
        self, options: Mapping[str, Any], progress: base.Progress
    ) -> base.Fingerprint:
        """See `base`."""
        fingerprint = super().fingerprint_and_stop(options, progress)
        self._health.remember(fingerprint.users)
        return fingerprint

    def shutdown_was_clean(self) -> bool:
        """See `base`.  By the data's files and by the exit code of the process."""
        container = self.engine.inspect(DATABASE)
        return container is not None and container.exit_code == 0 and super().shutdown_was_clean()

    def stash_roots(self) -> Sequence[pathlib.Path]:
        """See `base`.  All of /etc/mysql is Trove's there, none of it an image's."""
        places = [
            self.context.etc / 'mysql',
            self.records.path,
            self._health.path,
            *self._watchers.marker_files(),
        ]
        return [path for path in places if path.exists()]

    def restore_paths(self, stashed: base.Stashed) -> Sequence[str]:
        """See `base`.  What Trove's agent takes for a database that serves comes last:
        `publish`.
        """
        return self.restore_first(stashed.files)

    def left_alone(self, stashed: base.Stashed) -> Sequence[str]:  # noqa: ARG002
        """See `base`.  None: all of /etc/mysql comes back."""
        return ()

    def restore_first(self, stashed: Sequence[str]) -> Sequence[str]:
        """See `base`.  Directories, as the server includes empty ones, too."""
        mysql, own = (
            str(self.context.etc / 'mysql'),
            {str(self.records.path), str(self._health.path)},
        )
        return [
            path
            for path in stashed
            if path == mysql
            or path in own
            or (path.startswith(f'{mysql}/') and not preserved.is_never_kept(pathlib.Path(path)))
        ]

    def prepare_places(self, stashed: base.Stashed, coming: Sequence[str]) -> None:
        """See `base`.  None: what the server needs elsewhere is its container's."""

    def check_restored(self, stashed: base.Stashed) -> upgrade.CheckResult | None:  # noqa: ARG002
        """See `base`.  No program of the guest's root reads the container's option files."""
        return None

    # --- after ------------------------------------------------------------------------------------

    def prefetch(self) -> None:
        """See `base`.  The stash cannot be read yet; user data has the number.  The engine lets a
        second pull join the first.
        """
        if self._number:
            self.images.wait_for_engine()
            self.images.fetch(
                self.images.reference({'version_number': self._number}),
                lambda _percent, _sentence: None,
            )

    def expect(self, target: Mapping[str, Any]) -> None:
        """See `base`.  A taskmanager of the release before leaves out the fact that counts."""
        self._expected = target if 'container_image' in target else None

    def _target(self, record: Record) -> ImageChoice:
        """The former root disk may have been taken over: an image of another repository than the
        target's is none of ours.
        """
        if self._expected is None or self.images.is_of_target(record.target, self._expected):
            return record.target
        return ImageChoice(self.images.reference(self._expected), '')

    def check_configuration(self, options: Mapping[str, Any]) -> upgrade.CheckResult:
        """See `base`.  Also brings the image here.  What that very image has accepted on the former
        root disk it accepts here.
        """
        record = self.records.require()
        accepted = acceptance.check(record.definition, self._places)
        if accepted.outcome == 'refused':
            return accepted
        self.images.wait_for_engine()
        backwards = options.get(_ROLLBACK) is True
        wanted = record.former if backwards else self._target(record)
        chosen = self.images.fetch_again(wanted, lambda _percent, _sentence: None, exact=backwards)
        tried = self._choose(chosen, record, wanted)
        if tried.outcome != 'refused' or backwards:
            return tried
        mended = self.images.renew(wanted, lambda _percent, _sentence: None, exact=False)
        return tried if mended.image_id == chosen.image_id else self._choose(mended, record, wanted)

    def check_again(
        self, options: Mapping[str, Any], progress: base.Progress
    ) -> upgrade.CheckResult | None:
        """See `base`.  The image: an operator mends a broken one under its tag.  Not while its
        server works on the data.
        """
        if self._first_start_serves():
            return None
        record = self.records.require()
        self.images.wait_for_engine()
        backwards = options.get(_ROLLBACK) is True
        wanted = record.former if backwards else self._target(record)
        found = self.images.renew(wanted, progress, exact=backwards)
        if (
            record.chosen is not None
            and found.image_id == record.chosen.image_id
            and found.reference == record.chosen.reference
        ):
            return None
        progress(
            None,
            f'Trying the configuration with container image {found.reference}, which is another '
            'one now.',
        )
        return self._choose(found, record, wanted)

    def _choose(
        self, image: ImageChoice, record: Record, accepted: ImageChoice
    ) -> upgrade.CheckResult:
        """Run `image` from now on if it takes the configuration, as `accepted` has on the former
        one.
        """
        tried = (
            self._try(image, record)
            if image.image_id != accepted.image_id
            else upgrade.CheckResult(
                scratch.NAME,
                'ok',
                f'Container image {image.reference} has accepted the configuration before.',
            )
        )
        if tried.outcome != 'refused':
            self.records.write(dataclasses.replace(record, chosen=image))
        return tried

    def own_data(self) -> None:
        """See `base`.  By number: the container's user is one, and its names are the image's."""
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
        self._create(
            FIRST_START,
            record,
            command=[*definition.command(record.definition), *self.isolated_arguments()],
            network='none',
        )
        self.containers.run(FIRST_START)

    def _first_start_serves(self) -> bool:
        container = self.engine.inspect(FIRST_START)
        return container is not None and container.running and self.server_version() is not None

    def _create(
        self,
        name: str,
        record: Record,
        *,
        command: Sequence[str] | None = None,
        network: str | None = None,
    ) -> None:
        """Never to be restarted by the engine: a server that ends at its start has failed, and is
        looked at.

        Isolated, the entrypoint's own upgrade is off.  Said so, and not left out: an image can have
        it on, and the engine adds what an image says to all that a container does not.  Empty is
        off for the entrypoints of MariaDB's project and of the lab.  The final container has
        Trove's value again, or the image's: the data is upgraded by then, so that the entrypoint
        finds nothing to do, and it must be as Trove's agent would make it.  Empty there, too, where
        an entrypoint that looks for its health check would touch the customer's accounts.
        """
        image = self._image(record)
        environment: dict[str, str | None] = {
            secret: self._secret(secret) for secret in record.secrets
        }
        if network is not None or self._must_leave_accounts(record, image):
            environment[definition.AUTO_UPGRADE] = ''
        self.engine.create(
            name,
            self._privileges.given(record.definition),
            image=image.reference,
            command=command,
            env=environment,
            network=network,
            restart=OFF,
        )

    def _must_leave_accounts(self, record: Record, image: ImageChoice) -> bool:
        inspected = self.engine.image(image.reference)
        brought: Mapping[str, Any] = inspected.config if inspected is not None else {}
        if not definition.upgrades_by_itself(record.definition, brought):
            return False
        health_check = (record.definition.get('Config') or {}).get('Healthcheck') or brought.get(
            'Healthcheck'
        )
        return not self._health.may_be_made(health_check)

    def _image(self, record: Record) -> ImageChoice:
        """Brought here again where it was removed: an operator mends a broken one so,
        before he retries.
        """
        known = record.chosen or record.former
        if self.engine.image(known.reference) is not None:
            return known
        found = self.images.fetch_again(
            known, lambda _percent, _sentence: None, exact=known.image_id == record.former.image_id
        )
        if record.chosen is not None:
            self.records.write(dataclasses.replace(record, chosen=found))
        return found

    def _secret(self, name: str) -> str | None:
        return (
            credentials.password(self.context.volume, 'root') if name in _ROOT_PASSWORDS else None
        )

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
        """See `base`.  A container's host name is its id: what is named after it has not
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
        """See `base`.  As Trove made it, with its own command and ports."""
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
            self._create(DATABASE, record)
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
        """See `base`.  The same container; made again only if it was removed."""
        self.images.wait_for_engine()
        self._end(FIRST_START)
        if self.server_version() is None:
            if self.engine.inspect(DATABASE) is None:
                self._create(DATABASE, self.records.require())
            self.containers.run(DATABASE)
            self.autostart.undo()
        self.containers.wait_for_clients_way(self.records.read())

    def installed_version(self) -> str | None:
        """See `base`.  The root disk has no server of its own."""
        return None

    def set_autostart(self, *, enabled: bool) -> None:
        """See `base`.  From now on Trove's agent is silent, and does not restart what is being
        stopped.
        """
        if not enabled:
            self._watchers.mute()
        super().set_autostart(enabled=enabled)

    def undo_autostart(self) -> None:
        """See `base`.  A container that was started while the volume was away serves an
        empty directory: it ends first.
        """
        container = self.engine.inspect(DATABASE)
        if container is not None and container.running and not self._sees_the_data(container):
            self.containers.stop(DATABASE)
        super().undo_autostart()

    def _sees_the_data(self, container: Container) -> bool:
        """True where it cannot be told."""
        root = (
            self._proc
            / str((container.definition.get('State') or {}).get('Pid') or 'unknown')
            / 'root'
        )
        data = self.context.data_directory
        try:
            return (root / str(data).lstrip('/')).samefile(data)
        except OSError:  # its process can have ended meanwhile, and then `root` leads nowhere
            return not os.path.exists(root)  # noqa: PTH110 - pathlib raises for a process that ends

    def autostart_is_durable(self) -> upgrade.CheckResult:
        """See `base`."""
        name, container = 'guest_autostart', self.engine.inspect(DATABASE)
        policy = container.restart_policy if container is not None else None
        if policy not in DURABLE_POLICIES:
            return upgrade.CheckResult(
                name,
                'refused',
                f'The database would not come back after a reboot: the restart policy of container '
                f'{DATABASE} is {policy}. Retry the upgrade.',
                'AUTOSTART_NOT_DURABLE',
            )
        if self._service.exists(_ENGINE_SERVICE) and not self._service.is_enabled(_ENGINE_SERVICE):
            return upgrade.CheckResult(
                name,
                'refused',
                f'The database would not come back after a reboot: service {_ENGINE_SERVICE} is '
                'not enabled. Build the image with it enabled, or enable it, and retry the '
                'upgrade.',
                'AUTOSTART_NOT_DURABLE',
            )
        return upgrade.CheckResult(
            name, 'ok', f'Container {DATABASE} is started at boot ({policy}).'
        )

    def publish(self) -> None:
        """See `base`.  Trove's agent may say again that the database serves."""
        self._watchers.unmute()
