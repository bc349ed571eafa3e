# SPDX-License-Identifier: Apache-2.0
"""An old cloud for the bridge: two projects with overlapping networks, one of them behind a network
node, three guests from before the upgrade feature, and port 22 closed everywhere.

For callers::

    stage = set_stage(layout, cloud, progress, rows=1000)  # or load(layout), from another process
    stage.key           # private key of root and `trove` in the guests, and of root on the node
    stage.node_address  # where its sshd listens
    stage.instances     # sysv and systemd on this host, sysv behind the node
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from lab import publishing
from lab.bridge.instances import OldInstance, OldInstances, guest_transport_url
from lab.bridge.tenants import TenantNetwork, Tenants
from lab.cloud import Cloud
from lab.commands import HostCommands
from lab.images import oldest
from lab.images.builder import BuiltImage, ImageBuilder
from lab.layout import Layout
from lab.progress import Phase, Progress
from lab.publishing import ImageFile, PublishedVersion
from lab.servers import NetworkNode
from lab.stage import QUICK, Stage, load_stage
from lab.stage import set_stage as set_new_stage

NODE = 'network-node'
DEFAULT_ROWS = 1000
#: Of our agents: the old ones listen where Trove's do.
GUEST_TOPIC_PREFIX = 'trove-upgrade-guest.'
_SYSTEMD = '-systemd'


@dataclasses.dataclass(frozen=True, kw_only=True)
class BridgeStage:
    """The running cloud with our services and the old guests on it."""

    stage: Stage  #: the cloud, our services, and the version to upgrade to
    key: pathlib.Path
    node_address: str
    instances: tuple[OldInstance, ...]
    stands_in: bool  #: the guests are not as old as they should be: bullseye could not be fetched

    @property
    def makers(self) -> OldInstances:
        """Return what made the instances, for a look into their guests."""
        return _makers(self.stage, self.key)


def set_stage(
    layout: Layout, cloud: Cloud, progress: Progress, *, rows: int = DEFAULT_ROWS
) -> BridgeStage:
    """Cloud up with security groups enforced, our services, both networks, all instances.  Safe to
    repeat.

    :raises LabError: whatever failed; `Cloud.down` clears it all.
    """
    handle = cloud.up(progress, security_groups=True)
    if _record(layout).exists():
        return load(layout)
    guest_config = layout.run_dir / 'bridge' / 'trove-guestagent.conf'
    guest_config.parent.mkdir(parents=True, exist_ok=True)
    guest_config.touch(mode=0o600)
    guest_config.write_text(
        f'[DEFAULT]\ntransport_url = {guest_transport_url(handle)}\n'
        f'[trove_upgrade]\nguest_topic_prefix = {GUEST_TOPIC_PREFIX}\n',
        'utf-8',
    )
    options = {
        **QUICK,
        'guest_config_file': str(guest_config),
        'guest_topic_prefix': GUEST_TOPIC_PREFIX,
    }
    stage = set_new_stage(layout, cloud, progress, options)
    with progress.phase('Building the images of old guests') as tell:
        images = oldest.build(
            ImageBuilder(
                layout.images_cache,
                pathlib.Path(__file__).resolve().parents[2],
                HostCommands(),
                tell,
            ),
            tell,
        )
    with progress.phase('Making two tenants, a network node and three old guests') as tell:
        return _make(layout, stage, images, rows, tell)


def load(layout: Layout) -> BridgeStage:
    """The stage that `set_stage` has set, also from another process.

    :raises FileNotFoundError: none is set.
    """
    found: dict[str, Any] = json.loads(_record(layout).read_text('utf-8'))
    instances = tuple(
        OldInstance(**{**one, 'network': TenantNetwork(**one['network'])})
        for one in found['instances']
    )
    return BridgeStage(
        stage=load_stage(layout),
        key=_key(layout),
        node_address=found['node_address'],
        instances=instances,
        stands_in=found['stands_in'],
    )


def _make(
    layout: Layout, stage: Stage, images: oldest.OldImages, rows: int, tell: Phase
) -> BridgeStage:
    key = _key(layout)
    HostCommands().run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(key)])
    sysv, systemd = (
        _publish(stage, image, suffix)
        for image, suffix in ((images.sysv, ''), (images.systemd, _SYSTEMD))
    )
    tell('the network node')
    node = stage.host.boot_node(
        NODE, images.sysv.path, init=images.sysv.init, authorized_key=_public(key)
    )
    near, far = _networks(stage, node)
    makers = _makers(stage, key)
    made = []
    for name, version, network in (
        ('old-sysv', sysv, near),
        ('old-systemd', systemd, near),
        ('old-behind-node', sysv, far),
    ):
        tell(name)
        made.append(makers.create(name, version, network, rows=rows))
    content = {
        'node_address': node.address,
        'stands_in': images.stands_in,
        'instances': [dataclasses.asdict(one) for one in made],
    }
    fresh = _record(layout).with_suffix('.new')
    fresh.write_text(json.dumps(content, indent=1), 'utf-8')
    fresh.rename(_record(layout))
    return load(layout)


def _networks(stage: Stage, node: NetworkNode) -> tuple[TenantNetwork, TenantNetwork]:
    tenants = Tenants(stage.handle, stage.host)
    return tenants.make('demo'), tenants.make('other', node)


def _publish(stage: Stage, image: BuiltImage, suffix: str) -> PublishedVersion:
    """Two images of the same server have names of their own."""
    file = ImageFile(
        name=image.name, path=image.path, properties=image.properties, facts=image.facts
    )
    return publishing.register(
        stage.product,
        file,
        publishing.upload(stage.handle, file),
        name=f'{image.facts["server_version"]}{suffix}',
    )


def _makers(stage: Stage, key: pathlib.Path) -> OldInstances:
    return OldInstances(stage.handle, stage.product, stage.host, _public(key))


def _public(key: pathlib.Path) -> str:
    return key.with_suffix('.pub').read_text('utf-8').strip()


def _key(layout: Layout) -> pathlib.Path:
    return layout.run_dir / 'bridge' / 'key'


def _record(layout: Layout) -> pathlib.Path:
    return layout.run_dir / 'bridge-stage.json'
