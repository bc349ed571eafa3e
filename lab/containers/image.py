# SPDX-License-Identifier: Apache-2.0
"""A container image as files: layers, a configuration, and the manifest that names them.

Source: "Image Manifest V 2, Schema 2" of the distribution project and "Image Specification v1.2" of
moby.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MANIFEST_TYPE = 'application/vnd.docker.distribution.manifest.v2+json'
CONFIG_TYPE = 'application/vnd.docker.container.image.v1+json'
LAYER_TYPE = 'application/vnd.docker.image.rootfs.diff.tar.gzip'
_CREATED = '2026-01-01T00:00:00Z'  #: fixed, so that the same inputs make the same image
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """A packed layer in the cache."""

    path: Path
    digest: str  #: of the packed file, as registries name it
    diff_id: str  #: of the tar in it, as engines name it
    size: int  #: bytes, packed

    def record(self) -> dict[str, Any]:
        """Return what is kept beside the file."""
        return {'digest': self.digest, 'diff_id': self.diff_id, 'size': self.size}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Image:
    """An image that is ready to be loaded or pushed."""

    repository: str
    tags: tuple[str, ...]
    version: str  #: of the server in it: the number of Trove's datastore version
    layers: tuple[Layer, ...]
    config: bytes

    @property
    def config_digest(self) -> str:
        """Return what an engine calls the image's id."""
        return digest_of_bytes(self.config)

    @property
    def facts(self) -> dict[str, Any]:
        """Return what an operator records of it with a version, beside the facts of the guest
        image: engines of the lab keep images in a store of their own.
        """
        return {'container_image_id': self.config_digest}

    @property
    def manifest(self) -> bytes:
        """Return what a registry keeps under each tag."""
        layers = [
            {'mediaType': LAYER_TYPE, 'size': layer.size, 'digest': layer.digest}
            for layer in self.layers
        ]
        return _json(
            {
                'schemaVersion': 2,
                'mediaType': MANIFEST_TYPE,
                'layers': layers,
                'config': {
                    'mediaType': CONFIG_TYPE,
                    'size': len(self.config),
                    'digest': self.config_digest,
                },
            }
        )

    @property
    def digest(self) -> str:
        """Return the digest of the manifest, by which registries know the image."""
        return digest_of_bytes(self.manifest)

    def references(self, registry: str = '') -> list[str]:
        """Its names, with the registry's address before them where one is given:
        `10.0.0.1:5000/mariadb:11.8.6`.
        """
        prefix = f'{registry}/' if registry else ''
        return [f'{prefix}{self.repository}:{tag}' for tag in self.tags]


def configuration(architecture: str, layers: Sequence[Layer], version: str) -> bytes:
    """The image's configuration: what a container of it runs unless told otherwise.

    No volume is declared: an engine would make one for each container that binds nothing there, and
    keep it.
    """
    container = {
        'Entrypoint': ['docker-entrypoint.sh'],
        'Cmd': ['mariadbd'],
        'ExposedPorts': {'3306/tcp': {}},
        'Env': [
            'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
            'LANG=C.UTF-8',
            f'MARIADB_VERSION={version}',
        ],
        'StopSignal': 'SIGTERM',
    }
    return _json(
        {
            'architecture': architecture,
            'os': 'linux',
            'created': _CREATED,
            'config': container,
            'rootfs': {'type': 'layers', 'diff_ids': [layer.diff_id for layer in layers]},
            'history': [{'created': _CREATED} for _layer in layers],
        }
    )


def write_archive(image: Image, target: Path, references: Sequence[str]) -> None:
    """Write what `docker load` takes.  The layers stay packed: engines unpack them as they read."""
    fresh = target.with_suffix('.new')
    names = [layer.digest.partition(':')[2] + '.tar.gz' for layer in image.layers]
    config_name = image.config_digest.partition(':')[2] + '.json'
    listing = _json([{'Config': config_name, 'RepoTags': list(references), 'Layers': names}])
    with tarfile.open(fresh, 'w') as archive:
        for name, content in ((config_name, image.config), ('manifest.json', listing)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
        for name, layer in zip(names, image.layers, strict=True):
            member = tarfile.TarInfo(name)
            member.size, member.mode = layer.size, 0o644
            with layer.path.open('rb') as source:
                archive.addfile(member, source)
    fresh.rename(target)


def digest_of_bytes(content: bytes) -> str:
    """Return the digest of bytes as registries write it: 'sha256:<hexadecimal>'."""
    return 'sha256:' + hashlib.sha256(content).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the digest of a file as registries write it: 'sha256:<hexadecimal>'."""
    found = hashlib.sha256()
    with path.open('rb') as source:
        while chunk := source.read(_CHUNK):
            found.update(chunk)
    return 'sha256:' + found.hexdigest()


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(',', ':')).encode()
