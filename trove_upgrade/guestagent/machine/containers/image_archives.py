# SPDX-License-Identifier: Apache-2.0
"""Archives of container images, as engines save them: taken apart, and written anew for an engine.

Two programs can read one tar differently.  So nothing is taken from an archive but the contents of
its files, each under the SHA-256 that it has: no names, links, extended headers, and nothing that
it tells of itself.  The id of an image is the digest of the document that names the digests of the
rest; what an engine is given is written anew from these, and has this image alone.

A large file is first taken for the one that its name, or a document of the archive, tells it to be,
and hashed while it is given.  An engine that does not get the end of an archive takes nothing of
it.
"""

import contextlib
import dataclasses
import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from trove_upgrade.guestagent.machine.containers import image_documents, image_hints
from trove_upgrade.guestagent.machine.containers.image_documents import NotOneImage, Platform

#: An image has at most 127 layers, with a directory and three files each.
_MEMBERS = 4096
_BLOCK_BYTES = tarfile.BLOCKSIZE
#: Large: each piece takes some turns of the interpreter, which other threads want, too.
_CHUNK_BYTES = 4 << 20
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
    """Contents of the files of an archive, by the SHA-256 that each has, or is to have."""

    _archive: BinaryIO
    _parts: Mapping[str, _Part]

    def image(self, image_id: str, platform: Platform) -> Rewritten:
        """Return the archive of this image alone, which runs on the platform.

        Its pieces raise NotOneImage where a part is another one than it is to be.

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
        if self._parts[digest].size_bytes > limit_bytes:
            raise NotOneImage('a document of its image is too long')
        return b''.join(self._content(digest))

    def _pieces(self, described: image_documents.Described) -> Iterator[bytes]:
        for digest in described.digests:
            size = self._parts[digest].size_bytes
            yield _header(image_documents.place_of(digest), size)
            yield from self._content(digest)
            yield _padding(size)
        for name, text in described.own.items():
            yield _header(name, len(text)) + text + _padding(len(text))
        yield _END

    def _content(self, digest: str) -> Iterator[bytes]:
        """Yield a part, and look at its end whether it was that."""
        found, part = hashlib.sha256(), self._parts[digest]
        given = 0
        for piece in _at(self._archive, part):
            found.update(piece)
            given += len(piece)
            if part.size_bytes > image_documents.DOCUMENT_BYTES:
                _forget(self._archive, part.place, given)
            yield piece
        if _named(found.hexdigest()) != digest:
            raise NotOneImage('a part of it is another one than it is to be')


def require(archive: BinaryIO, image_id: str, platform: Platform, counted: Counted) -> None:
    """Check that an archive has this image, whole, for the platform; what is read is counted.

    :raises NotOneImage: it has not, or cannot be read.
    """
    whole = _files(archive, None, counted)
    parts = {_hashed(archive, part, counted): part for _, part in whole}
    Contents(archive, parts).image(image_id, platform)


def opened(
    archive: BinaryIO,
    size_bytes: int,
    counted: Counted,
    hashed_bytes: int = image_documents.DOCUMENT_BYTES,
) -> Contents:
    """Find the contents of an archive of so many bytes; what is read is counted.

    `hashed_bytes`: of a file that is hashed at once, whatever it is told to be.

    :raises NotOneImage: it is longer, or cannot be read.
    """
    parts: dict[str, _Part] = {}
    documents: dict[str, _Part] = {}
    large: list[tuple[str, _Part]] = []
    for name, part in _files(archive, size_bytes, counted):
        if part.size_bytes > hashed_bytes:
            large.append((name, part))
        else:
            parts.setdefault(_hashed(archive, part, counted), part)
            documents.setdefault(name, part)
    told = image_hints.Hints(lambda name: b''.join(_at(archive, documents[name])))
    for name, part in large:
        parts.setdefault(told.digest(name) or _hashed(archive, part, counted), part)
    return Contents(archive, parts)


def _files(
    archive: BinaryIO, size_bytes: int | None, counted: Counted
) -> Iterator[tuple[str, _Part]]:
    """Yield the files of an archive from its start, whose contents are passed over."""
    at, end = 0, archive.seek(0, os.SEEK_END)
    for _ in range(_MEMBERS):
        archive.seek(at)
        block = _whole(archive, _BLOCK_BYTES)
        if not any(block):
            return
        member = _member(block)
        part = _Part(at + _BLOCK_BYTES, member.size)
        at = part.place + _padded(member.size)
        if size_bytes is not None and at > size_bytes:
            raise NotOneImage('it is longer than was told')
        if at > end:
            raise NotOneImage('it ends too early')
        counted(_BLOCK_BYTES)
        if member.type in _FILES:
            yield member.name, part
    raise NotOneImage('it has too many members')


def _member(block: bytes) -> tarfile.TarInfo:
    try:
        member = tarfile.TarInfo.frombuf(block, 'utf-8', 'surrogateescape')
    except tarfile.HeaderError as error:
        raise NotOneImage(f'it cannot be read ({error})') from error
    if not 0 <= member.size <= _LARGEST_FILE_BYTES:
        raise NotOneImage('a size in it is not of the usual form')
    return member


def _hashed(archive: BinaryIO, part: _Part, counted: Counted) -> str:
    found = hashlib.sha256()
    for piece in _at(archive, part):
        found.update(piece)
        counted(len(piece))
    return _named(found.hexdigest())


def _named(hexadecimal: str) -> str:
    return f'sha256:{hexadecimal}'


def _at(archive: BinaryIO, part: _Part) -> Iterator[bytes]:
    """Yield a content; the place of the archive is this generator's own."""
    place, left = part.place, part.size_bytes
    while left:
        archive.seek(place)
        piece = _whole(archive, min(left, _CHUNK_BYTES))
        place, left = place + len(piece), left - len(piece)
        yield piece


def _forget(archive: BinaryIO, place: int, size: int) -> None:
    """Let the kernel keep nothing in memory of what is not read again: databases want that.

    From its start each time: what the kernel has together with a later byte stays at first.
    """
    with contextlib.suppress(OSError):  # such as one that is in memory alone
        os.posix_fadvise(archive.fileno(), place, size, os.POSIX_FADV_DONTNEED)


def _whole(stream: BinaryIO, size: int) -> bytes:
    try:
        found = stream.read(size)
    except OSError as error:
        raise NotOneImage(f'it cannot be read ({error.strerror})') from error
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
