# SPDX-License-Identifier: Apache-2.0
"""A cloud of Trove as it was before this product: guests with Trove's own agent alone, which
operators reach over SSH with the key pair that Trove asks Nova for.

For callers::

    with stock_guests.offered(stage, progress) as stock:
        instance = stage.instances.create('db1', stock.version)
        stock.key        # opens the account stock.USER of its guest, from stock.namespace
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping

from lab import publishing, rest
from lab.bridge import dhcp_ports
from lab.commands import HostCommands
from lab.images import recipes
from lab.progress import Phase, Progress
from lab.stage import build_images
from lab.trove.datastores import Registered
from lab.trove.stage import DATASTORE, TroveStage

USER = 'debian'  #: the account of Debian's cloud images, with sudo
KEY_PAIR = 'trove-operators'
_SUFFIX = '-stock'


@dataclasses.dataclass(frozen=True, kw_only=True)
class StockGuests:
    """A version without us, and the way into its guests."""

    version: Registered  #: the former version's container image, on a guest image without us
    key: pathlib.Path
    namespace: str  #: of Neutron's DHCP agent in the network of the guests


@contextlib.contextmanager
def offered(stage: TroveStage, progress: Progress) -> Iterator[StockGuests]:
    """Offer such a version, and let Trove give its guests the operators' key; Trove's own options
    are put back at the end.

    :raises LabError: something failed; the message names the log.
    """
    with progress.phase('Building a guest image without trove-upgrade') as tell:
        version = _register(stage, _image(stage, tell))
    key = _key_pair(stage)
    sections = stage.side.deployment.sections
    _restart(
        stage, {**sections, 'DEFAULT': {**sections.get('DEFAULT', {}), 'nova_keypair': KEY_PAIR}}
    )
    try:
        yield StockGuests(version=version, key=key, namespace=_plug_dhcp(stage))
    finally:
        _restart(stage, sections)


def _image(stage: TroveStage, tell: Phase) -> publishing.ImageFile:
    [image] = build_images(stage.layout, tell, recipes.TROVE_BOOKWORM.stock())
    return image


def _register(stage: TroveStage, image: publishing.ImageFile) -> Registered:
    """Offer the former server on this image.  No facts of it are loaded: operators of such a cloud
    have none.
    """
    name = f'{stage.former.name}{_SUFFIX}'
    known = next((one for one in stage.datastores.all() if one.name == name), None)
    return known or stage.datastores.register(
        DATASTORE, name, stage.former.number, publishing.upload(stage.handle, image)
    )


def _key_pair(stage: TroveStage) -> pathlib.Path:
    """Return the private key; the public one is Trove's service user's at Nova."""
    path = stage.layout.run_dir / KEY_PAIR
    if not path.exists():
        HostCommands().run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(path)])
        public = path.with_suffix('.pub').read_text('utf-8')
        rest.Session.of(stage.handle.users['trove']).request(
            'POST',
            f'{stage.handle.nova_url}/os-keypairs',
            {'keypair': {'name': KEY_PAIR, 'public_key': public}},
        )
    return path


def _restart(stage: TroveStage, sections: Mapping[str, Mapping[str, object]]) -> None:
    """Restart the taskmanager, which asks Nova for servers, with these sections of trove.conf."""
    stage.side.taskmanager.stop()
    stage.side.configure(sections=sections)
    stage.side.taskmanager.start()


def _plug_dhcp(stage: TroveStage) -> str:
    """Give the guests' network the port of a DHCP agent; Neutron chooses its address."""
    handle = stage.handle
    admin = rest.Session.of(handle.users['admin'])
    base = f'{handle.neutron_url}/v2.0'
    [subnet] = admin.request('GET', f'{base}/subnets?network_id={handle.network_id}')['subnets']
    ports = admin.request(
        'GET', f'{base}/ports?network_id={handle.network_id}&device_owner={dhcp_ports.OWNER}'
    )['ports']
    for port in ports:
        admin.request('DELETE', f'{base}/ports/{port["id"]}')
    return dhcp_ports.plug(
        handle,
        stage.host,
        dhcp_ports.Place(
            network_id=handle.network_id,
            project_id=str(subnet['project_id']),
            subnet_id=str(subnet['id']),
            cidr=str(subnet['cidr']),
            gateway=str(subnet['gateway_ip']),
        ),
    )
