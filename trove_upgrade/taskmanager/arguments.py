# SPDX-License-Identifier: Apache-2.0
"""Arguments of the taskmanager's casts, as the broker brought them: each
account there can send one.
"""

import re
from collections.abc import Mapping
from typing import Any

from trove_upgrade.domain import exceptions

_ID = re.compile(r'[A-Za-z0-9][A-Za-z0-9_-]{0,63}')


class ArgumentsInvalid(exceptions.TroveUpgradeError):
    """A cast has not the arguments of its method.  The text names fields of ours,
    and nothing of what came.
    """

    code = 'ARGUMENTS_INVALID'
    template = 'A cast of {method} was not taken: {found}. Look which release its sender has.'


def ids(
    method: str,
    arguments: Mapping[str, Any],
    *,
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
) -> dict[str, str | None]:
    """Return the arguments, each an id, or None for an optional one that is not there.

    :raises ArgumentsInvalid: one is missing, is no id, or is none of the method's.
    """
    require_names(method, arguments, required=required, optional=optional)
    broken = [
        name
        for name in (*required, *optional)
        if not _is_id(arguments.get(name)) and (name in required or arguments.get(name) is not None)
    ]
    if broken:
        raise ArgumentsInvalid(method=method, found=f'no id: {", ".join(broken)}')
    return {name: arguments.get(name) for name in (*required, *optional)}


def require_names(
    method: str,
    arguments: Mapping[str, Any],
    *,
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
) -> None:
    """Refuse a call without a required argument, or with one of another name.

    :raises ArgumentsInvalid: an argument is missing, or is none of the method's.
    """
    missing = [name for name in required if name not in arguments]
    if missing:
        raise ArgumentsInvalid(method=method, found=f'it lacks {", ".join(missing)}')
    surplus = len(arguments.keys() - {*required, *optional})
    if surplus:
        raise ArgumentsInvalid(method=method, found=f'it has arguments of other names, {surplus}')


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None
