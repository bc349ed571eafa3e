# SPDX-License-Identifier: Apache-2.0
"""Bounds and forms of each field that a guest's answer or heartbeat has.

A guest is another's machine. Texts for people are cut, with a mark, and control characters become
escapes: an operator can still read them. Ids, outcomes and facts are refused where they are not of
their form: a cut one would be another one.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from trove_upgrade.domain import notes, tree, upgrade_info
from trove_upgrade.domain.printable import CUT, cut, is_plain

#: Characters of one answer, and of one heartbeat, before anything of it is read.
LARGEST_ANSWER = 2_000_000
LARGEST_HEARTBEAT = 4096
#: Characters of one message, and of one version.
MESSAGE = 4000
_VERSION = 200
#: Results of checks, characters of one's name, and of one's message.
CHECKS = 200
_CHECK_NAME = 64
#: Characters of the facts of a restore, of each kind.
FACTS = 65536
_ITEMS = 200
_DEEPEST = 5
_DEEPEST_STORED = 8  # facts, in what a row keeps of them
_LONGEST_ID = 64

_CODE = re.compile(r'[A-Z][A-Z0-9_]{0,63}')
_INSTANCE = re.compile(r'[A-Za-z0-9][A-Za-z0-9_-]{0,63}')
_MARKER = re.compile(r'[A-Za-z0-9][A-Za-z0-9-]{0,63}:[0-9]{1,10}')


class AnswerOutOfBounds(ValueError):
    """The guest said more than is taken, or in another form.  The text names fields of ours, and
    nothing of what came.
    """


def require_size(wire: Any, characters: int) -> None:
    """Refuse an answer of more than so many characters, or one that is nested too deeply.

    :raises AnswerOutOfBounds: it is nested too deeply, has more characters,
    or holds what is no JSON.
    """
    try:
        tree.require(wire, characters=characters)
    except tree.ValueOutOfBounds as error:
        raise AnswerOutOfBounds(str(error)) from None


def answer(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an answer, each of its type, within their bounds.

    :raises AnswerOutOfBounds: a field that is no text for people is not of its form.
    """
    found = {
        **fields,
        'message': cut(fields['message'], MESSAGE),
        'boot_id': _id('boot_id', fields['boot_id']),
        'agent_version': cut(fields['agent_version'], _VERSION),
        'result': result(fields.get('result') or {}),
    }
    if fields.get('server_version') is not None:
        found['server_version'] = cut(fields['server_version'], _VERSION)
    if 'code' in fields:
        found['code'] = code(fields['code'])
    if fields.get('percent') is not None:
        found['percent'] = min(100, max(0, fields['percent']))
    return found


def heartbeat(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a heartbeat, each of its type, within their bounds.

    :raises AnswerOutOfBounds: an id or the marker is not of its form.
    """
    if _INSTANCE.fullmatch(fields['instance_id']) is None:
        raise AnswerOutOfBounds('instance_id is not of its form')
    marker = fields.get('marker')
    if marker and _MARKER.fullmatch(marker) is None:
        raise AnswerOutOfBounds('marker is not of its form')
    found = {
        **fields,
        'boot_id': _id('boot_id', fields['boot_id']),
        'agent_version': cut(fields['agent_version'], _VERSION),
    }
    if fields.get('server_version') is not None:
        found['server_version'] = cut(fields['server_version'], _VERSION)
    return found


def result(wire: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a method found, without fields that nothing here reads.

    `upgrade_info` is parsed where it is stored: `domain.upgrade_info`.

    :raises AnswerOutOfBounds: there are more checks than are read.
    """
    return {name: _RESULTS[name](value) for name, value in wire.items() if name in _RESULTS}


def stored(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a row with each value that is larger than a guest's facts
    may be cut, as facts are.

    Earlier releases kept whatever a guest answered. What the steps themselves
    write is never so large.
    """
    return {name: _within(name, value) for name, value in data.items()}


def _within(name: str, value: Any) -> Any:
    try:
        tree.require(value, characters=2 * FACTS, deepest=_DEEPEST_STORED)
    except tree.ValueOutOfBounds:
        # a part of those facts would be other facts
        return {'schema': CUT} if name == 'upgrade_info' else _facts(value)
    return value


def code(value: Any) -> str | None:
    """Return a stable code, or None for one of no code's form."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def message(value: Any) -> str:
    """Return a text for people: of an answer, or of an error that the guest raised."""
    return cut(str(value), MESSAGE)


def _id(name: str, value: str) -> str:
    """Parse an id; it is empty where an agent could not tell it."""
    if not is_plain(value, _LONGEST_ID):
        raise AnswerOutOfBounds(f'{name} is not of its form')
    return value


def _checks(value: Any) -> list[dict[str, Any]]:
    """Parse all checks and leave none out: it could be the one that refuses."""
    if not isinstance(value, list | tuple):
        raise AnswerOutOfBounds('checks is no list')
    if len(value) > CHECKS:
        raise AnswerOutOfBounds(f'it has more than {CHECKS} checks')
    return [_check(entry) for entry in value]


def _check(entry: Any) -> dict[str, Any]:
    """An entry of another form has no outcome, and so counts as not checked."""
    if not isinstance(entry, Mapping):
        entry = {}
    found: dict[str, Any] = {
        'outcome': cut(str(entry.get('outcome')), 16),
        'code': code(entry.get('code')),
    }
    found['name'] = cut(str(entry.get('name', 'guest')), _CHECK_NAME)
    found['message'] = cut(str(entry.get('message', '')), notes.LONGEST)
    return found


def _facts(value: Any) -> Any:
    bounds = tree.Bounds(characters=FACTS, items=_ITEMS, longest=notes.LONGEST, deepest=_DEEPEST)
    return bounds.bounded(value)


def _mapping(value: Any) -> dict[str, Any]:
    found = _facts(value)
    return found if isinstance(found, dict) else {}


def _list(value: Any) -> list[Any]:
    found = _facts(value)
    return found if isinstance(found, list) else []


def _time(value: Any) -> str | None:
    return value if upgrade_info.is_time(value) else None


def _version(value: Any) -> str | None:
    return cut(value, _VERSION) if isinstance(value, str) else None


#: By key of the types in `domain.guest_results`.
_RESULTS: Mapping[str, Callable[[Any], Any]] = {
    'checks': _checks,
    'upgrade_info': lambda value: value,
    'fingerprint': _mapping,
    'settings_changed': _list,
    'settings_kept': _list,
    'remarks': _list,
    'stopped_at': _time,
    'quiesced_at': _time,
    'opening_at': _time,
    'opened_at': _time,
    'stash_removed_at': _time,
    'server_version': _version,
}
