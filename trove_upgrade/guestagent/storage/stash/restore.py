# SPDX-License-Identifier: Apache-2.0
"""Reading a stash, on a root disk that has never seen it: digest first, every hash next, and only
then is anything written.
"""

import functools
import hashlib
import os
import pathlib
import stat
from collections.abc import Iterator, Sequence
from typing import Self

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code
from trove_upgrade.guestagent.storage.stash import accounts as accounts_module
from trove_upgrade.guestagent.storage.stash import owners
from trove_upgrade.guestagent.storage.stash.manifest import (
    CONTENT,
    MANIFEST,
    Entry,
    EntryKind,
    Manifest,
    Piece,
)
from trove_upgrade.guestagent.storage.stash.placing import Placing

_CHUNK_BYTES = 1 << 20
_MANIFEST_LIMIT_BYTES = 256 << 20


def _broken(name: str, found: str) -> exceptions.StepFailed:
    return exceptions.StepFailed(
        f'The stash {name} cannot be used: {found}. Nothing was written. '
        f'Look who has changed the volume; the data itself is untouched.',
        'STASH_BROKEN',
    )


def _open_below(directory: int, name: str, flags: int) -> int:
    """Open one name in a directory: no link, nothing outside of it, and without waiting for the
    other end of a pipe.
    """
    return os.open(
        name, flags | os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
    )


