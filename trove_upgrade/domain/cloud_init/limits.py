# SPDX-License-Identifier: Apache-2.0
"""Limits of what is read of a user data. Nova bounds it at 64 KiB of base64, but a compressed part
and an alias of YAML grow without end.

What is beyond a limit cloud-init might read and act on, so it is never passed over: the whole user
data is refused.
"""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

#: Of one compressed text when it is unpacked, and of all files together: 5 and 20
#: times as much as Nova takes.
MOST_BYTES = 256 * 1024
MOST_FILE_BYTES = 1024 * 1024
#: Of mappings and lists in a document, and of messages in one another.
MOST_LEVELS = 32
#: Of all values in a document, and characters of all its texts, with every alias in full.
MOST_VALUES = 50_000
MOST_CHARACTERS = 1024 * 1024
#: Of parts in a message or an archive.
MOST_PARTS = 500
_LONGEST_NUMBER = 1024  # bits
_GZIP = 31  # zlib: the format of gzip, with its header and checksum


class BeyondLimits(ValueError):
    """User data that is larger or deeper than this package reads."""


def decompressed(content: bytes) -> bytes:
    """Return what gzip has packed, members behind one another as one.

    :raises zlib.error, EOFError: it is no gzip, is damaged, or ends too early.
    :raises BeyondLimits: it is longer than MOST_BYTES, of which no more is unpacked.
    """
    found = b''
    rest = content
    while rest:
        member = zlib.decompressobj(_GZIP)
        found += member.decompress(rest, MOST_BYTES + 1 - len(found))
        if len(found) > MOST_BYTES:
            raise BeyondLimits(f'a compressed part is longer than {MOST_BYTES} bytes unpacked')
        if not member.eof:
            raise EOFError('it ends before its end is reached')
        rest = member.unused_data.lstrip(b'\0')  # padding, which gzip takes, too
    return found


def require_document(document: Any) -> None:
    """Look at everything in a document of YAML, each alias as often as it stands there.

    :raises BeyondLimits: it is deeper, larger, has a number that cannot be written down,
    or holds itself.
    """
    values = characters = 0
    waiting: list[tuple[Any, int]] = [(document, 1)]
    while waiting:
        value, level = waiting.pop()
        values += 1
        characters += len(value) if isinstance(value, str | bytes) else 0
        if values > MOST_VALUES or characters > MOST_CHARACTERS:
            raise BeyondLimits(
                f'it has more than {MOST_VALUES} values or {MOST_CHARACTERS} characters '
                'with its aliases in full'
            )
        if level > MOST_LEVELS:
            raise BeyondLimits(
                f'its YAML is nested more than {MOST_LEVELS} levels deep, or in itself'
            )
        if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
            raise BeyondLimits('it has a number of too many digits')
        waiting.extend((each, level + 1) for each in _inside(value))


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, list | tuple | set):
        yield from value
