# SPDX-License-Identifier: Apache-2.0
"""Archives of container images, as engines save them: taken apart, and written anew for an engine.

Two programs can read one tar differently.  So nothing is taken from an archive but the contents of
its files, each under the SHA-256 that it has: no names, links, extended headers, and nothing that
it tells of itself.  The id of an image is the digest of the document that names the digests of the
rest; what an engine is given is written anew from these, and has this image alone.
"""

import dataclasses
import hashlib
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from trove_upgrade.guestagent.machine.containers import image_documents
from trove_upgrade.guestagent.machine.containers.image_documents import NotOneImage, Platform

#: An image has at most 127 layers, with a directory and three files each.
_MEMBERS = 4096
_BLOCK_BYTES = tarfile.BLOCKSIZE
_CHUNK_BYTES = 1 << 20
#: What the plain form of a header can tell.
_LARGEST_FILE_BYTES = 0o77777777777
_END = bytes(2 * _BLOCK_BYTES)
_FILES = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE})

#: Is told of so many bytes more.
Counted = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class _Part:
    """Content of one file of an archive, by its place in what holds it."""

    place: int
    size_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rewritten:
    """Archive that has one image, no name for it, and nothing else."""

    size_bytes: int
    pieces: Iterator[bytes]  #: of what it is made of; once


@dataclasses.dataclass(frozen=True)
class Contents:
    """Contents of the files of an archive, by their SHA-256."""

    _holder: BinaryIO
    _parts: Mapping[str, _Part]

    def image(self, image_id: str, platform: Platform) -> Rewritten:
        """Return the archive of this image alone, which runs on the platform.

        :raises NotOneImage: it is not here, or lacks a part.
        """
        described = image_documents.describe(image_id, self, platform)
        sizes = [
            *(len(text) for text in described.own.values()),
            *(self._parts[digest].size_bytes for digest in described.digests),
        ]
        return Rewritten(
            size_bytes=sum(_BLOCK_BYTES + _padded(size) for size in sizes) + len(_END),
            pieces=self._pieces(described),
        )

    def has(self, digest: str) -> bool:
        """Implement `Parts.has`."""
        return digest in self._parts

    def text(self, digest: str, limit_bytes: int) -> bytes:
        """Implement `Parts.text`."""
        part = self._parts[digest]
        if part.size_bytes > limit_bytes:
            raise NotOneImage('a document of its image is too long')
        return b''.join(self._content(part))

    def _pieces(self, described: image_documents.Described) -> Iterator[bytes]:
        for digest in described.digests:
            part = self._parts[digest]
            yield _header(image_documents.place_of(digest), part.size_bytes)
            yield from self._content(part)
            yield _padding(part.size_bytes)
        for name, text in described.own.items():
            yield _header(name, len(text)) + text + _padding(len(text))
        yield _END

    def _content(self, part: _Part) -> Iterator[bytes]:
        self._holder.seek(part.place)
        return _exactly(self._holder, part.size_bytes)


def require(archive: BinaryIO, image_id: str, platform: Platform, counted: Counted) -> None:
    """Check that an archive has this image, whole, for the platform; what is read is counted.

    :raises NotOneImage: it has not, or cannot be read.
    """
    archive.seek(0)
    _read(archive, None, None, counted).image(image_id, platform)


def copied(archive: BinaryIO, copy: BinaryIO, size_bytes: int, counted: Counted) -> Contents:
    """Copy the contents of an archive of so many bytes, from where it stands; what has come into
    the copy is what is hashed.

    :raises NotOneImage: it is longer, or cannot be read.
    """
    return _read(archive, copy, size_bytes, counted)


def _read(
    archive: BinaryIO, copy: BinaryIO | None, size_bytes: int | None, counted: Counted
) -> Contents:
    parts: dict[str, _Part] = {}
    left = size_bytes
    for _ in range(_MEMBERS):
        block = _whole(archive, _BLOCK_BYTES)
        if not any(block):
            return Contents(archive if copy is None else copy, parts)
        member = _member(block)
        if left is not None:
            left -= _BLOCK_BYTES + _padded(member.size)
            if left < 0:
                raise NotOneImage('it is longer than was told')
        if member.type in _FILES:
            digest, part = _content(archive, copy, member.size, counted)
            parts.setdefault(digest, part)
            _whole(archive, len(_padding(member.size)))
        else:
            for piece in _exactly(archive, _padded(member.size)):
                counted(len(piece))
    raise NotOneImage('it has too many members')


def _member(block: bytes) -> tarfile.TarInfo:
    try:
        member = tarfile.TarInfo.frombuf(block, 'utf-8', 'surrogateescape')
    except tarfile.HeaderError as error:
        raise NotOneImage(f'it cannot be read ({error})') from error
    if not 0 <= member.size <= _LARGEST_FILE_BYTES:
        raise NotOneImage('a size in it is not of the usual form')
    return member


def _content(
    archive: BinaryIO, copy: BinaryIO | None, size: int, counted: Counted
) -> tuple[str, _Part]:
    place = (archive if copy is None else copy).tell()
    digest = hashlib.sha256()
    for piece in _exactly(archive, size):
        digest.update(piece)
        if copy is not None:
            copy.write(piece)
        counted(len(piece))
    return f'sha256:{digest.hexdigest()}', _Part(place, size)


def _exactly(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        piece = _whole(stream, min(size, _CHUNK_BYTES))
        size -= len(piece)
        yield piece


def _whole(stream: BinaryIO, size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise NotOneImage('it ends too early')
    return found


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.USTAR_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK_BYTES)


def _padded(size: int) -> int:
    return size + -size % _BLOCK_BYTES
