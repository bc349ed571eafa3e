# SPDX-License-Identifier: Apache-2.0
"""Real Trove with versions to offer, alone or with our filter in its API and our taskmanager beside
it.

For callers::

    stage = trove_stage.start(layout, cloud, progress,
                              with_product=True)  # or load(layout), from another process
    instance = stage.instances.create('db1', stage.former)
"""

import dataclasses
import json
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from lab import composition, publishing
from lab.cloud import Cloud
from lab.containers import registry
from lab.containers.image import Image
from lab.containers.recipes import MARIADB_10_11, MARIADB_11_8
from lab.handle import CloudHandle
from lab.images import recipes
from lab.layout import Layout
from lab.product import TASKMANAGER, Product
from lab.progress import Phase, Progress
from lab.servers import Hypervisor
from lab.services import trove, trove_conf, trove_deployment
from lab.stage import QUICK, build_images
from lab.supervisor import Supervisor
from lab.trove.datastores import Datastores, Registered
from lab.trove.instances import TroveInstances
from lab.trove.side import TroveSide

OUR_QUEUE = 'trove-upgrade-taskmanager'
READY_SECONDS = 60.0
DATASTORE = 'mariadb'
GUEST_TOPIC_PREFIX = 'trove-upgrade-guest.'
#: What the operator's page has in [trove_upgrade] of trove.conf.
BESIDE_TROVE: Mapping[str, object] = {
    'guest_topic_prefix': GUEST_TOPIC_PREFIX,
    'write_service_status': False,
}
#: Always: the lab's guest images have our agent, and by the default topic it would take the
#: messages of Trove's.
GUEST_OPTIONS: Mapping[str, object] = {'guest_topic_prefix': GUEST_TOPIC_PREFIX}
#: The versions to move between: guest image and container image.
PAIRS = ((recipes.TROVE_BOOKWORM, MARIADB_10_11), (recipes.TROVE_TRIXIE, MARIADB_11_8))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TroveStage:
    """The running cloud with Trove on it and both versions registered."""

    layout: Layout
    handle: CloudHandle
    side: TroveSide
    host: Hypervisor
    product: Product  #: beside Trove; nothing of it runs on a stage that was started without
    datastores: Datastores
    instances: TroveInstances
    former: Registered  #: 10.11 on bookworm
    target: Registered  #: 11.8 on trixie


def start(
    layout: Layout,
    cloud: Cloud,
    progress: Progress,
    *,
    with_product: bool = False,
    options: Mapping[str, object] = QUICK,
    database: str = trove_deployment.NAME,
) -> TroveStage:
    """Trove, registry and two versions on a cloud that is up; `with_product` also our filter,
    tables and taskmanager.  Safe to repeat.

    `options` go into [trove_upgrade] of trove.conf; `database` is Trove's, where tables of that
    name are of others.

    :raises LabError: something failed; the message names the log.
    """
    side = TroveSide.of(cloud)
    if not _record(layout).exists():
        with progress.phase('Building the guest and container images') as tell:
            built = build_images(layout, tell, *(guest for guest, _container in PAIRS))
            containers = start_registry(layout, side, tell)
    with progress.phase('Starting Trove') as tell:
        if with_product:
            guests = {'guest_config_file': str(trove_conf.guest_config_file(side.settings))}
            side.start(
                database=database,
                options={**BESIDE_TROVE, **guests, **options},
                guest_options=GUEST_OPTIONS,
            )
        else:
            side.start(guest_options=GUEST_OPTIONS)
        if not _record(layout).exists():
            tell('uploading images and registering versions')
            _register(layout, cloud, built, containers)
    if with_product:
        with progress.phase('Adding trove-upgrade to it'):
            add_product(layout, side, cloud)
    return load(layout)


def load(layout: Layout) -> TroveStage:
    """The stage that `start` has set, also from another process.

    :raises FileNotFoundError: none is set; run trove-upgrade-lab up --trove.
    """
    former, target = (Registered(**found) for found in json.loads(_record(layout).read_text()))
    cloud = Cloud(layout)
    handle, side = cloud.handle(), TroveSide.of(cloud)
    host = composition.of_cloud(handle)
    return TroveStage(
        layout=layout,
        handle=handle,
        side=side,
        host=host,
        product=product(layout, side, cloud),
        datastores=Datastores(handle),
        instances=TroveInstances(handle, side, host),
        former=former,
        target=target,
    )


