# SPDX-License-Identifier: Apache-2.0
"""Archives of container images as engines save them, and as others could put them on a volume."""

import hashlib
import io
import json
import tarfile


def config_of(content):
    """The configuration of an image with one layer."""
    return json.dumps({'rootfs': {'diff_ids': [hashlib.sha256(content).hexdigest()]}}).encode()


def id_of(content=b'a layer'):
    """The id by which engines know it."""
    return f'sha256:{hashlib.sha256(config_of(content)).hexdigest()}'


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


def packed(members):
    """A tar of these members."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode='w') as tar:
        for name, text in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    return made.getvalue()
