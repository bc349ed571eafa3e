# SPDX-License-Identifier: Apache-2.0
"""Upgrades of a guest whose MariaDB is a service, 10.11 to 11.8, under a writing client: by our API
and taskmanager, and by hand as an administrator with a shell in the guest does it.
"""

import contextlib
import functools
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.outage import case, watching
from lab import errors, rest
from lab.demo import application, snapshots
from lab.images import provision
from lab.instances import LabInstance
from lab.progress import Progress
from lab.servers import DATABASE_MOUNT
from lab.stage import Stage
from trove_upgrade.waiting import wait_until

REBUILD_SECONDS = 300.0
POLL_SECONDS = 0.1
_KEPT = f'{DATABASE_MOUNT}/kept-by-hand.cnf'
_TICKS = (
    f'CREATE TABLE {snapshots.WRITTEN_TABLE} (number BIGINT PRIMARY KEY, written_at DATETIME(6) '
    'DEFAULT NOW(6));'
)
#: Carries out an upgrade of an instance; returns what is told of it.
Upgrade = Callable[[LabInstance], dict[str, Any]]


class Services:
    """Upgrades of new instances on one cloud."""

    def __init__(self, stage: Stage, progress: Progress) -> None:
        self._stage = stage
        self._progress = progress
        self._session = rest.Session.of(stage.handle.users['demo'])
        self._nova = rest.Session.of(stage.handle.service)
        project_id = stage.maker.project_id('demo')
        self._base = f'{stage.handle.database_api_url}/{project_id}'

    @contextlib.contextmanager
    def created(self, name: str, rows: int) -> Iterator[LabInstance]:
        """Yield an instance of the former version with so many rows; its server is deleted
        afterwards.
        """
        stage = self._stage
        with self._progress.phase(f'{name}: creating an instance with {rows} rows'):
            instance = stage.maker.create(
                f'bench-{time.time_ns():x}', stage.former, rows=rows, flavor='db.medium'
            )
        try:
            provision.sql(stage.maker.guest(instance.server_id), _TICKS)
            case.settle()
            yield instance
        finally:
            stage.maker.delete(instance.server_id)

    def measure(self, name: str, rows: int, upgrade: Upgrade) -> case.Case:
        """On an instance of its own.

        :raises LabError: it could not be created, or is not upgraded in the end.
        """
        with self.created(name, rows) as instance:
            found = self.watched(name, rows, instance, upgrade)
        print(case.HEADING, found.line(), *found.timeline, sep='\n', flush=True)
        return found

    def watched(self, name: str, rows: int, instance: LabInstance, upgrade: Upgrade) -> case.Case:
        """On this instance, whose client writes all the while."""
        account, fabric = instance.credentials.application, self._stage.host.fabric
        client = application.database_of(
            instance, fabric, account.name, account.password, snapshots.WRITTEN_TABLE
        )
        with self._progress.phase(f'{name}: upgrading it'):
            seen = watching.watch(
                client, self._stage.layout.run_dir / 'bench', lambda: upgrade(instance)
            )
        guest = self._stage.maker.guest(instance.server_id)
        version = provision.sql(guest, 'SELECT VERSION();').strip()
        if not version.startswith(self._stage.target.name):
            raise errors.LabError(
                f'Instance {instance.id} runs {version} after its upgrade to '
                f'{self._stage.target.name}.',
                code='bench_not_upgraded',
            )
        return case.of_watched(name, rows, seen, snapshots.acknowledged_rows(guest))

    def ask(self, instance: LabInstance) -> str:
        """Ask our API for the upgrade; return its id."""
        self._session.request(
            'PATCH',
            f'{self._base}/instances/{instance.id}',
            {'instance': {'datastore_version': self._stage.target.name}},
        )
        return str(self._get(f'/instances/{instance.id}/upgrades')['upgrades'][0]['id'])

    def upgrade(self, upgrade_id: str) -> dict[str, Any]:
        """Return an upgrade as the API shows it."""
        found: dict[str, Any] = self._get(f'/upgrades/{upgrade_id}')['upgrade']
        return found

    def ours(self, instance: LabInstance) -> dict[str, Any]:
        """By our API and taskmanager."""
        self.ask(instance)
        return self.until_completed(instance)

    def until_completed(self, instance: LabInstance) -> dict[str, Any]:
        """Follow the upgrade that was asked for.

        :raises LabError: it ended otherwise.
        """
        logs = self._stage.handle.run_dir
        return watching.until_completed(self._get, instance.id, pathlib.Path(logs, 'log'))

    def by_hand(self, instance: LabInstance) -> dict[str, Any]:
        """As a script of an administrator's does it that compares nothing: its configuration is put
        aside on the volume and back, and clients come in as soon as the new server runs.
        """
        parts = {
            name: watching.seconds(functools.partial(act, instance))
            for name, act in (
                ('stop', self._stop),
                ('rebuild', self._rebuild),
                ('start', self._start),
                ('engine_upgrade', self._engine_upgrade),
            )
        }
        return {'parts': parts}

    def _stop(self, instance: LabInstance) -> None:
        self._run(
            instance,
            f'service trove-upgrade-database stop\ncp -a {provision.SETTINGS_FILE} {_KEPT}\n'
            f'sync -f {DATABASE_MOUNT}\numount {DATABASE_MOUNT}',
        )

    def _rebuild(self, instance: LabInstance) -> None:
        maker = self._stage.maker
        before = maker.guest(instance.server_id).boot_id
        self._nova.request(
            'POST',
            f'{self._stage.handle.nova_url}/servers/{instance.server_id}/action',
            {'rebuild': {'imageRef': self._stage.target.image_id}},
        )

        def booted() -> bool:
            guest = maker.guest(instance.server_id)
            return guest.running and guest.boot_id != before and guest.reachable

        if not wait_until(booted, REBUILD_SECONDS, interval_seconds=POLL_SECONDS):
            raise errors.NotReady(
                f'Server {instance.server_id} was not booted from the target image within '
                f'{REBUILD_SECONDS:.0f} s. See the log of nova-compute.'
            )

    def _start(self, instance: LabInstance) -> None:
        guest = self._stage.maker.guest(instance.server_id)
        volume = provision.volume_of(guest)
        self._run(
            instance,
            f'mountpoint -q {DATABASE_MOUNT} || mount UUID={volume} {DATABASE_MOUNT}\n'
            f'cp -a {_KEPT} {provision.SETTINGS_FILE}\n'
            f'echo {volume} > /etc/trove-upgrade/volume-uuid\n'
            'service trove-upgrade-database start',
        )

    def _engine_upgrade(self, instance: LabInstance) -> None:
        self._run(instance, 'mariadb-upgrade --silent')

    def _run(self, instance: LabInstance, script: str) -> None:
        guest = self._stage.maker.guest(instance.server_id)
        guest.exec(['/bin/sh', '-ec', script], timeout_seconds=watching.ENDS_SECONDS)

    def _get(self, path: str) -> Any:
        return self._session.request('GET', self._base + path)
