# SPDX-License-Identifier: Apache-2.0
"""The manifest of a stash, and its form on the volume."""

import dataclasses
import enum
import json
import os
from collections.abc import Mapping
from typing import Any, Self

SCHEMA = 1
MANIFEST = 'manifest.json'
CONTENT = 'content'
_LAST_ID = 2**32 - 2
_LAST_OFFSET = 2**63 - 1


class EntryKind(enum.StrEnum):
    """Kind of what an entry keeps."""

    FILE = 'file'
    DIRECTORY = 'directory'
    SYMLINK = 'symlink'


@dataclasses.dataclass(frozen=True)
class Piece:
    """A run of bytes in `content`."""

    offset: int
    size: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One file, directory or symbolic link."""

    path: str  #: absolute; bytes that are not UTF-8 as os.fsdecode gives them
    kind: EntryKind
    mode: int  #: permission bits with setuid, setgid and sticky
    uid: int
    gid: int
    #: the name counts, uids differ between images; None where the number had no name
    owner: str | None
    group: str | None
    mtime_ns: int
    target: str | None = None  #: of a symbolic link
    link: int | None = None  #: files with the same number are hard links to each other
    piece: Piece | None = None  #: of a file
    xattrs: Mapping[str, str] = dataclasses.field(default_factory=dict)  #: name -> base64

    @property
    def name(self) -> str:
        """The last part of its path."""
        return os.path.basename(self.path)  # noqa: PTH119 - a name with odd bytes stays the string it is


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that a stash holds."""

    upgrade_id: str
    attempt: int
    entries: tuple[Entry, ...]
    documents: Mapping[str, Piece]  #: what the agent itself keeps there, e.g. 'fingerprint'
    skipped: tuple[str, ...] = ()  #: sockets, pipes and devices: nothing to keep

    def to_bytes(self) -> bytes:
        """The manifest as it is hashed; what is not ASCII is escaped, so that odd bytes in names
        survive.
        """
        # vars() instead of asdict(), which copies deeply: a third of the time that a stash takes.
        entries = [
            {**vars(entry), 'piece': vars(entry.piece) if entry.piece else None}
            for entry in self.entries
        ]
        documents = {name: vars(piece) for name, piece in self.documents.items()}
        return json.dumps(
            {**vars(self), 'schema': SCHEMA, 'entries': entries, 'documents': documents},
            sort_keys=True,
        ).encode('ascii')

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """The reverse.  Only for bytes of a digest that has matched.

        :raises KeyError, TypeError, ValueError: not a manifest of this schema.
        """
        document = json.loads(raw)
        if document.pop('schema') != SCHEMA:
            raise ValueError('the manifest has another schema')
        _require(
            isinstance(document['entries'], list)
            and isinstance(document['documents'], dict)
            and isinstance(document['skipped'], list),
            'its parts are no lists',
        )
        entries = tuple(_entry(entry) for entry in document['entries'])
        documents = {name: _piece(piece) for name, piece in document['documents'].items()}
        return cls(
            **{
                **document,
                'entries': entries,
                'documents': documents,
                'skipped': tuple(document['skipped']),
            }
        )


def _entry(fields: Mapping[str, Any]) -> Entry:
    """Parse an entry as strictly as a kernel: an intruder who was root on the former root disk has
    written this, with a digest that matches.
    """
    piece = _piece(fields['piece']) if fields['piece'] else None
    entry = Entry(**{**fields, 'kind': EntryKind(fields['kind']), 'piece': piece})
    _require_path(entry.path)
    # The last number is no owner: chown takes it for "leave it", which would be root.  Source:
    # chown(2).
    limits = (
        ('mode', entry.mode, 0o7777),
        ('uid', entry.uid, _LAST_ID),
        ('gid', entry.gid, _LAST_ID),
        ('link', entry.link or 0, _LAST_OFFSET),
    )
    for name, value, last in limits:
        _require(_is_number(value) and 0 <= value <= last, f'{name} is {value!r}')
    _require(
        _is_number(entry.mtime_ns) and abs(entry.mtime_ns) <= _LAST_OFFSET * 10**9,
        f'mtime_ns is {entry.mtime_ns!r}',
    )
    for account in (entry.owner, entry.group):
        _require(account is None or _is_text(account), f'an account is {account!r}')
    _require(
        (piece is not None) == (entry.kind is EntryKind.FILE),
        f'kind is {entry.kind!r}',
    )
    _require(
        (entry.kind is EntryKind.SYMLINK and _is_text(entry.target))
        or (entry.kind is not EntryKind.SYMLINK and entry.target is None),
        f'target is {entry.target!r}',
    )
    _require(
        isinstance(entry.xattrs, dict) and all(_is_text(value) for value in entry.xattrs.values()),
        'extended attributes have no values',
    )
    return entry


def _piece(fields: Mapping[str, Any]) -> Piece:
    piece = Piece(**fields)
    numbers = (piece.offset, piece.size)
    _require(
        all(_is_number(value) and value >= 0 for value in numbers) and sum(numbers) <= _LAST_OFFSET,
        f'a piece lies at {numbers!r}',
    )
    _require(_is_text(piece.sha256), 'a piece has no digest')
    return piece


def _require_path(path: object) -> None:
    # normpath leaves two slashes at the beginning as they are.  Source: POSIX, "Pathname
    # Resolution".
    _require(
        isinstance(path, str)
        and _is_text(path)
        and path.startswith('/')
        and not path.startswith('//')
        and os.path.normpath(path) == path,
        f'{path!r} is no absolute path',
    )


def _require(condition: bool, found: str) -> None:
    """Refuse a manifest that does not hold.

    :raises ValueError: it does not hold.
    """
    if not condition:
        raise ValueError(found)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    """Return True for a string that a system call takes."""
    try:
        return isinstance(value, str) and b'\0' not in os.fsencode(value)
    except UnicodeEncodeError:  # half of a surrogate pair that stands for no byte
        return False
