# SPDX-License-Identifier: Apache-2.0
"""Reading a request's body, once, bounded, and so that no proxy behind us can read another
one out of the same bytes.
"""

import json
import math
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

import jsonschema

from trove_upgrade.api import errors

#: In the environment of a request: its body's JSON.
_KEPT = 'trove_upgrade.document'

#: No body that Trove or we take has a tenth of it.  Far below what Python's own limit of calls
#: leaves to any reader behind us.
MOST_LEVELS = 64
#: Of one number; more are not read exactly by every reader, and Python refuses some thousands.
MOST_DIGITS = 300

#: A string, in which brackets do not count, or a bracket.  It never goes back: linear
#: in the length of the body.
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*+"?|[][{}]', re.DOTALL)


def read(environ: Mapping[str, Any], bound: int) -> bytes:
    """The body's bytes.

    :raises BodyLengthUnknown: no length was given, it is no number, or fewer bytes came.
    :raises BodyTooLarge: it is longer than `bound` bytes; nothing of it was read.
    """
    length = content_length(environ)
    if length > bound:
        raise errors.BodyTooLarge(found=length, bound=bound)
    body: bytes = environ['wsgi.input'].read(length) if length else b''
    if len(body) != length:
        raise errors.BodyLengthUnknown(found=f'{length} bytes were announced and {len(body)} came')
    return body


def content_length(environ: Mapping[str, Any]) -> int:
    """Return how many bytes were announced.

    :raises BodyLengthUnknown: none, or it is no number.
    """
    if environ.get('HTTP_TRANSFER_ENCODING'):
        raise errors.BodyLengthUnknown(found='it came in chunks')
    text = environ.get('CONTENT_LENGTH')
    if not text:  # WSGI also says '' for an absent header
        raise errors.BodyLengthUnknown(found='no Content-Length came with it')
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise errors.BodyLengthUnknown(found='its Content-Length is not a number of bytes')
    return int(text)


def check_type(environ: Mapping[str, Any]) -> None:
    """Refuse a body that is not announced as plain JSON.

    :raises UnsupportedMediaType: another content type or an encoding was announced.
    """
    found = str(environ.get('CONTENT_TYPE') or '')
    if found.split(';', 1)[0].strip().lower() != 'application/json':
        raise errors.UnsupportedMediaType(found=_shown(found) if found else 'not given')
    encoding = str(environ.get('HTTP_CONTENT_ENCODING') or '')
    if encoding.strip().lower() not in {'', 'identity'}:
        raise errors.UnsupportedMediaType(found=f'JSON encoded as {_shown(encoding)}')


def parse(body: bytes) -> Any:
    """The body's JSON.

    :raises BodyNotJson: it is not JSON in UTF-8, is nested more than MOST_LEVELS deep, or has a
    number beyond all readers' range.
    :raises BodyDuplicateKey: an object in it has a key twice.
    """
    try:
        text = body.decode('utf-8')
        _refuse_deep(text)
        return json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
            parse_int=_whole,
            parse_float=_fraction,
        )
    except (errors.BodyDuplicateKey, errors.BodyNotJson):
        raise
    except UnicodeDecodeError as error:
        raise errors.BodyNotJson(found='it is not UTF-8') from error
    except ValueError as error:
        raise errors.BodyNotJson(found=str(error)) from error


def keep(environ: MutableMapping[str, Any], document: Any) -> None:
    """Leave the JSON of a body that was read to the application behind: no client can set this."""
    environ[_KEPT] = document


def forget(environ: MutableMapping[str, Any]) -> None:
    """Take back what `keep` has left: the request goes on to another application, as it came."""
    environ.pop(_KEPT, None)


def document_of(environ: Mapping[str, Any], bound: int) -> Any:
    """Return the body's JSON, which is read and parsed unless it was before.

    :raises RequestError: as `read` and `parse`.
    """
    return environ[_KEPT] if _KEPT in environ else parse(read(environ, bound))


def validate(document: Any, validator: jsonschema.protocols.Validator, wanted: str) -> None:
    """Check a document against a schema; the error names its first fault.

    :raises BodyInvalid: `document` is not what the schema of `validator` asks for;
    `wanted` says it in words.
    """
    error = next(
        iter(
            sorted(
                validator.iter_errors(document), key=lambda each: list(map(str, each.absolute_path))
            )
        ),
        None,
    )
    if error is not None:
        where = '.'.join(str(part) for part in error.absolute_path) or 'the body'
        raise errors.BodyInvalid(where=_shown(where), found=_shown(error.message), wanted=wanted)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise errors.BodyDuplicateKey(key=_shown(key))
        result[key] = value
    return result


def _refuse_deep(text: str) -> None:
    """Refuse deep nesting before the text is parsed: a parser, and whatever works on its result,
    needs a call for each level.

    :raises BodyNotJson: more than MOST_LEVELS arrays and objects are open at once.
    """
    level = 0
    for found in _NESTING.finditer(text):
        match found[0]:
            case '[' | '{':
                level += 1
            case ']' | '}':
                level -= 1
        if level > MOST_LEVELS:
            raise errors.BodyNotJson(found=f'it is nested more than {MOST_LEVELS} levels deep')


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f'a number in it has more than {MOST_DIGITS} digits')
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f'{_shown(text, 40)} is too large for a number')
    return number


def _no_constant(text: str) -> Any:
    raise ValueError(f'{text} is no JSON value')


def _shown(text: str, bound: int = 200) -> str:
    """`text` as it may stand in a message: bounded, and in characters that UTF-8 has.  Clients
    print a cut in ASCII legibly.
    """
    shown = text.encode('utf-8', 'backslashreplace').decode('utf-8')
    return shown if len(shown) <= bound else shown[:bound] + '...'
