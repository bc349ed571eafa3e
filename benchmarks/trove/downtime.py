# SPDX-License-Identifier: Apache-2.0
"""Downtime of a major upgrade, as a client sees it: MariaDB 10.11 to 11.8 in a container, to a
guest with the newer system and agents.

Four times in one run, each on an instance of its own: ours to a guest image that has the container
image already, ours to one that has it from its volume, ours to one that must pull it, and by hand:
stock Trove's `upgrade`, which the guest refuses and which sets the row all the same, then the
administrator's `rebuild` with the target's image.  The client writes a row every 50 ms all through;
its downtime is from its first failed write to the first that succeeds after the last failure.  By
hand it is only the rebuild's: the refused upgrade stops nothing.
"""

import contextlib
import dataclasses
import datetime
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.trove.instance import created
from lab import errors, publishing, rest
from lab.commands import HostCommands
from lab.containers.builder import ContainerBuilder
from lab.containers.recipes import MARIADB_11_8
from lab.demo import application, follow, snapshots, writer
from lab.images import recipes
from lab.progress import Progress
from lab.services import trove_deployment
from lab.stage import build_images
from lab.trove import database
from lab.trove import stage as trove_stage
from lab.trove.datastores import Registered
from lab.trove.instances import DATABASE, TroveInstance
from lab.trove.stage import TroveStage

ROWS = 100_000
TICKS = f'{DATABASE}.ticks'
ENDS_SECONDS = 900.0
PRELOADED, CARRIED, PULLED = 'ours, preloaded', 'ours, carried', 'ours, pulled'
BY_HAND = 'by hand'
AIM_SECONDS = 12.0


@dataclasses.dataclass(frozen=True)
class Case:
    """One upgrade, as its client saw it."""

    name: str
    downtime_seconds: float
    whole_seconds: float  #: from the request until the instance is let go
    acknowledged: int
    lost: int
    in_guest_seconds: float | None  #: as the guest measured it, where it is ours
    steps: dict[
        str, float
    ]  #: seconds of each step in which the client was not served, where it is ours
    timeline: list[
        tuple[float, str]
    ]  #: what the upgrade said, by seconds since the first failed write (before it: negative)

    def line(self) -> str:
        """For a terminal."""
        steps = ', '.join(f'{step} {seconds:.1f}' for step, seconds in self.steps.items())
        return (
            f'{self.name:<18} {self.downtime_seconds:>8.1f} {self.whole_seconds:>8.1f} '
            f'{self.acknowledged:>6} {self.lost:>5}   {steps}'
        )


