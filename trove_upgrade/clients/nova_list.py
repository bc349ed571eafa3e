# SPDX-License-Identifier: Apache-2.0
"""Servers of the instances in a list: one list call, a strict limit of time."""

import concurrent.futures
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from novaclient import exceptions as nova_exceptions
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import nova, session
from trove_upgrade.domain import compute, exceptions
from trove_upgrade.domain.instances import Instance

#: Nova's own default for the most servers of one page.
_PAGE = 1000
#: More requests than this that wait for Nova at once are told "no answer".
_THREADS = 8


class NovaDirectory:
    """Implements `domain.ports.ServerDirectory`.

    The work is done on threads of its own, which start at the first request (after any fork):
    authentication, discovery and the pages together must not take longer than the limit, and each
    of them has only time-outs of its own.
    """

    def __init__(self, make_client: Callable[[str], Any], *, timeout_seconds: float) -> None:
        self._make_client = make_client
        self._timeout = timeout_seconds
        self._lock = threading.Lock()
        self._executor: concurrent.futures.ThreadPoolExecutor | None = None

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Make a client with `[service_credentials]`; no request is sent yet."""
        timeout = conf[our_conf.GROUP].server_list_timeout
        return cls(nova.client_factory(conf, timeout_seconds=timeout), timeout_seconds=timeout)

    def servers(self, instances: Sequence[Instance]) -> Mapping[str, compute.ServerSummary]:
        """Return servers by id; a server that Nova does not have is missing in the answer.

        :raises ComputeUnavailable: no answer within the limit.
        """
        return self.list_servers(
            [row.server_id for row in instances if row.server_id is not None],
            sorted({row.project_id for row in instances}),
        )

    def list_servers(
        self, server_ids: Sequence[str], project_ids: Sequence[str] = ()
    ) -> Mapping[str, compute.ServerSummary]:
        """Return servers by id, as `servers` does, for ids instead of instances; `project_ids`:
        where those are looked for that the login's own project does not have.
        """
        if not server_ids:
            return {}
        asked = frozenset(server_ids)
        future = self._threads().submit(
            lambda: session.asked(lambda: self._list(asked, project_ids))
        )
        try:
            return future.result(self._timeout)
        except (TimeoutError, concurrent.futures.TimeoutError) as error:
            future.cancel()
            raise exceptions.ComputeUnavailable(
                what='its servers', found=f'no answer within {self._timeout} s'
            ) from error
        except (nova_exceptions.ClientException, *session.UNAVAILABLE) as error:
            raise exceptions.ComputeUnavailable(what='its servers', found=error) from error

    def _threads(self) -> concurrent.futures.ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = concurrent.futures.ThreadPoolExecutor(
                    _THREADS, 'trove-upgrade-servers'
                )
            return self._executor

    def _list(
        self, asked: frozenset[str], project_ids: Sequence[str]
    ) -> dict[str, compute.ServerSummary]:
        """Look in the login's own project first.  Servers of tenants' own projects, which old
        releases of Trove made, are shown to an administrator alone.
        """
        client = self._make_client('2.1')
        found = _pages(client, asked, {})
        for project_id in project_ids:
            missing = asked - found.keys()
            if not missing:
                break
            try:
                found |= _pages(client, missing, {'all_tenants': 1, 'project_id': project_id})
            except nova_exceptions.Forbidden:
                break
        return found


def _pages(
    client: Any, asked: frozenset[str], filters: Mapping[str, object]
) -> dict[str, compute.ServerSummary]:
    """Ask page by page until all are found: Nova takes one id as a filter, not several."""
    found: dict[str, compute.ServerSummary] = {}
    is_one = len(asked) == 1
    options = {**filters, **({'uuid': next(iter(asked))} if is_one else {})}
    marker: str | None = None
    while True:
        page = client.servers.list(search_opts=options, limit=_PAGE, marker=marker)
        found.update(
            {
                raw.id: compute.ServerSummary(
                    status=raw.status, addresses=nova.as_addresses(raw.addresses)
                )
                for raw in page
                if raw.id in asked
            }
        )
        if len(page) < 1 or len(found) == len(asked) or is_one:
            return found
        marker = page[-1].id
