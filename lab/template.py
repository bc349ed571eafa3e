# SPDX-License-Identifier: Apache-2.0
"""Template of freshly migrated databases, made once and kept in the cache: a new cloud copies them
and starts in seconds.

What belongs to them is kept with them: the secrets that they remember, and Keystone's keys.
"""

import hashlib
import inspect
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from types import ModuleType

from lab import bringup, commands, errors, identity, settings
from lab.services import (
    glance,
    keystone,
    mariadb,
    neutron,
    nova,
    openstack,
    placement,
)
from lab.settings import Secrets, Settings
from lab.supervisor import Supervisor

KEPT = 3  #: templates in the cache; each is about 200 MB
_SOURCES: tuple[ModuleType, ...] = (identity, mariadb, keystone, glance, placement, neutron, nova)


def directory(site: Settings) -> pathlib.Path:
    """Return where the template for these pins and this configuration is, or would be."""
    digest = hashlib.sha256(site.venv.digest.encode())
    for module in _SOURCES:
        digest.update(inspect.getsource(module).encode())
    digest.update(
        f'{site.ports} {settings.REGION} {settings.COMPUTE_HOST} {settings.SERVICE_USERS}'.encode()
    )
    digest.update(_server_version().encode())
    return site.layout.templates_dir / digest.hexdigest()[:16]


def _server_version() -> str:
    """Return MariaDB's version: an older one does not start on a newer one's data."""
    answer = subprocess.run(
        ('mariadbd', '--no-defaults', '--version'), capture_output=True, text=True, check=False
    )
    return answer.stdout


def secrets(template: pathlib.Path) -> Secrets | None:
    """Return the secrets that the template's databases know; None while there is no template."""
    path = template / 'secrets.json'
    return Secrets.load(path) if path.exists() else None


def instantiate(site: Settings, template: pathlib.Path) -> None:
    """Copy it into the run directory, which has none yet."""
    for name in (mariadb.NAME, keystone.NAME):
        target = site.state(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ('cp', '--archive', '--reflink=auto', str(template / name), str(target)), check=True
        )
    os.utime(template)


class Builder:
    """Makes a template in the run directory of a cloud that is not up."""

    def __init__(self, site: Settings, supervisor: Supervisor, tell: Callable[[str], None]) -> None:
        self._site = site
        self._supervisor = supervisor
        self._tell = tell

    def build(self, template: pathlib.Path) -> None:
        """Migrate, populate, stop, keep.  What it leaves in the run directory when it fails, the
        caller clears.

        :raises LabError: a migration or a service failed.
        """
        site = self._site
        mariadb.install(site)
        supervisor = self._supervisor
        supervisor.start(mariadb.process(site))
        supervisor.wait_ready(mariadb.NAME, lambda: mariadb.ready(site), 60)
        mariadb.create_databases(site)
        run = bringup.Bringup(self._tell)
        run.run(
            (
                *self._chain('nova', nova.migrations(site), run),
                *self._chain('neutron', neutron.migrations(site), run),
                *self._chain('keystone', keystone.migrations(site), run),
                bringup.Part(
                    'users and catalog',
                    lambda: self._populate(run),
                    needs=(f'keystone {len(keystone.migrations(site))}',),
                ),
                *self._chain('glance', glance.migrations(site), run),
                *self._chain('placement', placement.migrations(site), run),
            )
        )
        nova.map_host(site)
        supervisor.stop((keystone.NAME,))
        supervisor.stop((mariadb.NAME,))
        self._keep(template)

    def _chain(
        self, name: str, migrations: Sequence[openstack.Migration], run: bringup.Bringup
    ) -> list[bringup.Part]:
        """One part per migration, each needing the one before."""
        return [
            bringup.Part(
                f'{name} {number}',
                self._migration(migration, run),
                needs=(f'{name} {number - 1}',) if number > 1 else (),
            )
            for number, migration in enumerate(migrations, start=1)
        ]

    def _migration(
        self, migration: openstack.Migration, run: bringup.Bringup
    ) -> Callable[[], None]:
        log = self._site.layout.log_file(f'migrate-{migration.name}')
        return lambda: commands.run(
            migration.argv,
            log=log,
            env=migration.env,
            check=run.check,
            timeout_seconds=openstack.MIGRATION_SECONDS,
        )

    def _populate(self, run: bringup.Bringup) -> None:
        def probe() -> bool:
            run.check()
            return keystone.ready(self._site)

        self._supervisor.start(keystone.process(self._site))
        self._supervisor.wait_ready(keystone.NAME, probe, 120)
        identity.populate(self._site)

    def _keep(self, template: pathlib.Path) -> None:
        """Publish the template by one rename; then the oldest ones go."""
        unfinished = template.with_suffix('.new')
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        for name in (mariadb.NAME, keystone.NAME):
            shutil.move(self._site.state(name), unfinished / name)
        self._site.secrets.save(unfinished / 'secrets.json')
        shutil.rmtree(template, ignore_errors=True)
        unfinished.rename(template)
        others = sorted(
            template.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True
        )
        for old in [path for path in others if path != template][KEPT - 1 :]:
            shutil.rmtree(old, ignore_errors=True)
        if not (template / mariadb.NAME).is_dir():
            raise errors.LabError(
                f'Cannot keep the databases in {template}: they are not there. Free some space.'
            )
