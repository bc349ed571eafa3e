# SPDX-License-Identifier: Apache-2.0
"""Downtime of a major upgrade, as a client sees it: MariaDB 10.11 to 11.8 in a container, to a
guest with the newer system and agents.

Four ways in one run, each time on an instance of its own: ours to a guest image that has the
container image already, ours to one that has it from its volume while the registry is away, ours to
one that must pull it, and by hand: stock Trove's `upgrade`, which the guest refuses and which sets
the row all the same, then the administrator's `rebuild` with the target's image.  The client writes
a row every 50 ms all through; its downtime is from its first failed write to the first that
succeeds after the last failure.  By hand it is only the rebuild's: the refused upgrade stops
nothing.
"""

import contextlib
import dataclasses
import pathlib
import statistics
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.outage import case, watching
from benchmarks.trove import floor
from benchmarks.trove.instance import created
from lab import errors, publishing, rest
from lab.commands import HostCommands
from lab.containers import registry
from lab.containers.builder import ContainerBuilder
from lab.containers.recipes import MARIADB_11_8
from lab.demo import application, snapshots
from lab.images import recipes
from lab.progress import Progress
from lab.services import trove_deployment
from lab.stage import build_images
from lab.supervisor import Supervisor
from lab.trove import database
from lab.trove import stage as trove_stage
from lab.trove.datastores import Registered
from lab.trove.instances import DATABASE, TroveInstance
from lab.trove.stage import TroveStage
from trove_upgrade.waiting import wait_until

ROWS = (case.MILLION, 10 * case.MILLION)
TICKS = f'{DATABASE}.ticks'
FLAVOR = 'trove.medium'  #: its volume has room for the most rows
PRELOADED, CARRIED = 'ours, preloaded', 'ours, registry away'
PULLED, BY_HAND = 'ours, pulled', 'by hand'
AIM_SECONDS = 12.0  #: of CARRIED with the first of ROWS, the median of RUNS
RUNS = 3
POLL_SECONDS = 0.2  #: each asks Trove, on the processors that the upgrade has


