# SPDX-License-Identifier: Apache-2.0
"""Shapes that several answers share: times, links and pages."""
import datetime
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from trove_upgrade.api.call import VERSION_PATH, Call


def precise_time(moment: datetime.datetime | None) -> str | None:
    """As `time`, with milliseconds: steps may take less than a second."""
    return moment.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec='milliseconds') if moment else None


def time(moment: datetime.datetime | None) -> str | None:
    """UTC without zone and fraction, as Trove writes it."""
    if moment is None:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC)
    return moment.replace(tzinfo=None, microsecond=0).isoformat()


def links(call: Call, resource: str, resource_id: str) -> list[dict[str, str]]:
    """The two links of a resource of ours: the address by which the client came."""
    return _links(call, call.base_url, resource, resource_id)


def trove_links(call: Call, resource: str, resource_id: str | None) -> list[dict[str, str]]:
    """The two links of a resource of Trove's, as Trove writes them: always https, never a prefix.

    Source: trove/common/views.py (create_links).
    """
    return _links(call, call.public_endpoint or f'https://{call.http.host}', resource, resource_id)


def _links(call: Call, base_url: str, resource: str, resource_id: str | None) -> list[dict[str, str]]:
    return [{'rel': 'self', 'href': f'{base_url}{VERSION_PATH}/{call.project_id}/{resource}/{resource_id}'},
            {'rel': 'bookmark', 'href': f'{base_url}/{resource}/{resource_id}'}]


def page(call: Call, key: str, items: Sequence[Mapping[str, Any]], next_marker: str | None) -> dict[str, Any]:
    """A page of a list of our resources; `links` is there only where more is to come."""
    return _page(call, key, items, next_marker, urllib.parse.urlsplit(call.base_url).scheme)


def trove_page(call: Call, key: str, items: Sequence[Mapping[str, Any]], next_marker: str | None) -> dict[str, Any]:
    """A page of a list of Trove's resources; the next one's address is https, as Trove writes it.

    Source: trove/common/pagination.py (AppUrl).
    """
    return _page(call, key, items, next_marker, urllib.parse.urlsplit(call.public_endpoint or 'https:').scheme)


def _page(call: Call, key: str, items: Sequence[Mapping[str, Any]], next_marker: str | None, scheme: str) -> dict[str, Any]:
    document: dict[str, Any] = {key: list(items)}
    if next_marker is not None:
        query = urllib.parse.urlencode({**dict(call.http.GET), 'marker': next_marker})
        address = urllib.parse.urlsplit(call.href(urllib.parse.quote(call.http.path_info)))
        document['links'] = [{'rel': 'next', 'href': address._replace(scheme=scheme, query=query).geturl()}]
    return document
