# SPDX-License-Identifier: Apache-2.0
"""Archives of container images as engines save them, and as others could put them on a volume."""

import hashlib
import io
import json
import tarfile

from trove_upgrade.guestagent.machine.containers import image_archives
from trove_upgrade.guestagent.machine.containers.image_documents import DOCUMENT_BYTES, Platform

PLATFORM = Platform('linux', 'amd64')
_OCI = 'application/vnd.oci.image'


def digest_of(content):
    """The digest by which a document names it."""
    return f'sha256:{hashlib.sha256(content).hexdigest()}'


def config_of(*layers):
    """The configuration of an image with these layers."""
    return json.dumps({'rootfs': {'diff_ids': [digest_of(layer) for layer in layers]}}).encode()


def id_of(*layers):
    """The id by which engines know it; of `archive`, without layers."""
    return digest_of(config_of(*(layers or (b'a layer',))))


def layer_of(content=b'a layer'):
    """The member that has the layer."""
    return f'{hashlib.sha256(content).hexdigest()}/layer.tar'


def archive(content=b'a layer', *, names=None, more=(), without=()):
    """An archive as Docker 20.10 saves an image by its id; `names` are those of `manifest.json`."""
    digest, layer = id_of(content).partition(':')[2], layer_of(content)
    manifest = [{'Config': f'{digest}.json', 'RepoTags': names, 'Layers': [layer]}]
    members = {
        layer: content,
        f'{digest}.json': config_of(content),
        'manifest.json': json.dumps(manifest).encode(),
        **dict(more),
    }
    return packed({name: text for name, text in members.items() if name not in without})


def manifest_of(*layers):
    """The manifest of an image in containerd's store, whose layers are compressed there."""
    return json.dumps(
        {
            'mediaType': f'{_OCI}.manifest.v1+json',
            'config': {'digest': id_of(*layers)},
            'layers': [{'digest': digest_of(layer)} for layer in layers],
        }
    ).encode()


def index_of(*digests, platforms=()):
    """An index of manifests, each with its platform where these are told."""
    manifests = [{'digest': digest} for digest in digests]
    for manifest, (os, architecture) in zip(manifests, platforms, strict=False):
        manifest['platform'] = {'os': os, 'architecture': architecture}
    return json.dumps({'mediaType': f'{_OCI}.index.v1+json', 'manifests': manifests}).encode()


def layout(*parts):
    """An archive as engines of today save one, of these parts."""
    return packed({f'blobs/{digest_of(part).replace(":", "/")}': part for part in parts})


def packed(members):
    """A tar of these members."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode='w') as tar:
        for name, text in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    return made.getvalue()


def opened(content, hashed_bytes=DOCUMENT_BYTES):
    """The contents of an archive, as a guest finds them."""
    return image_archives.opened(
        io.BytesIO(content), len(content), lambda _count: None, hashed_bytes
    )


def rewritten(content, image_id, hashed_bytes=DOCUMENT_BYTES):
    """The archive that an engine is given in its place."""
    image = opened(content, hashed_bytes).image(image_id, PLATFORM)
    found = b''.join(image.pieces)
    assert len(found) == image.size_bytes
    return found


def read(content):
    """The files of a tar, for a reader that knows plain headers alone."""
    found, at = {}, 0
    while any(content[at : at + 512]):
        header = tarfile.TarInfo.frombuf(content[at : at + 512], 'ascii', 'strict')
        assert header.type == tarfile.REGTYPE and header.name not in found
        found[header.name] = content[at + 512 : at + 512 + header.size]
        at += 512 + header.size + -header.size % 512
    assert content[at:] == bytes(1024)
    return found
