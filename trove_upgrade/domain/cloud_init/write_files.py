# SPDX-License-Identifier: Apache-2.0
"""The entries of `write_files`: what each puts into its file,
and the same entry with another content.

Source: cloud-init 25.1, cloudinit/config/cc_write_files.py.
"""

import base64
import gzip
import re
import zlib
from collections.abc import Mapping
from typing import Any

from trove_upgrade.domain.cloud_init import limits

#: Others, and none, are text as it stands: cloud-init logs a warning and writes it.
_IN_BASE64 = frozenset({'b64', 'base64'})
_COMPRESSED = frozenset({'gz', 'gzip'})
_COMPRESSED_IN_BASE64 = frozenset({'gz+b64', 'gz+base64', 'gzip+b64', 'gzip+base64'})

#: Of an entry that names no owner.
ROOT = 'root:root'
#: Read and written by the owner alone.
PRIVATE = '0600'


#: No file can have such a name, or it is a mistake.
_UNFIT = re.compile(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_LONGEST_PATH = 4096
_MORE_THAN_ANY_MODE = 2**31  # os.chmod takes a C int


class EntryUnreadable(ValueError):
    """Entry at which cloud-init stops, and writes none of the files behind it."""


class ContentUnreadable(EntryUnreadable):
    """The content is not of the encoding that is named, or is neither text nor bytes."""


class PathUnreadable(EntryUnreadable):
    """An entry has no path where its path should be."""


def path_of(entry: Mapping[str, Any]) -> str:
    """Return the path as it stands there; '' where the entry has none, which cloud-init leaves out.

    :raises PathUnreadable: it is no text, is too long, or has a character that is not printed.
    """
    path = entry.get('path')
    if not path:
        return ''
    if not isinstance(path, str) or len(path) > _LONGEST_PATH or _UNFIT.search(path):
        raise PathUnreadable(
            f'an entry of its write_files has a path that is none: {ascii(path)[:80]}'
        )
    return path


def is_fetched(entry: Mapping[str, Any]) -> bool:
    """Tell whether the content comes from an address, and the entry's own
    only where that gives none.
    """
    source = entry.get('source')
    return isinstance(source, Mapping) and bool(source.get('uri'))


def require(entry: Mapping[str, Any]) -> None:
    """Check all of an entry that cloud-init reads before it opens the file;
    without a path it reads nothing.

    The content counts where an address is named, too: it is what is taken when that gives none.

    :raises EntryUnreadable: cloud-init would stop at it.
    :raises limits.BeyondLimits: unpacked, the content is longer than is read.
    """
    path = path_of(entry)
    if not path:
        return
    source, owner = entry.get('source'), entry.get('owner')
    if source is not None and not isinstance(source, Mapping):
        raise EntryUnreadable(_unfit(path, 'a source that is no mapping'))
    if owner and not isinstance(owner, str):
        raise EntryUnreadable(_unfit(path, 'an owner that is no text'))
    if not _is_mode(entry.get('permissions')):
        raise EntryUnreadable(_unfit(path, 'permissions that no file can have'))
    try:
        content_of(entry)
    except ContentUnreadable as error:
        found = f'a content that is not of its encoding ({str(error)[:200]})'
        raise ContentUnreadable(_unfit(path, found)) from error


def _unfit(path: str, found: str) -> str:
    return (
        f'the entry of its write_files for {ascii(path)[:80]} has {found}, '
        'at which cloud-init would stop'
    )


def _is_mode(permissions: Any) -> bool:
    """Tell whether cloud-init comes through it: what it cannot read at all it
    replaces by its default.
    """
    try:
        number = (
            int(permissions) if isinstance(permissions, int | float) else int(str(permissions), 8)
        )
    except ValueError:
        return True
    except OverflowError:
        return False
    return abs(number) < _MORE_THAN_ANY_MODE


def content_of(entry: Mapping[str, Any]) -> bytes:
    """Return what the entry itself holds for its file.

    :raises ContentUnreadable: it cannot be decoded or unpacked, or is neither text nor bytes.
    :raises limits.BeyondLimits: unpacked, it is longer than is read.
    """
    content = entry.get('content')
    encoding = _encoding_of(entry)
    if content is None:
        return b''
    if not isinstance(content, str | bytes):
        raise ContentUnreadable('it is neither text nor bytes')
    try:
        if encoding in _IN_BASE64 | _COMPRESSED_IN_BASE64:
            content = base64.b64decode(content)  # of a text: ASCII alone
        stored = content if isinstance(content, bytes) else content.encode()
        if encoding in _COMPRESSED | _COMPRESSED_IN_BASE64:
            stored = limits.decompressed(stored)
    except limits.BeyondLimits:
        raise
    except (ValueError, EOFError, zlib.error) as error:
        raise ContentUnreadable(str(error)) from error
    return stored


def text_of(entry: Mapping[str, Any]) -> str:
    """Return the content as text.

    :raises ContentUnreadable: it cannot be decoded or unpacked, or is no UTF-8.
    :raises limits.BeyondLimits: unpacked, it is longer than is read.
    """
    try:
        return content_of(entry).decode()
    except UnicodeDecodeError as error:
        raise ContentUnreadable(str(error)) from error


def with_text(entry: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return the entry with this text in its file, in the encoding that it has."""
    encoding = _encoding_of(entry)
    if encoding in _IN_BASE64:
        return {**entry, 'content': _in_base64(text.encode())}
    if encoding in _COMPRESSED_IN_BASE64:
        return {**entry, 'content': _in_base64(_compressed(text))}
    if encoding in _COMPRESSED:
        return {**entry, 'content': _compressed(text)}
    return {**entry, 'content': text}


def in_place_of(entry: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return an entry that writes `text` and nothing else to the same file,
    with the same owner and mode.
    """
    kept = {name: value for name, value in entry.items() if name not in {'source', 'append'}}
    return {**kept, 'encoding': 'b64', 'content': _in_base64(text.encode())}


def owner_of(entry: Mapping[str, Any]) -> str:
    """Return the owner that the entry names, in cloud-init's form; root's, as cloud-init has it,
    where it names none.
    """
    return str(entry.get('owner') or '') or ROOT


def private(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry with the mode that lets its owner alone read the file."""
    return {**entry, 'permissions': PRIVATE}


def created(path: str, text: str, owner: str = ROOT) -> dict[str, Any]:
    """Return an entry that writes a new file, which `owner` alone can read."""
    return {
        'path': path,
        'owner': owner,
        'permissions': PRIVATE,
        'encoding': 'b64',
        'content': _in_base64(text.encode()),
    }


def _encoding_of(entry: Mapping[str, Any]) -> str:
    encoding = entry.get('encoding') or ''
    if not isinstance(encoding, str):
        raise ContentUnreadable('its encoding is no text')
    return encoding.lower().strip()


def _in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _compressed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)  # 0: the same input gives the same bytes
