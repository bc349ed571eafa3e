# SPDX-License-Identifier: Apache-2.0
"""Archives of container images, as an engine saves them: what must hold before one is loaded.

An engine gives each image of an archive the names that the archive has for it, and they could be
names that something else is run by.  So one is taken with a single image, without any name.

Source: the Docker Image Specification v1.2 (manifest.json) and the OCI Image Layout (index.json).
"""

import dataclasses
import json
import re
import tarfile
from collections.abc import Mapping
from typing import Any, BinaryIO

#: An image has at most 127 layers, with a directory and three files each.
_MEMBERS = 4096
_DOCUMENT_BYTES = 4 << 20
#: What engines write, and nothing else: another program may read other names as these.
_MEMBER = re.compile(
    r'manifest\.json|index\.json|repositories|oci-layout|blobs(/sha256(/[0-9a-f]{64})?)?'
    r'|[0-9a-f]{64}(\.json|/(VERSION|json|layer\.tar))?'
)
_SIZE, _SIZE_FIELD = re.compile(rb'[0-7]{11}\0'), slice(124, 136)
_BLOCK_BYTES = 512
#: Records of an extended header by which a member would be another one.
_CHANGING = frozenset({'path', 'linkpath', 'size'})
_MANIFEST, _INDEX, _NAMES = 'manifest.json', 'index.json', 'repositories'
_CONFIG = re.compile(r'(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?')
#: By them an engine with containerd's store names what it loads.
_NAMING = frozenset({'io.containerd.image.name', 'org.opencontainers.image.ref.name'})


class NotOneImage(ValueError):
    """Error of a file that is not the archive of one image without a name."""


@dataclasses.dataclass
class _Found:
    """Members of an archive that tell of it."""

    documents: dict[str, Any] = dataclasses.field(default_factory=dict)
    names: set[str] = dataclasses.field(default_factory=set)


def require(archive: BinaryIO, image_id: str) -> None:
    """Check that the archive has this image alone, whole as far as its members tell, and no name
    for it.

    :raises NotOneImage: it has another, a name, or cannot be read.
    """
    try:
        found = _read(archive)
        described = found.documents[_MANIFEST]
        if len(described) != 1 or described[0].get('RepoTags') or found.documents.get(_NAMES):
            raise NotOneImage('it has several images, or names for them')
        ids = {_id_of(described[0]['Config']), *_ids(found.documents.get(_INDEX) or {})}
        missing = {described[0]['Config'], *described[0]['Layers']} - found.names
    except (tarfile.TarError, EOFError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise NotOneImage(f'it cannot be read ({type(error).__name__})') from error
    except ValueError as error:
        raise NotOneImage(str(error)) from error
    if missing:
        raise NotOneImage('it lacks a layer or the configuration of its image')
    if image_id not in ids:
        raise NotOneImage('it has another image')


def _read(archive: BinaryIO) -> _Found:
    found = _Found()
    archive.seek(0)
    with tarfile.open(fileobj=archive, mode='r:') as members:
        for member in members:
            if member.name in found.names or not _is_plain(member):
                raise NotOneImage('it has members that engines do not write')
            _require_size(archive, member)
            found.names.add(member.name)
            if len(found.names) > _MEMBERS:
                raise NotOneImage('it has too many members')
            if member.name not in {_MANIFEST, _INDEX, _NAMES}:
                continue
            stream = members.extractfile(member) if member.isreg() else None
            if stream is None or member.size > _DOCUMENT_BYTES or member.name in found.documents:
                raise NotOneImage(f'its {member.name} is not of its form')
            found.documents[member.name] = json.loads(stream.read())
    return found


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Return whether every reader takes the member for the same file."""
    is_kind = member.isreg() or member.isdir() or (member.issym() and '/' in member.name)
    is_named = _MEMBER.fullmatch(member.name) is not None
    return is_kind and is_named and not _CHANGING & set(member.pax_headers)


def _require_size(archive: BinaryIO, member: tarfile.TarInfo) -> None:
    """Refuse a size that is written in a form which readers read differently."""
    place = archive.tell()
    archive.seek(member.offset_data - _BLOCK_BYTES)
    header = archive.read(_BLOCK_BYTES)
    archive.seek(place)
    if _SIZE.fullmatch(header[_SIZE_FIELD]) is None:
        raise NotOneImage('a size in it is not of the usual form')


def _id_of(path: str) -> str:
    match = _CONFIG.fullmatch(path)
    if match is None:
        raise NotOneImage('the name of its configuration is no digest')
    return f'sha256:{match[1]}'


def _ids(index: Mapping[str, Any]) -> list[str]:
    """Digests of the one manifest, or list of manifests, that an index has."""
    described = index.get('manifests') or ()
    if len(described) > 1 or any(_NAMING & set(one.get('annotations') or ()) for one in described):
        raise NotOneImage('it has several images, or names for them')
    return [str(one['digest']) for one in described]
