# SPDX-License-Identifier: Apache-2.0
"""Records made of the JSON of answers: what a record has no field for is left out, and a field that
the answer lacks, as one of an earlier release does, has its default.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from troveupgradeclient import exceptions
from troveupgradeclient.v1 import times

Record = TypeVar('Record')
_UNIONS = (types.UnionType, typing.Union)


def read(kind: type[Record], document: object) -> Record:
    """Return the record that `document` holds.

    :raises AnswerInvalid: it holds none.
    """
    found: Record = _record(kind, document, kind.__name__)
    return found


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _record(kind: Any, document: object, where: str) -> Any:
    if not isinstance(document, Mapping):
        raise exceptions.AnswerInvalid(found=f'{where} is no object')
    hints = _hints(kind)
    values = {
        field.name: _value(hints[field.name], document[field.name], f'{where}.{field.name}')
        for field in dataclasses.fields(kind)
        if field.name in document
    }
    lacking = [
        field.name
        for field in dataclasses.fields(kind)
        if field.name not in values and field.default is dataclasses.MISSING
    ]
    if lacking:
        raise exceptions.AnswerInvalid(found=f'{where} lacks {", ".join(lacking)}')
    return kind(**values)


def _value(hint: Any, value: object, where: str) -> Any:
    if typing.get_origin(hint) in _UNIONS:
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        if value is None:
            return None
        [hint] = kinds
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise exceptions.AnswerInvalid(found=f'{where} is no list')
        return tuple(_value(typing.get_args(hint)[0], each, where) for each in value)
    if dataclasses.is_dataclass(hint):
        return _record(hint, value, where)
    if hint is times.Time and isinstance(value, str):
        return times.zoned(value)
    if hint is float and type(value) is int:
        return float(value)
    if hint is object or type(value) is hint:
        return value
    raise exceptions.AnswerInvalid(found=f'{where} is of another type')
