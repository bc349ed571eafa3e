# SPDX-License-Identifier: Apache-2.0
"""Arguments of the guest agent's calls, as the broker brought them: each
account there can send one.

A job acts as root on what a call says, so a call is read as a whole before one begins.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from trove_upgrade.domain import guests, image_archive, target_facts, tree, upgrade_info

_CHARACTERS = 8_000_000
_LARGEST_NUMBER = 2**53


class Invalid(ValueError):
    """A call is not of its form.  The text names fields of ours, and nothing of what came."""


def read(arguments: Mapping[str, Any]) -> guests.GuestCall:
    """Read the keyword arguments of a method of RPC 1.1.

    :raises Invalid: one is missing, is of another type or form, or is none of a call's.
    """
    names = {field.name for field in dataclasses.fields(guests.GuestCall)}
    if arguments.keys() - names:
        raise Invalid('it has arguments of other names')
    try:
        tree.require(arguments, characters=_CHARACTERS)
        call = guests.GuestCall.from_wire(arguments)
        options = arguments.get('options', {})
        target = arguments['target']
        tree.require_plain(target, longest=target_facts.LONGEST)
        tree.require_plain(options, longest=target_facts.LONGEST)
        tree.require_plain(call.upgrade_info, longest=target_facts.LONGEST)
    except KeyError as error:
        raise Invalid(f'it lacks {error.args[0]}') from None
    except tree.ValueOutOfBounds as error:
        raise Invalid(str(error)) from None
    except (TypeError, ValueError, OverflowError):
        raise Invalid('a field is of another type or form') from None
    broken = [
        *_broken('', vars(call), _CALL),
        *(f'target.{name}' for name in target_facts.broken(target)),
        *_broken('options.', options, _OPTIONS),
    ]
    if broken:
        raise Invalid(f'see {", ".join(broken)}')
    return call


def _broken(
    prefix: str, found: Mapping[str, Any], forms: Mapping[str, Callable[[Any], bool]]
) -> list[str]:
    return [
        f'{prefix}{name}'
        for name, is_form in forms.items()
        if found.get(name) is not None and not is_form(found[name])
    ]


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 <= value <= _LARGEST_NUMBER


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return value >= 0


def _has_offset(value: Any) -> bool:
    return value.utcoffset() is not None


_CALL: Mapping[str, Callable[[Any], bool]] = {
    'instance_id': upgrade_info.is_id,
    'upgrade_id': upgrade_info.is_id,
    'attempt': _is_count,
    'generation': _is_count,
    'deadline': _has_offset,
    'seconds': _is_count,
}
_OPTIONS: Mapping[str, Callable[[Any], bool]] = {
    'allow_replication': _is_flag,
    'keep_changed_defaults': _is_flag,
    'rollback': _is_flag,
    'carry_image': _is_flag,
    'former_image_id': image_archive.is_image_id,
    'bring_image': _is_flag,
    'lock_seconds': _is_number,
    'fingerprint_seconds': _is_number,
    'shutdown_seconds': _is_number,
    'min_free_bytes': _is_number,
}
