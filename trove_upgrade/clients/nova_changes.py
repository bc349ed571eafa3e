# SPDX-License-Identifier: Apache-2.0
"""Servers of all projects that have changed since a moment, by Nova's clock."""

import datetime
import email.utils
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, Self

from novaclient import exceptions as nova_exceptions
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import nova, session
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.server_changes import Glance

#: Every Nova has it; it shows no user data.
_VERSION = '2.1'
#: Nova's own default for the most servers of one page; it may be set lower.
_PAGE = 1000
#: Of one look.  What is beyond is found by each step's own look.
_MOST_PAGES = 5
#: What Nova's hosts differ in time, and what a change takes from its time to its commit.
_OVERLAP = datetime.timedelta(seconds=15)
_MARKER = 'marker'


class NovaChanges:
    """Implements `domain.server_changes.ServerChanges`.  For one thread.

    Moments are those of Nova's own clock, from the header `Date` of the look before, so that ours
    may be wrong.  The first look of all has none, and takes ours.
    """

    def __init__(
        self, make_client: Callable[[str], Any], now: Callable[[], datetime.datetime]
    ) -> None:
        self._make_client = make_client
        self._now = now
        self._seen_until: datetime.datetime | None = None
        self._client: Any = None

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts, now: Callable[[], datetime.datetime]) -> Self:
        """Make a client with `[service_credentials]`; no request is sent yet."""
        timeout = conf[our_conf.GROUP].compute_timeout
        return cls(nova.client_factory(conf, timeout_seconds=timeout), now)

    def recent(self) -> Mapping[str, Glance] | None:
        """Return what has changed since the look before, as the port has it."""
        try:
            return session.asked(self._look)
        except (nova_exceptions.Forbidden, nova_exceptions.BadRequest):
            return None
        except (nova_exceptions.ClientException, *session.UNAVAILABLE) as error:
            raise exceptions.ComputeUnavailable(
                what='servers that have changed', found=error
            ) from error

    def _look(self) -> dict[str, Glance]:
        if self._client is None:
            self._client = self._make_client(_VERSION)
        since = (self._seen_until or self._now()) - _OVERLAP
        found: dict[str, Glance] = {}
        began, marker = self._page(since, None, found)
        for _ in range(_MOST_PAGES - 1):
            if marker is None:
                break
            try:
                _, marker = self._page(since, marker, found)
            except nova_exceptions.BadRequest:
                # the server of the marker has gone meanwhile: the next look has the rest
                return found
        self._seen_until = began  # not sooner: what a failed look was to tell is asked again
        return found

    def _page(
        self, since: datetime.datetime, marker: str | None, found: dict[str, Glance]
    ) -> tuple[datetime.datetime | None, str | None]:
        """Read a page; return when Nova has answered, and the marker of the next page.

        The client's own list hides both, so that each look would take a request more.
        """
        query = {
            'all_tenants': 1,
            'changes-since': since.astimezone(datetime.UTC).isoformat(timespec='seconds'),
            'limit': _PAGE,
            **({} if marker is None else {_MARKER: marker}),
        }
        response, body = self._client.client.get(f'/servers/detail?{urllib.parse.urlencode(query)}')
        for server in body['servers']:
            found[server['id']] = Glance(
                server['status'],
                server.get('OS-EXT-STS:task_state'),
                server.get('metadata') or {},
            )
        return _date(response.headers), _next(body.get('servers_links') or ())


def _date(headers: Mapping[str, str]) -> datetime.datetime | None:
    try:
        return email.utils.parsedate_to_datetime(headers['Date'])
    except (KeyError, ValueError):
        return None


def _next(links: Any) -> str | None:
    for link in links:
        if link['rel'] == 'next':
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(link['href']).query)
            return query[_MARKER][0]
    return None
