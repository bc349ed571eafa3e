# SPDX-License-Identifier: Apache-2.0
"""Durations as a person reads them."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def in_words(seconds: float) -> str:
    """Return a duration in its two greatest units."""
    whole = round(max(seconds, 0.0))
    for unit, lower, name, lower_name in (
        (_DAY, _HOUR, 'd', 'h'),
        (_HOUR, _MINUTE, 'h', 'min'),
        (_MINUTE, 1, 'min', 's'),
    ):
        if whole >= unit:
            rest = whole % unit // lower
            return (
                f'{whole // unit} {name} {rest} {lower_name}' if rest else f'{whole // unit} {name}'
            )
    return f'{whole} s'
