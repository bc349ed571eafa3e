# SPDX-License-Identifier: Apache-2.0
"""The cloud with our services on it and two versions to move between: where the demo and the
functional tests begin.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping

from lab import composition, publishing
from lab.cloud import Cloud
from lab.commands import HostCommands
from lab.handle import CloudHandle
from lab.images import recipes
from lab.images.builder import ImageBuilder
from lab.instances import InstanceMaker
from lab.layout import Layout
from lab.product import Product
from lab.progress import Phase, Progress
from lab.publishing import ImageFile, PublishedVersion
from lab.servers import Hypervisor
from lab.supervisor import Supervisor

#: With these, tests see soon what an operator's cloud takes minutes for: a takeover, a guest that
#: never comes.
QUICK: Mapping[str, object] = {
    'lease_seconds': 5,
    'compute_timeout': 6,
    'boot_timeout': 60,
    'rebuild_timeout': 120,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """The running cloud with our services on it and both versions registered."""

    layout: Layout
    handle: CloudHandle
    product: Product
    host: Hypervisor
    maker: InstanceMaker
    former: PublishedVersion
    target: PublishedVersion


def build_images(layout: Layout, tell: Phase, *wanted: recipes.Recipe) -> list[ImageFile]:
    """Build (or take from the cache) these images."""
    builder = ImageBuilder(
        layout.images_cache, pathlib.Path(__file__).resolve().parents[1], HostCommands(), tell
    )
    built = [builder.build(recipe) for recipe in wanted]
    return [
        ImageFile(name=image.name, path=image.path, properties=image.properties, facts=image.facts)
        for image in built
    ]


def set_stage(
    layout: Layout, cloud: Cloud, progress: Progress, options: Mapping[str, object] | None = None
) -> Stage:
    """Cloud up, images built and uploaded, our services running, both versions registered.  Safe to
    repeat.

    `options` go into [trove_upgrade] of our services.

    :raises LabError: whatever failed; `Cloud.down` clears it all.
    """
    handle = cloud.up(progress)
    if _record(layout).exists():
        return load_stage(layout)
    with progress.phase('Building the guest images') as tell:
        images = build_images(layout, tell, recipes.BOOKWORM, recipes.TRIXIE)
    product = _product(layout, handle)
    with progress.phase('Starting trove-upgrade and registering two versions') as tell:
        product.start(options)
        tell('uploading images')
        versions = [
            publishing.register(product, image, publishing.upload(handle, image))
            for image in images
        ]
    fresh = _record(layout).with_suffix('.new')
    fresh.write_text(json.dumps([dataclasses.asdict(version) for version in versions]))
    fresh.rename(_record(layout))
    return load_stage(layout)


def load_stage(layout: Layout) -> Stage:
    """The stage that `set_stage` has set, also from another process.

    :raises FileNotFoundError: none is set; run trove-upgrade-lab up --product.
    """
    handle = CloudHandle.load(layout.handle_file)
    former, target = (
        PublishedVersion(**found) for found in json.loads(_record(layout).read_text())
    )
    product, host = _product(layout, handle), composition.of_cloud(handle)
    return Stage(
        layout=layout,
        handle=handle,
        product=product,
        host=host,
        maker=InstanceMaker(handle, product, host),
        former=former,
        target=target,
    )


def _product(layout: Layout, handle: CloudHandle) -> Product:
    return Product(layout, handle, Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir))


def _record(layout: Layout) -> pathlib.Path:
    return layout.run_dir / 'stage.json'
