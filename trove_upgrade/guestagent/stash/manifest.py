# SPDX-License-Identifier: Apache-2.0
"""The manifest of a stash, and its form on the volume."""
import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any, Self

SCHEMA = 1
MANIFEST = 'manifest.json'
CONTENT = 'content'


@dataclasses.dataclass(frozen=True)
class Piece:
    """A run of bytes in `content`."""

    offset: int
    size: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file, directory or symbolic link."""

    path: str                     #: absolute; bytes that are not UTF-8 as os.fsdecode gives them
    kind: str                     #: 'file', 'directory', 'symlink'
    mode: int                     #: permission bits with setuid, setgid and sticky
    uid: int
    gid: int
    owner: str | None             #: the name counts, uids differ between images; None where the number had no name
    group: str | None
    mtime_ns: int
    target: str | None = None     #: of a symbolic link
    link: int | None = None       #: files with the same number are hard links to each other
    piece: Piece | None = None    #: of a file
    xattrs: Mapping[str, str] = dataclasses.field(default_factory=dict)   #: name -> base64

    @property
    def name(self) -> str:
        """The last part of its path."""
        return os.path.basename(self.path)  # noqa: PTH119 - a name with odd bytes stays the string it is


@dataclasses.dataclass(frozen=True)
class Manifest:
    """All that a stash holds."""

    upgrade_id: str
    attempt: int
    entries: tuple[Entry, ...]
    documents: Mapping[str, Piece]    #: what the agent itself keeps there, e.g. 'fingerprint'
    skipped: tuple[str, ...] = ()     #: sockets, pipes and devices: nothing to keep

    def to_bytes(self) -> bytes:
        """The manifest as it is hashed; what is not ASCII is escaped, so that odd bytes in names survive."""
        # vars() instead of asdict(), which copies deeply: a third of the time that a stash takes.
        entries = [{**vars(entry), 'piece': vars(entry.piece) if entry.piece else None} for entry in self.entries]
        documents = {name: vars(piece) for name, piece in self.documents.items()}
        return json.dumps({**vars(self), 'schema': SCHEMA, 'entries': entries, 'documents': documents}, sort_keys=True).encode('ascii')

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """The reverse.  Only for bytes whose digest has matched.

        :raises KeyError, TypeError, ValueError: not a manifest of this schema.
        """
        document = json.loads(raw)
        if document.pop('schema') != SCHEMA:
            raise ValueError('the manifest has another schema')
        entries = tuple(_entry(entry) for entry in document['entries'])
        documents = {name: Piece(**piece) for name, piece in document['documents'].items()}
        return cls(**{**document, 'entries': entries, 'documents': documents, 'skipped': tuple(document['skipped'])})


def _entry(fields: Mapping[str, Any]) -> Entry:
    path = fields['path']
    if not path.startswith('/') or os.path.normpath(path) != path or '\0' in path:
        raise ValueError(f'{path!r} is no absolute path')
    piece = Piece(**fields['piece']) if fields['piece'] else None
    return Entry(**{**fields, 'piece': piece})