def build(layout: Layout, tell: Phase) -> list[publishing.ImageFile]:
    """The guest images, and in the cache the filled registry: what needs package indexes, which a
    lab's namespace may not reach.
    """
    registry.prepared(layout.images_cache, registry.build(layout.images_cache, tell), tell)
    return build_images(layout, tell, *(guest for guest, _container in PAIRS))


def start_registry(layout: Layout, side: TroveSide, tell: Phase) -> list[Image]:
    """The registry of container images, filled and running; a running one stays as it is."""
    registry.configure(side.settings)
    images = registry.provide(side.settings, tell)
    supervisor = Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir)
    if not supervisor.runs(registry.NAME):
        supervisor.start(registry.process(side.settings))
    supervisor.wait_ready(registry.NAME, lambda: registry.ready(side.settings), READY_SECONDS)
    return images


def product(layout: Layout, side: TroveSide, cloud: Cloud) -> Product:
    """Our services beside Trove: they read trove.conf."""
    return Product(
        layout,
        cloud.handle(),
        Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir),
        config_file=side.conf_path,
    )


def add_product(layout: Layout, side: TroveSide, cloud: Cloud) -> Product:
    """Return what an operator does on a running Trove: tables, our taskmanager, then the filter, in
    this order.
    """
    ours = product(layout, side, cloud)
    ours.manage('db', 'sync')
    record_facts(layout, ours)
    supervisor = Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir)
    if not supervisor.runs(TASKMANAGER):
        ours.start_taskmanager()
    supervisor.wait_ready(
        TASKMANAGER, lambda: trove.consumes(side.settings, OUR_QUEUE), READY_SECONDS
    )
    if not side.deployment.with_filter:
        side.restart_api(with_filter=True)
    return ours


def record_facts(layout: Layout, ours: Product) -> None:
    """Load what is recorded of the images, as an operator does with each version: by it a guest is
    given a key, and its container image is carried.  Safe to repeat.
    """
    for number, facts in json.loads(_facts(layout).read_text()).items():
        load_facts(ours, number, facts)


def version_facts(guest: publishing.ImageFile, container: Image) -> Mapping[str, Any]:
    """Return what is recorded with a version: of its guest image and of its container image."""
    return {**guest.facts, **container.facts}


def facts_of(layout: Layout, number: str) -> Mapping[str, Any]:
    """Return the facts that were recorded with a version's number."""
    found: Mapping[str, Mapping[str, Any]] = json.loads(_facts(layout).read_text())
    return found[number]


def load_facts(ours: Product, version: str, facts: Mapping[str, Any]) -> None:
    """Load the facts of one version's image.  Safe to repeat."""
    with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
        json.dump(facts, file, default=dict)
        file.flush()
        ours.manage('datastore_version_facts', DATASTORE, version, file.name)


def _register(
    layout: Layout, cloud: Cloud, guests: list[publishing.ImageFile], containers: list[Image]
) -> None:
    """One version per pair, under the full number of the server in the container image: that is its
    tag, too.
    """
    handle, datastores = cloud.handle(), Datastores(cloud.handle())
    found: list[Registered] = []
    facts: dict[str, Mapping[str, Any]] = {}
    for (_guest, recipe), guest in zip(PAIRS, guests, strict=True):
        container = next(image for image in containers if recipe.family in image.tags)
        number = container.version
        found.append(
            datastores.register(
                DATASTORE, number, number, publishing.upload(handle, guest), default=not found
            )
        )
        facts[number] = version_facts(guest, container)
    _facts(layout).write_text(json.dumps(facts, default=dict))
    fresh = _record(layout).with_suffix('.new')
    fresh.write_text(json.dumps([dataclasses.asdict(version) for version in found]))
    fresh.rename(_record(layout))


def _facts(layout: Layout) -> pathlib.Path:
    return layout.run_dir / 'trove-facts.json'


def _record(layout: Layout) -> pathlib.Path:
    return layout.run_dir / 'trove-stage.json'
