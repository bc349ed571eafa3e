# SPDX-License-Identifier: Apache-2.0
"""Times in UTC, as the service writes and reads them."""

import datetime
import typing

#: A time of an answer, with its zone.
Time = typing.NewType('Time', str)


def text(moment: datetime.datetime) -> str:
    """Write a time."""
    in_utc = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return f'{in_utc.isoformat(timespec="seconds")}Z'


def zoned(value: str) -> Time:
    """Return a time of an answer with its zone: the service leaves out that it is UTC."""
    try:
        is_bare = datetime.datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        is_bare = False
    return Time(f'{value}Z' if is_bare else value)


def read(value: str | None) -> datetime.datetime | None:
    """Read a time of an answer, which is UTC; None where there is none, or another form."""
    if value is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or datetime.UTC)


def with_zone(value: str) -> datetime.datetime:
    """Read a time that a person gives.

    :raises ValueError: it is in another form, has no zone, or is none in UTC.
    """
    try:
        found = datetime.datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f'{value} is no time') from error
    if found.tzinfo is None:
        raise ValueError(f'{value} has no zone, which is Z at its end for UTC')
    try:
        return found.astimezone(datetime.UTC)
    except OverflowError as error:
        raise ValueError(f'{value} is not within the years 1 to 9999 in UTC') from error


def span(seconds: float) -> str:
    """Write a span of time for a person: 40 s, 12 min, 3 h 5 min, 2 d 4 h."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f'{whole} s'
    minutes = round(whole / 60)
    if minutes < 60:
        return f'{minutes} min'
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f'{hours} h {minutes} min' if minutes else f'{hours} h'
    days, hours = divmod(hours, 24)
    return f'{days} d {hours} h' if hours else f'{days} d'