class Stash:
    """A published stash with the manifest that upgrade_info names.  A context
    manager.
    """

    def __init__(self, name: str, manifest: Manifest, content: int) -> None:
        self.name = name
        self.manifest = manifest
        self._content = content

    @classmethod
    def open(cls, directory: pathlib.Path, name: str, digest: str) -> 'Stash':
        """Open `name` in `directory`.

        :raises StepFailed: STASH_MISSING; STASH_BROKEN: it is not what was published.
        """
        try:
            above = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise _missing(name, error) from error
        try:
            own = _open_below(above, name, os.O_DIRECTORY)
        except OSError as error:
            raise _missing(name, error) from error
        finally:
            os.close(above)
        try:
            manifest = cls._manifest(own, name, digest)
            content = _open_below(own, CONTENT, os.O_NONBLOCK)
        except OSError as error:
            raise _missing(name, error) from error
        finally:
            os.close(own)
        if not stat.S_ISREG(os.fstat(content).st_mode):
            os.close(content)
            raise _broken(name, 'its content is not a plain file')
        return cls(name, manifest, content)

    @staticmethod
    def _manifest(own: int, name: str, digest: str) -> Manifest:
        descriptor = _open_below(own, MANIFEST, 0)
        with os.fdopen(descriptor, 'rb') as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MANIFEST_LIMIT_BYTES:
                raise _broken(name, 'its manifest is not a plain file, or far too long')
            raw = stream.read(_MANIFEST_LIMIT_BYTES)
        found = hashlib.sha256(raw).hexdigest()
        if found != digest:
            raise _broken(
                name, f'its manifest has digest {found[:12]}, and {digest[:12]} was published'
            )
        try:
            return Manifest.from_bytes(raw)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise _broken(
                name, f'its manifest is not of a form that an agent writes ({error})'
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; the volume could not be unmounted otherwise."""
        os.close(self._content)

    def paths(self) -> list[str]:
        """Every path that it holds."""
        return [entry.path for entry in self.manifest.entries]

    def files(self) -> list[str]:
        """Paths of files and links."""
        return [
            entry.path for entry in self.manifest.entries if entry.kind is not EntryKind.DIRECTORY
        ]

    def links(self) -> dict[str, str]:
        """Each link with what it leads to."""
        return {
            entry.path: entry.target or ''
            for entry in self.manifest.entries
            if entry.kind is EntryKind.SYMLINK
        }

    def differing(self, paths: Sequence[str]) -> list[str]:
        """Return those files of `paths` where another content stands now, or no plain file."""
        chosen = set(paths)
        return [
            entry.path
            for entry in self.manifest.entries
            if entry.path in chosen
            and entry.piece is not None
            and not _has(entry.path, entry.piece)
        ]

    def document(self, document: str, digest: str) -> bytes:
        """One of the agent's own documents.

        :raises StepFailed: STASH_BROKEN; it is not what was published.
        """
        piece = self.manifest.documents.get(document)
        if piece is None or piece.sha256 != digest:
            raise _broken(self.name, f'its {document} is not the one that was published')
        self._verify(piece, document)
        return b''.join(self._chunks(piece))

    def file(self, path: str) -> bytes:
        """The content of one kept file.

        :raises KeyError: no such file.
        :raises StepFailed: STASH_BROKEN.
        """
        piece = self._pieces[path]
        if piece is None:
            raise KeyError(path)
        self._verify(piece, path)
        return b''.join(self._chunks(piece))

    @functools.cached_property
    def _pieces(self) -> dict[str, Piece | None]:
        return {entry.path: entry.piece for entry in self.manifest.entries}

    def _chunks(self, piece: Piece) -> Iterator[bytes]:
        position, end = piece.offset, piece.offset + piece.size
        while position < end:
            chunk = os.pread(self._content, min(_CHUNK_BYTES, end - position), position)
            if not chunk:
                raise _broken(self.name, 'its content ends too early')
            position += len(chunk)
            yield chunk

    def _verify(self, piece: Piece, what: str) -> None:
        digest = hashlib.sha256()
        for chunk in self._chunks(piece):
            digest.update(chunk)
        if digest.hexdigest() != piece.sha256:
            raise _broken(self.name, f'the content of {what!r} has been changed')

    def restore(
        self,
        paths: Sequence[str],
        accounts: accounts_module.Accounts | None,
        destination: pathlib.Path = pathlib.Path('/'),
    ) -> list[str]:
        """Bring `paths` back below `destination`; whatever else is there stays.  Safe to repeat.
        Returns remarks.

        Owners come by name.  No file of an account that this root disk lacks becomes root's or
        another account's: it keeps its number. Without `accounts` numbers count.

        :raises StepFailed: STASH_BROKEN: nothing was written; STASH_IN_THE_WAY: a directory is
            where a file must go, or the reverse; STASH_OWNER_UNKNOWN: a number that would have to
            be kept is another account's here; nothing was written; STASH_NOT_RESTORED: a file
            cannot be written, or another process removes it.
        """
        chosen = set(paths)
        entries = [
            (index, entry)
            for index, entry in enumerate(self.manifest.entries)
            if entry.path in chosen
        ]
        self._require_a_tree([entry for _, entry in entries])
        for _, entry in entries:
            if entry.piece is not None:
                self._verify(entry.piece, entry.path)
        try:
            return Placing(self, entries, owners.Owners(self.name, accounts), destination).run()
        except OSError as error:
            raise exceptions.StepFailed(
                f'The stash {self.name} cannot be restored: {error.filename or "its content"} '
                f'cannot be used ({error.strerror}). Look what changes it on the root disk of the '
                'guest, then retry the upgrade.',
                'STASH_NOT_RESTORED',
            ) from error

    def _require_a_tree(self, entries: Sequence[Entry]) -> None:
        """Refuse a manifest that leads one entry through another, as an intruder on the former root
        disk can write it.
        """
        others = {entry.path for entry in entries if entry.kind is not EntryKind.DIRECTORY}
        if len({entry.path for entry in entries}) != len(entries):
            raise _broken(self.name, 'it has one path twice')
        # what is in one directory leads through the same ones
        safe = {'/'}
        for entry in entries:
            above = os.path.dirname(entry.path)  # noqa: PTH120 - odd bytes stay as they are
            on_the_way = []
            while above not in safe:
                on_the_way.append(above)
                above = os.path.dirname(above)  # noqa: PTH120 - odd bytes stay as they are
            if '..' in entry.path.split('/') or not others.isdisjoint(on_the_way):
                raise _broken(self.name, f'{entry.path!r} leads through what is no directory')
            safe.update(on_the_way)

    def copy(self, entry: Entry, descriptor: int) -> None:
        """Write a file's content, hashed once more on the way."""
        digest, piece = hashlib.sha256(), entry.piece or Piece(0, 0, hashlib.sha256().hexdigest())
        for chunk in self._chunks(piece):
            digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(descriptor, view) :]
        if digest.hexdigest() != piece.sha256:
            raise _broken(self.name, f'the content of {entry.path!r} changes while it is read')


def _missing(name: str, error: OSError) -> exceptions.StepFailed:
    return exceptions.StepFailed(
        f'The stash {name} cannot be used: it cannot be opened on the volume ({error.strerror}). '
        f"Nothing was written. Look whether this is the instance's volume.",
        Code.STASH_MISSING,
    )


def _has(path: str, piece: Piece) -> bool:
    try:
        with open(
            path,
            'rb',
            opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_CLOEXEC),
        ) as stream:
            status = os.fstat(stream.fileno())
            return (
                stat.S_ISREG(status.st_mode)
                and status.st_size == piece.size
                and hashlib.file_digest(stream, 'sha256').hexdigest() == piece.sha256
            )
    except OSError:
        return False
