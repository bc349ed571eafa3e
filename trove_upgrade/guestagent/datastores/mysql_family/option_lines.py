# SPDX-License-Identifier: Apache-2.0
r"""The lines of one option file, cut, quoted and escaped as the server takes them.

Source: my_print_defaults of MariaDB 10.11 and 11.8 (mysys/my_default.c), with which a test compares it: white space is that of latin1, a line
ends at its first NUL and is cut after 4094 bytes, a quote is taken off only where the value begins and ends with the same one, a comment is
looked for before that, and a backslash means something before `n t r b s " ' \\` only.
"""

import dataclasses
from collections.abc import Iterator

_SPACE = b' \t\n\v\f\r\xa0'
_LINE_BYTES = 4094
_ESCAPED = {
    b'n': b'\n',
    b't': b'\t',
    b'r': b'\r',
    b'b': b'\b',
    b's': b' ',
    b'"': b'"',
    b"'": b"'",
    b'\\': b'\\',
}
_QUOTES = b'"\''


@dataclasses.dataclass(frozen=True)
class Group:
    """A line that begins a group."""

    name: str


@dataclasses.dataclass(frozen=True)
class Include:
    """A line that begins with `!`."""

    directive: str
    argument: str


@dataclasses.dataclass(frozen=True)
class Setting:
    """A line of a group."""

    name: str  #: as written
    value: str | None  #: None where there is no equals sign


def parse(content: bytes) -> Iterator[tuple[int, Group | Include | Setting]]:
    """Each line that means something, with its number."""
    for number, whole in enumerate(content.split(b'\n'), start=1):
        for start in range(0, max(1, len(whole)), _LINE_BYTES):
            line = whole[start : start + _LINE_BYTES].partition(b'\0')[0].strip(_SPACE)
            if line and line[:1] not in {b'#', b';'}:
                yield number, _meaning(line)


def _meaning(line: bytes) -> Group | Include | Setting:
    if line.startswith(b'!'):
        directive, *argument = line.split(None, 1)
        return Include(_text(directive), _text(argument[0].strip(_SPACE)) if argument else '')
    if line.startswith(b'['):
        return Group(_text(line[1:].partition(b']')[0].rstrip(_SPACE)))
    name, equals, value = _without_comment(line).partition(b'=')
    return Setting(
        _text(name.rstrip(_SPACE)),
        _text(_unescaped(_unquoted(value.strip(_SPACE)))) if equals else None,
    )


def _without_comment(line: bytes) -> bytes:
    """Up to the first # that stands in no quotes; a backslash takes a quote its meaning only within quotes."""
    quote, escaped = None, False
    for position, byte in enumerate(line):
        if byte in _QUOTES and not escaped:
            if quote is None:
                quote = byte
            elif quote == byte:
                quote = None
        if quote is None and byte == ord('#'):
            return line[:position]
        escaped = quote is not None and byte == ord('\\') and not escaped
    return line


def _unquoted(value: bytes) -> bytes:
    if len(value) > 1 and value[0] in _QUOTES and value[0] == value[-1]:
        return value[1:-1]
    return value


def _unescaped(value: bytes) -> bytes:
    found, position = bytearray(), 0
    while position < len(value):
        byte, after = value[position : position + 1], value[position + 1 : position + 2]
        if byte == b'\\' and after:
            found += _ESCAPED.get(after, byte + after)
            position += 2
        else:
            found += byte
            position += 1
    return bytes(found)


def _text(value: bytes) -> str:
    return value.decode('utf-8', 'surrogateescape')
