# SPDX-License-Identifier: Apache-2.0
"""Shapes that several answers share: times, links and pages."""

import datetime
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from trove_upgrade.api.call import VERSION_PATH, Call

#: Parameters that tell where a page begins.
_BEGIN = frozenset({'marker', 'marker_time'})


def precise_time(moment: datetime.datetime | None) -> str | None:
    """Format a time as `time` does, with milliseconds: steps may take less than a second."""
    return (
        moment.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')
        if moment
        else None
    )


def time(moment: datetime.datetime | None) -> str | None:
    """UTC without zone and fraction, as Trove writes it."""
    if moment is None:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC)
    return moment.replace(tzinfo=None, microsecond=0).isoformat()


def links(call: Call, resource: str, resource_id: str | None) -> list[dict[str, str]]:
    """Return the two links of a resource: the address by which the client came."""
    return [
        {
            'rel': 'self',
            'href': f'{call.base_url}{VERSION_PATH}/{call.project_id}/{resource}/{resource_id}',
        },
        {'rel': 'bookmark', 'href': f'{call.base_url}/{resource}/{resource_id}'},
    ]


def page(
    call: Call,
    key: str,
    items: Sequence[Mapping[str, Any]],
    next_marker: str | None,
    place: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return a page of a list; `links` is there only where more is to come, and `place` is what the
    next page needs besides the marker.
    """
    document: dict[str, Any] = {key: list(items)}
    if next_marker is not None:
        # a condition may be there more than once
        begins = {'marker': next_marker, **(place or {})}
        asked = [(name, value) for name, value in call.http.GET.items() if name not in _BEGIN]
        query = urllib.parse.urlencode([*asked, *begins.items()])
        address = urllib.parse.urlsplit(call.href(urllib.parse.quote(call.http.path_info)))
        document['links'] = [{'rel': 'next', 'href': address._replace(query=query).geturl()}]
    return document
