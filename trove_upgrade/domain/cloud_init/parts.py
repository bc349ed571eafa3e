# SPDX-License-Identifier: Apache-2.0
"""Every text that cloud-init would hand to one of its handlers, found and changed in whichever form
the user data has.
"""

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import yaml

from trove_upgrade.domain.cloud_init import kinds, limits, messages, texts

#: Kind and content of a text -> its new content; the same content where it stays.
Change = Callable[[kinds.Kind, bytes], bytes]

_GZIP = b'\x1f\x8b'
_ARCHIVE_HEADER = b'#cloud-config-archive\n'


class PartUnreadable(ValueError):
    """A part is not what its type says."""


def is_compressed(user_data: bytes) -> bool:
    """Tell whether the user data is compressed as a whole."""
    return user_data.startswith(_GZIP)


def unpacked(user_data: bytes) -> bytes:
    """Return the user data without its compression.

    :raises PartUnreadable: it looks compressed and cannot be unpacked.
    :raises limits.BeyondLimits: it is longer than is read.
    """
    return _unpacked(user_data) if is_compressed(user_data) else user_data


def packed(text: bytes) -> bytes:
    """Return the text compressed; the same text gives the same bytes."""
    return gzip.compress(text, mtime=0)


def changed(user_data: bytes, change: Change) -> bytes:
    """Return the user data with every text changed.

    :raises PartUnreadable: a compressed part cannot be unpacked.
    :raises messages.MessageUnreadable: it is a multipart without parts.
    :raises limits.BeyondLimits: it is more than is read.
    """
    text = unpacked(user_data)
    if messages.is_message(text):
        message = messages.Message.read(text)
        change_message(message, change)
        result = message.as_bytes()
    else:
        result = changed_part(kinds.UNDECLARED, text, change)
    return packed(result) if is_compressed(user_data) else result


def change_message(message: messages.Message, change: Change) -> None:
    """Change every text of a message in place.  Raises as `changed_part`."""
    message.change(lambda declared, content: changed_part(declared, content, change))


def changed_part(declared: str, content: bytes, change: Change) -> bytes:
    """Return the content of a part of this type with every text in it changed.

    :raises PartUnreadable: it is compressed and cannot be unpacked.
    :raises limits.BeyondLimits: it is more than is read.
    """
    if kinds.is_compressed(declared):
        inner = _unpacked(content)
        new = changed_part(kinds.UNDECLARED, inner, change)
        return content if new == inner else packed(new)
    kind = kinds.of_part(declared, content)
    return (
        _changed_archive(content, change) if kind is kinds.Kind.ARCHIVE else change(kind, content)
    )


def entries_of(archive: bytes) -> list[Any]:
    """Return the entries of an archive: texts, or mappings with `content`.

    :raises PartUnreadable: it is no list.
    :raises limits.BeyondLimits: it is more than is read.
    """
    try:
        entries = texts.load(archive)
    except texts.TextUnreadable as error:
        raise PartUnreadable(f'the YAML of its archive cannot be read: {error}') from error
    if not isinstance(entries, list):
        raise PartUnreadable('its archive is not a list')
    if len(entries) > limits.MOST_PARTS:
        raise limits.BeyondLimits(f'its archive has more than {limits.MOST_PARTS} parts')
    return entries


def archive_of(entries: list[Any]) -> bytes:
    """Return the text of an archive."""
    return (
        _ARCHIVE_HEADER
        + yaml.safe_dump(entries, sort_keys=False, default_flow_style=False).encode()
    )


def _changed_archive(archive: bytes, change: Change) -> bytes:
    try:
        entries = entries_of(archive)
    except PartUnreadable:
        return change(kinds.Kind.OTHER, archive)
    new = [_changed_entry(entry, change) for entry in entries]
    return archive if new == entries else archive_of(new)


def _changed_entry(entry: Any, change: Change) -> Any:
    """Source: cloudinit/user_data.py, _explode_archive: a declared type counts, else the content,
    else it is a cloud-config.
    """
    if isinstance(entry, str):
        return _changed_text(entry, '', change)
    if not isinstance(entry, dict) or not isinstance(entry.get('content', ''), str | bytes):
        return entry
    content = entry.get('content', '')
    new = _changed_text(content, str(entry.get('type') or ''), change)
    return entry if new == content else {**entry, 'content': new}


def _changed_text(content: str | bytes, declared: str, change: Change) -> str | bytes:
    try:
        stored = content if isinstance(content, bytes) else content.encode()
    except UnicodeEncodeError as error:
        raise PartUnreadable('a text of its archive has a character that is none') from error
    usual = kinds.Kind.OTHER if isinstance(content, bytes) else kinds.Kind.CLOUD_CONFIG
    kind = kinds.declared_as(declared) if declared else kinds.by_content(stored) or usual
    new = change(kind, stored)
    return content if new == stored else new.decode()


def _unpacked(content: bytes) -> bytes:
    try:
        return limits.decompressed(content)
    except (EOFError, zlib.error) as error:
        raise PartUnreadable(f'it looks compressed and cannot be unpacked: {error}') from error
