# SPDX-License-Identifier: Apache-2.0
"""Values in configuration files of ours on the next root disk: one printable line each.

A value with a line of its own would be an option of its own, read by the agents there.
"""

from collections.abc import Mapping

from trove_upgrade.domain import exceptions, printable

#: Characters of one value.
_LONGEST = 1024


def require(values: Mapping[str, str | None]) -> None:
    """Check values by name; None: it is not written.

    :raises StepRefused: USER_DATA_VALUE_INVALID.
    """
    for name, value in values.items():
        if value is not None and not printable.is_plain(value, _LONGEST):
            raise refused(name)


def require_lines(text: str, name: str) -> None:
    """Check lines that are written as they are.  Raises as `require`."""
    if not all(printable.is_plain(line, _LONGEST) for line in text.split('\n')):
        raise refused(name)


def refused(name: str) -> exceptions.StepRefused:
    """Return the refusal of a value."""
    return exceptions.StepRefused(
        f'The configuration of the rebuilt guest cannot be written: {name} has control characters '
        'or line separators, is too long, or is not of its form. Look where it comes from, the '
        'guest or the row of the datastore version, and upgrade again.',
        'USER_DATA_VALUE_INVALID',
    )
