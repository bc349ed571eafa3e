# SPDX-License-Identifier: Apache-2.0
"""An operator's steps to offer a version: put the image into Glance, register the version, load its
target facts.
"""

import dataclasses
import json
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from lab import rest
from lab.handle import CloudHandle
from lab.product import Product

UPLOAD_SECONDS = 600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFile:
    """An image on disk: what the builder returns, less what only the builder needs."""

    name: str
    path: pathlib.Path
    properties: Mapping[str, str]
    facts: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedVersion:
    """Datastore version that is registered, with its image."""

    datastore: str
    name: str  #: the server's full number: clients compare it with what SQL says
    image_id: str
    image_name: str


def upload(handle: CloudHandle, image: ImageFile) -> str:
    """Put the image into Glance; its id.

    :raises CommandFailed: Glance refused it.
    """
    admin = handle.users['admin']
    session = rest.Session.of(admin)
    made = session.request(
        'POST',
        f'{handle.glance_url}/v2/images',
        {
            'name': image.name,
            'disk_format': 'raw',
            'container_format': 'bare',
            'visibility': 'public',
            'tags': ['trove', 'mariadb'],
            **image.properties,
        },
    )
    with image.path.open('rb') as source:
        session.upload(f'{handle.glance_url}/v2/images/{made["id"]}/file', source, UPLOAD_SECONDS)
    return str(made['id'])


def point(product: Product, datastore: str, version: str, number: str, image_id: str) -> None:
    """Let a version name this image; the version is made where it is not there.

    :raises CommandFailed: trove-upgrade-manage refused it.
    """
    of_version = (datastore, version, 'mariadb', image_id, '', '', '1', '--version', number)
    product.manage('datastore_version_update', *of_version)


def register(
    product: Product,
    image: ImageFile,
    image_id: str,
    *,
    datastore: str = 'mariadb',
    name: str | None = None,
) -> PublishedVersion:
    """Register the version that this image holds, under the server's full number unless `name` says
    otherwise.

    :raises CommandFailed: trove-upgrade-manage refused it.
    """
    number = str(image.facts['server_version'])
    version = name or number
    point(product, datastore, version, number, image_id)
    with tempfile.NamedTemporaryFile('w', suffix='.json') as facts:
        json.dump(dict(image.facts), facts)
        facts.flush()
        product.manage('datastore_version_facts', datastore, version, facts.name)
    return PublishedVersion(
        datastore=datastore, name=version, image_id=image_id, image_name=image.name
    )