class Downtimes:
    """Upgrades under a writing client."""

    def __init__(self, stage: TroveStage, progress: Progress, stock_url: str) -> None:
        self._stage = stage
        self._progress = progress
        self._stock_url = stock_url
        admin, demo = stage.handle.users['admin'], stage.handle.users['demo']
        self._admin = rest.Session.of(admin)
        self._demo = rest.Session.of(demo)
        projects = self._admin.request(
            'GET', f'{stage.handle.auth_url}/projects?name={admin.project_name}'
        )['projects']
        self._admin_project = str(projects[0]['id'])

    def measure(
        self, name: str, rows: int, upgrade: Callable[[TroveInstance], dict[str, Any]]
    ) -> tuple[case.Case, case.Floor | None]:
        """On a new instance, which is deleted afterwards; the floor where the upgrade was ours.

        :raises LabError: it could not be created, or the upgrade did not complete.
        """
        instances = self._stage.instances
        self._progress.line(f'{name}: creating an instance with {rows} rows')
        with created(
            self._stage,
            f'bench-{name.replace(", ", "-").replace(" ", "-")}-{rows}',
            flavor=FLAVOR,
        ) as instance:
            database.asker(instances.guest(instance), watching.ENDS_SECONDS)(
                database.rows_sql(DATABASE, rows, TICKS)
            )
            case.settle()
            client = application.database_of(
                instance, self._stage.host.fabric, instance.user, instance.password, TICKS
            )
            folder = self._stage.layout.run_dir / 'bench'
            with self._progress.phase(f'{name}: upgrading it'):
                seen = watching.watch(client, folder, lambda: upgrade(instance))
            self._check(instance)
            found = case.of_watched(
                f'{name}, {rows // case.MILLION} million',
                rows,
                seen,
                snapshots.numbers(database.asker(instances.guest(instance)), TICKS),
            )
            print(case.HEADING, found.line(), *found.timeline, sep='\n', flush=True)
            bottom = (
                floor.measure(self._stage, instance, found.parts['boot']) if found.parts else None
            )
        return found, bottom

    def ours(
        self, target: Registered, *, registry_away: bool = False
    ) -> Callable[[TroveInstance], dict[str, Any]]:
        """By our filter and taskmanager: what the API tells of the upgrade at its end.  The
        registry of container images can be away from the rebuild on, when the database has stopped.
        """

        def upgrade(instance: TroveInstance) -> dict[str, Any]:
            self._patch(f'{self._stage.side.url}/v1.0', instance, target)
            if not registry_away:
                return self._until_completed(instance)
            with self._registry_away_from('rebuild', instance):
                return self._until_completed(instance)

        return upgrade

    def _until_completed(self, instance: TroveInstance) -> dict[str, Any]:
        logs = pathlib.Path(self._stage.handle.run_dir, 'log')
        return watching.until_completed(self._get, instance.id, logs)

    @contextlib.contextmanager
    def _registry_away_from(self, step: str, instance: TroveInstance) -> Iterator[None]:
        """Stop the registry once the upgrade has come to this step, and start it again at the
        end.
        """

        def begun() -> bool:
            (newest, *_) = self._get(f'/instances/{instance.id}/upgrades')['upgrades']
            return newest['state'] not in {'PENDING', 'RUNNING'} or any(
                run['step'] == step for run in newest['steps']
            )

        if not wait_until(begun, watching.ENDS_SECONDS, interval_seconds=POLL_SECONDS):
            raise errors.NotReady(
                f'The upgrade of instance {instance.id} did not come to {step} within '
                f'{watching.ENDS_SECONDS:.0f} s.'
            )
        stage, layout = self._stage, self._stage.layout
        Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir).stop((registry.NAME,))
        try:
            yield
        finally:
            trove_stage.start_registry(layout, stage.side, lambda _text: None)

    def _get(self, path: str) -> Any:
        return self._demo.request('GET', self._stage.instances.base_url + path)

    def by_hand(self, target: Registered) -> Callable[[TroveInstance], dict[str, Any]]:
        """By stock Trove's API, conductor and taskmanager alone."""

        def upgrade(instance: TroveInstance) -> dict[str, Any]:
            with self._cloudinit_file():
                self._patch(f'{self._stock_url}/v1.0', instance, target)
                self._stage.instances.wait_healthy(instance.id, watching.ENDS_SECONDS)
                self._progress.line('  stock upgrade has "ended"; now the rebuild')
                self._admin.request(
                    'POST',
                    f'{self._stock_url}/v1.0/{self._admin_project}/mgmt/instances/{instance.id}/action',
                    {'rebuild': {'image_id': target.image_id}},
                )
                self._stage.instances.wait_healthy(instance.id, watching.ENDS_SECONDS)
            return {}

        return upgrade

    def _patch(self, base: str, instance: TroveInstance, target: Registered) -> None:
        self._demo.request(
            'PATCH',
            f'{base}/{self._stage.instances.project_id}/instances/{instance.id}',
            {'instance': {'datastore_version': target.name}},
        )

    @contextlib.contextmanager
    def _cloudinit_file(self) -> Iterator[None]:
        """Without one, Trove 26's rebuild fails on its own user data after the database was
        stopped.  It sets nothing.
        """
        file = (
            self._stage.side.settings.state(trove_deployment.NAME)
            / 'cloudinit'
            / f'{trove_stage.DATASTORE}.cloudinit'
        )
        file.write_text('runcmd: []\n')
        try:
            yield
        finally:
            file.unlink()

    def _check(self, instance: TroveInstance) -> None:
        """Require that the database is upgraded: else there is no downtime to show.

        :raises LabError: the database is not the target's.
        """
        found = database.asker(self._stage.instances.guest(instance))('SELECT VERSION();').strip()
        if not found.startswith(self._stage.target.number):
            raise errors.LabError(
                f'Instance {instance.id} runs {found} after its upgrade to '
                f'{self._stage.target.number}.',
                code='bench_not_upgraded',
            )


