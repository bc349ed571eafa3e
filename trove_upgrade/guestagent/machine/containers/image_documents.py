# SPDX-License-Identifier: Apache-2.0
"""Documents by which a container image names its parts, from the one that has its id.

Source: the Docker Image Specification v1.2 (an engine that keeps images itself knows one by its
configuration) and the OCI Image Format (one with containerd's store, by its manifest or an index of
manifests).
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

#: Documents are shorter; layers are rarely.
DOCUMENT_BYTES = 4 << 20
#: Engines mount no more.
_LAYERS = 127
_MANIFESTS = 64
DIGEST = re.compile(r'sha256:[0-9a-f]{64}')
_PLACE = re.compile(r'blobs/(sha256)/([0-9a-f]{64})')
_OCI = 'application/vnd.oci.image'
_DOCKER = 'application/vnd.docker.distribution'
_MANIFEST_KINDS = (f'{_OCI}.manifest.v1+json', f'{_DOCKER}.manifest.v2+json')
_INDEX_KINDS = (f'{_OCI}.index.v1+json', f'{_DOCKER}.manifest.list.v2+json')
_LAYOUT = {'imageLayoutVersion': '1.0.0'}


class NotOneImage(Exception):
    """Error of a file that is not the archive of an image, or not of the one that is wanted.

    No ValueError: what gives an engine the pieces of an archive must not take it for one of its
    own.
    """


@dataclasses.dataclass(frozen=True)
class Platform:
    """System that images are made for, in the words of the OCI Image Format.  An engine does not
    tell its variant.
    """

    os: str
    architecture: str

    def may_run(self, described: Any) -> bool:
        """Return whether a manifest that an index describes is for this platform; one that does not
        tell may be.
        """
        told = described.get('platform')
        return told is None or self == Platform(told.get('os'), told.get('architecture'))


class Parts(Protocol):
    """Parts that there are, by their digests."""

    def has(self, digest: str) -> bool:
        """Return whether a part is here."""

    def text(self, digest: str, limit_bytes: int) -> bytes:
        """Return what is in a part that is here.

        :raises NotOneImage: it is longer.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Described:
    """Members of an archive that has one image."""

    digests: Sequence[str]  #: of the parts; each once
    own: Mapping[str, bytes]  #: what tells an engine of them, by the names that it looks for


def place_of(digest: str) -> str:
    """Return the name of a part in an archive."""
    return f'blobs/{digest.replace(":", "/")}'


def digest_at(place: str) -> str | None:
    """Return the digest of the part that has this name; None for a name of another form."""
    found = _PLACE.fullmatch(place)
    return None if found is None else ':'.join(found.groups())


def describe(image_id: str, parts: Parts, platform: Platform) -> Described:
    """Follow the digests from the image's id.

    :raises NotOneImage: a part is not here, as the manifest for the platform, or a document is none
        that engines know.
    """
    if not parts.has(image_id):
        raise NotOneImage('it has another image')
    document = _document(image_id, parts)
    try:
        if 'rootfs' in document:
            return _by_configuration(image_id, document, parts)
        return _by_manifest(image_id, document, parts, platform)
    except (KeyError, TypeError, AttributeError) as error:
        raise NotOneImage(f'its image is not of a known form ({type(error).__name__})') from error


def _by_configuration(image_id: str, document: Any, parts: Parts) -> Described:
    layers = [str(digest) for digest in document['rootfs']['diff_ids']]
    _require(layers, parts)
    manifest = {
        'Config': place_of(image_id),
        'RepoTags': None,
        'Layers': [place_of(digest) for digest in layers],
    }
    return Described(
        digests=list(dict.fromkeys((*layers, image_id))),
        own={'manifest.json': json.dumps([manifest]).encode()},
    )


def _by_manifest(image_id: str, document: Any, parts: Parts, platform: Platform) -> Described:
    is_index = 'manifests' in document
    kinds = _INDEX_KINDS if is_index else _MANIFEST_KINDS
    kind = document.get('mediaType', kinds[0])
    if kind not in kinds:
        raise NotOneImage('its image is not of a known kind')
    if is_index:
        digests = [image_id, *_of_index(document, parts, platform)]
    else:
        digests = [image_id, *_of_manifest(document, parts)]
    size = len(parts.text(image_id, DOCUMENT_BYTES))
    index = {
        'schemaVersion': 2,
        'mediaType': _INDEX_KINDS[0],
        'manifests': [{'mediaType': kind, 'digest': image_id, 'size': size}],
    }
    return Described(
        digests=list(dict.fromkeys(digests)),
        own={
            'index.json': json.dumps(index).encode(),
            'oci-layout': json.dumps(_LAYOUT).encode(),
        },
    )


def _of_index(document: Any, parts: Parts, platform: Platform) -> Iterator[str]:
    """Yield the parts of the manifests that are here: an engine has the one of its platform, and
    perhaps what attests to it, which alone is no image.
    """
    described = document['manifests']
    if len(described) > _MANIFESTS:
        raise NotOneImage('its image has too many manifests')
    here = [one for one in described if parts.has(one['digest'])]
    if not any(platform.may_run(one) for one in here):
        raise NotOneImage(
            f'it lacks the part of its image for {platform.os}/{platform.architecture}'
        )
    for one in here:
        yield one['digest']
        yield from _of_manifest(_document(one['digest'], parts), parts)


def _of_manifest(document: Any, parts: Parts) -> Iterator[str]:
    digests = [str(one['digest']) for one in (*document['layers'], document['config'])]
    _require(digests, parts)
    yield from digests


def _require(digests: Sequence[str], parts: Parts) -> None:
    if len(digests) > _LAYERS + 1:
        raise NotOneImage('its image has too many layers')
    for digest in digests:
        if DIGEST.fullmatch(digest) is None or not parts.has(digest):
            raise NotOneImage('it lacks a part of its image')


def _document(digest: str, parts: Parts) -> Any:
    text = parts.text(digest, DOCUMENT_BYTES)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotOneImage('a document of its image cannot be read') from error