HEADING = (
    f'{"upgrade":<18} {"down s":>8} {"whole s":>8} {"writes":>6} {"lost":>5}   seconds of '
    'that by step'
)


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

    def measure(self, name: str, upgrade: Callable[[TroveInstance], dict[str, Any]]) -> Case:
        """On a new instance, which is deleted afterwards.

        :raises LabError: it could not be created, or the upgrade did not complete.
        """
        instances = self._stage.instances
        self._progress.line(f'{name}: creating an instance')
        with created(self._stage, f'bench-{name.replace(", ", "-").replace(" ", "-")}') as instance:
            database.asker(instances.guest(instance))(database.rows_sql(DATABASE, ROWS, TICKS))
            with (
                self._progress.phase(f'{name}: upgrading it'),
                application.writing(self._client(instance), self._folder) as written,
            ):
                started = time.monotonic()
                told = upgrade(instance)
                whole = time.monotonic() - started
                application.wait_for_writes(written, application.SETTLE_WRITES)
            seen = writer.measure(writer.read(written))
            self._check(instance)
            lost = len(
                seen.acknowledged
                - snapshots.numbers(database.asker(instances.guest(instance)), TICKS)
            )
        down = _down(writer.read(written))
        case = Case(
            name,
            seen.seconds,
            whole,
            len(seen.acknowledged),
            lost,
            told.get('downtime_seconds'),
            _steps(told, *down),
            [(round(at - down[0], 2), line.strip()) for at, line in told.get('timeline', ())],
        )
        print(
            f'{HEADING}\n{case.line()}',
            *(f'{at:>8.1f}  {line}' for at, line in case.timeline),
            sep='\n',
            flush=True,
        )
        return case

    def ours(self, target: Registered) -> Callable[[TroveInstance], dict[str, Any]]:
        """By our filter and taskmanager: what the API says of the upgrade at its end."""

        def upgrade(instance: TroveInstance) -> dict[str, Any]:
            self._patch(f'{self._stage.side.url}/v1.0', instance, target)
            timeline: list[tuple[float, str]] = []
            follower = follow.Follower(
                lambda path: self._demo.request('GET', self._stage.instances.base_url + path),
                lambda line: timeline.append((time.time(), line)),
            )
            ended = follower.until_ended(instance.id, ENDS_SECONDS)
            if ended['state'] != 'COMPLETED':
                raise errors.LabError(
                    f'The upgrade ended {ended["state"]}: {ended.get("cause")} '
                    f'({ended.get("error_code")}). See the logs in '
                    f'{self._stage.handle.run_dir}/log.',
                    code='bench_upgrade_failed',
                )
            return {**ended, 'timeline': timeline}

        return upgrade

    def by_hand(self, target: Registered) -> Callable[[TroveInstance], dict[str, Any]]:
        """By stock Trove's API, conductor and taskmanager alone."""

        def upgrade(instance: TroveInstance) -> dict[str, Any]:
            with self._cloudinit_file():
                self._patch(f'{self._stock_url}/v1.0', instance, target)
                self._stage.instances.wait_healthy(instance.id, ENDS_SECONDS)
                self._progress.line('  stock upgrade has "ended"; now the rebuild')
                self._admin.request(
                    'POST',
                    f'{self._stock_url}/v1.0/{self._admin_project}/mgmt/instances/{instance.id}/action',
                    {'rebuild': {'image_id': target.image_id}},
                )
                self._stage.instances.wait_healthy(instance.id, ENDS_SECONDS)
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

    def _client(self, instance: TroveInstance) -> application.Database:
        database, table = TICKS.split('.')
        return application.Database(
            instance_id=instance.id,
            entry=self._stage.host.fabric.entry(instance.network_id),
            address=instance.address,
            user=instance.user,
            password=instance.password,
            database=database,
            table=table,
        )

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

    @property
    def _folder(self) -> pathlib.Path:
        return self._stage.layout.run_dir / 'bench'


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
    trove_stage.load_facts(stage.product, version.name, trove_stage.version_facts(guest, image))
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
    """Measure a preloaded image, a carried one, a pulled one and the way by hand."""
    bench = Downtimes(stage, progress, stock_url)
    target = preloaded(stage, progress)
    for version in (
        target,
        stage.target,
    ):  # a host's first server from an image downloads it: no case may pay for that
        progress.line(f'Creating an instance of {version.name}, so that the host has its image')
        with created(stage, f'bench-warm-{version.number}', version):
            pass
    cases = [
        bench.measure(PRELOADED, bench.ours(target)),
        bench.measure(CARRIED, bench.ours(stage.target)),
    ]
    with without_image_id(stage):
        cases.append(bench.measure(PULLED, bench.ours(stage.target)))
    cases.append(bench.measure(BY_HAND, bench.by_hand(stage.target)))
    print(f'\n{HEADING}', *(case.line() for case in cases), sep='\n', flush=True)
    seconds = {case.name: case.downtime_seconds for case in cases}
    return {
        'cases': [dataclasses.asdict(case) for case in cases],
        'aim_holds': seconds[PRELOADED] <= AIM_SECONDS,
        'holds': seconds[PRELOADED] < seconds[BY_HAND]
        and seconds[CARRIED] < seconds[BY_HAND]
        and seconds[PULLED] < seconds[BY_HAND]
        and not any(case.lost for case in cases),
    }


def _down(attempts: Sequence[writer.Attempt]) -> tuple[float, float]:
    """From the first failed write to the first that succeeded after the last failure, in seconds
    since the epoch.
    """
    failed = [attempt.at for attempt in attempts if not attempt.ok]
    return failed[0], next(
        attempt.at for attempt in attempts if attempt.ok and attempt.at > failed[-1]
    )


def _steps(told: dict[str, Any], down: float, up: float) -> dict[str, float]:
    """The times of steps are in UTC and say no zone."""
    found: dict[str, float] = {}
    for run in told.get('steps', ()):
        start, end = (
            datetime.datetime.fromisoformat(run[name]).replace(tzinfo=datetime.UTC).timestamp()
            for name in ('started_at', 'ended_at')
        )
        within = min(end, up) - max(start, down)
        if within > 0:
            found[run['step']] = round(found.get(run['step'], 0.0) + within, 2)
    return found