def preloaded(stage: TroveStage, progress: Progress) -> Registered:
    """The target's version once more, with a guest image that has the container image; built once
    per cache.
    """
    with progress.phase('Building the guest image that has the container image') as tell:
        builder = ContainerBuilder(stage.layout.images_cache, HostCommands(), tell)
        image = builder.build(MARIADB_11_8)
        archive = builder.archive(image, image.references(stage.side.deployment.registry))
        guest = build_images(stage.layout, tell, recipes.TROVE_TRIXIE.with_preloaded(archive))[0]
    name = f'{stage.target.name}-preloaded'
    known = next((version for version in stage.datastores.all() if version.name == name), None)
    version = known or stage.datastores.register(
        trove_stage.DATASTORE, name, stage.target.number, publishing.upload(stage.handle, guest)
    )
    trove_stage.load_facts(stage.product, version.name, guest.facts)
    return version


@contextlib.contextmanager
def without_image_id(stage: TroveStage) -> Iterator[None]:
    """Have no image carried to the target's version: its facts lack the id meanwhile."""
    facts = trove_stage.facts_of(stage.layout, stage.target.number)
    without = {name: fact for name, fact in facts.items() if name != 'container_image_id'}
    trove_stage.load_facts(stage.product, stage.target.name, without)
    try:
        yield
    finally:
        trove_stage.load_facts(stage.product, stage.target.name, facts)


def measure(stage: TroveStage, progress: Progress, stock_url: str) -> dict[str, Any]:
    """Measure an image that the volume carries while the registry is away, and the way by hand,
    with each number of rows; a preloaded image and a pulled one with the first alone.  The medians
    are held against the aim.
    """
    bench = Downtimes(stage, progress, stock_url)
    target = preloaded(stage, progress)
    for version in (
        target,
        stage.target,
    ):  # a host's first server from an image downloads it: no case may pay for that
        progress.line(f'Creating an instance of {version.name}, so that the host has its image')
        with created(stage, f'bench-warm-{version.number}', version):
            pass
    found = _measured(bench, stage, target)
    each = [one for runs in found.values() for one in runs]
    print('', case.HEADING, sep='\n')
    for one, bottom in each:
        print(one.line(), *(() if bottom is None else (bottom.line(),)), sep='\n')
    medians = {
        key: statistics.median(one.downtime_seconds for one, _ in runs)
        for key, runs in found.items()
    }
    further = {
        name: case.per_million(ROWS, [medians[name, rows] for rows in ROWS])
        for name in (CARRIED, BY_HAND)
    }
    for name, seconds in further.items():
        print(f'each further million of rows, {name}: {seconds:.2f} s', flush=True)
    first = {name: medians[name, ROWS[0]] for name in (PRELOADED, CARRIED, PULLED, BY_HAND)}
    print(
        f'{CARRIED}: median of {RUNS} {first[CARRIED]:.1f} s, aim {AIM_SECONDS:.0f} s', flush=True
    )
    return {
        'cases': [{**dataclasses.asdict(one), 'parts': dict(one.parts)} for one, _ in each],
        'floors': [
            {'name': one.name, **dataclasses.asdict(bottom)}
            for one, bottom in each
            if bottom is not None
        ],
        'medians': {f'{name}, {rows}': seconds for (name, rows), seconds in medians.items()},
        'seconds_per_further_million': further,
        'holds': first[CARRIED] <= AIM_SECONDS
        and max(first[name] for name in (PRELOADED, CARRIED, PULLED)) < first[BY_HAND]
        and not any(one.lost for one, _ in each),
    }


def _measured(
    bench: Downtimes, stage: TroveStage, target: Registered
) -> dict[tuple[str, int], list[tuple[case.Case, case.Floor | None]]]:
    """Measure all ways, by name and rows; the one that has an aim several times."""
    ways = {
        PRELOADED: bench.ours(target),
        CARRIED: bench.ours(stage.target, registry_away=True),
        BY_HAND: bench.by_hand(stage.target),
    }
    found = {
        (name, rows): [
            bench.measure(name, rows, way)
            for _ in range(RUNS if (name, rows) == (CARRIED, ROWS[0]) else 1)
        ]
        for rows in ROWS
        for name, way in ways.items()
        if rows == ROWS[0] or name != PRELOADED
    }
    with without_image_id(stage):
        found[PULLED, ROWS[0]] = [bench.measure(PULLED, ROWS[0], bench.ours(stage.target))]
    return found
