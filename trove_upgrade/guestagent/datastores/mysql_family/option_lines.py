# SPDX-License-Identifier: Apache-2.0
r"""The lines of one option file, cut, quoted and escaped as the server takes them.

Source: my_print_defaults of MariaDB 10.11 and 11.8 (mysys/my_default.c) and of MySQL 9.7, with
which a test compares it: white space is that of latin1, a quote is taken off only where the value
begins and ends with the same one, a comment is looked for before that, and a backslash means
something before `n t r b s " ' \\` only.  Directives are `include` and `includedir` in lower case
behind `!` and any white space.

Where these programs stop, or read a line in different ways, the line is `Unclear`: MariaDB cuts
lines after 4094 bytes and at a NUL, takes the last character off a directive that no newline ends,
and knows no comment behind one; paths that are not absolute, or have `~` or `..` in them, lead each
program to another place.
"""

import dataclasses
import pathlib
from collections.abc import Iterator

_SPACE = b' \t\n\v\f\r\xa0'
_LINE_BYTES = 4094
PATH_BYTES = 508  #: longer ones are passed over.  Source: FN_REFLEN
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
_KEYWORDS = (b'includedir', b'include')  #: the longer one first


@dataclasses.dataclass(frozen=True)
class Group:
    """A line that begins a group."""

    name: str  #: in lower case: programs compare names so


@dataclasses.dataclass(frozen=True)
class Include:
    """A line that brings in a file, or the files of a directory."""

    path: pathlib.Path
    is_directory: bool


@dataclasses.dataclass(frozen=True)
class Setting:
    """A line of a group."""

    name: str  #: as written
    value: str | None  #: None where there is no equals sign


@dataclasses.dataclass(frozen=True)
class Unclear:
    """A line at which programs of the database stop, or that they read in different ways."""

    reason: str  #: as the end of a sentence that begins with the file


Line = Group | Include | Setting | Unclear


class _UnclearError(Exception):
    """Reason why a line is unclear, as `Unclear` has it."""


def parse(content: bytes) -> Iterator[tuple[int, Line]]:
    """Each line that means something, with its number."""
    has_group = False
    lines = content.split(b'\n')
    for number, whole in enumerate(lines, start=1):
        try:
            line = _meaning(whole, has_group=has_group, is_ended=number < len(lines))
        except _UnclearError as error:
            line = Unclear(f'{error} (line {number})')
        has_group = has_group or isinstance(line, Group)
        if line is not None:
            yield number, line


def _meaning(whole: bytes, *, has_group: bool, is_ended: bool) -> Line | None:
    """Parse one line; None for an empty one, a comment, or one that programs pass over.

    :raises _UnclearError: programs do not agree on it, or stop.
    """
    line = whole.strip(_SPACE)
    if len(whole) >= _LINE_BYTES:
        raise _UnclearError(f'has a line of more than {_LINE_BYTES} bytes')
    if b'\0' in whole:
        raise _UnclearError('has a NUL byte')
    if not line or line[:1] in {b'#', b';'}:
        return None
    if line.startswith(b'!'):
        return _directive(whole.lstrip(_SPACE)[1:].lstrip(_SPACE), is_ended=is_ended)
    if line.startswith(b'['):
        name, bracket, _ = line[1:].partition(b']')
        if not bracket:
            raise _UnclearError('begins a group without ]')
        return Group(_text(name.rstrip(_SPACE).lower()))
    if not has_group:
        raise _UnclearError('has an option before the first group')
    return _setting(line)


def _setting(line: bytes) -> Setting:
    name, equals, value = _without_comment(line).partition(b'=')
    if not name.strip(_SPACE):
        raise _UnclearError('has a value without a name')
    return Setting(
        _text(name.rstrip(_SPACE)),
        _text(_unescaped(_unquoted(value.strip(_SPACE)))) if equals else None,
    )


def _directive(line: bytes, *, is_ended: bool) -> Include | None:
    """Parse what follows `!`; None for one that programs pass over."""
    keyword = next((word for word in _KEYWORDS if line.startswith(word)), None)
    if keyword is None or line[len(keyword) :][:1].strip(_SPACE):
        return None
    argument = line[len(keyword) :].strip(_SPACE)
    is_directory = keyword == _KEYWORDS[0]
    if not argument:
        raise _UnclearError('includes nothing')
    if b'#' in argument:
        raise _UnclearError(
            f'includes {_text(argument)!r}, where # begins a comment for some programs only'
        )
    is_cut = (
        not is_ended and line == line.rstrip(_SPACE) and not (is_directory and line.endswith(b'/'))
    )
    if is_cut:
        raise _UnclearError(
            'ends with a directive and no newline: some programs take the last character off'
        )
    if not is_directory and argument.endswith((b'/', b'/.')):
        raise _UnclearError(f'includes {_text(argument)!r}, a directory, as a file')
    return Include(_path(argument), is_directory)


def _path(written: bytes) -> pathlib.Path:
    argument = _text(written)
    parts = argument.split('/')
    if not argument.startswith('/'):
        raise _UnclearError(
            f'includes {argument!r}, which each program looks for in its own working directory'
        )
    if '..' in parts or any(part.startswith('~') for part in parts):
        raise _UnclearError(f'includes {argument!r}, which leads programs to different places')
    if len(written) > PATH_BYTES:
        raise _UnclearError(f'includes a path of more than {PATH_BYTES} bytes')
    return absolute(argument)


def absolute(path: str) -> pathlib.Path:
    """The path of a name that begins with a slash; two of them mean no more than one, which
    `pathlib` leaves open.
    """
    return pathlib.Path('/' + path.lstrip('/'))


def _without_comment(line: bytes) -> bytes:
    """Cut a line before the first # that stands in no quotes; a backslash takes a quote its meaning
    only within quotes.
    """
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
