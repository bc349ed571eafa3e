# SPDX-License-Identifier: Apache-2.0
"""Servers of all projects: an old Trove made its guests' servers in the project of the tenant."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from novaclient import client as nova_client
from novaclient import exceptions as nova_exceptions
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import nova, session
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.inventory import CloudServer

#: novaclient's word for all pages.  Source: novaclient/v2/servers.py, ServerManager.list.
_ALL = -1
#: Nova's own default for the most servers of one page.
_PAGE = 1000
#: Attribute of a server that Nova shows an administrator.
_HOST = 'OS-EXT-SRV-ATTR:host'


class NovaServers:
    """Implements domain.inventory.CloudServers and domain.drift.ServerImages."""

    def __init__(self, make_client: Callable[[str], Any]) -> None:
        """`make_client` makes a python-novaclient client for a microversion."""
        self._make_client = make_client

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Make a client with `[service_credentials]`; no request is sent yet."""
        timeout = conf[our_conf.GROUP].compute_timeout
        return cls(nova.client_factory(conf, timeout_seconds=timeout))

    @classmethod
    def of_cloud(cls, region: Any) -> Self:
        """Make a client with a cloud of `clouds.region`; no request is sent yet."""
        return cls(
            lambda version: nova_client.Client(
                version,
                session=region.get_session(),
                region_name=region.get_region_name(),
                interface=region.get_interface('compute'),
            )
        )

    def of_all_projects(self) -> Sequence[CloudServer]:
        """Return every server that this login sees, page by page.

        :raises ComputeUnavailable: no answer, or the login may not list other projects' servers.
        """
        return [_as_server(raw) for raw in self._listed(self._client(), limit=_ALL)]

    def images(self) -> Iterator[Mapping[str, str]]:
        """Yield the images of the servers of all projects by id, page by page; a server that is
        booted from a volume names none and is left out.

        :raises ComputeUnavailable: as `of_all_projects`.
        """
        client, marker = self._client(), None
        while page := self._listed(client, limit=_PAGE, marker=marker):
            yield {raw.id: raw.image['id'] for raw in page if _names_image(raw)}
            marker = page[-1].id

    def server(self, server_id: str) -> CloudServer:
        """Return a server now.

        :raises ServerNotFound: this login sees no such server.
        :raises ComputeUnavailable: no answer.
        """
        try:
            return session.asked(lambda: _as_server(self._client().servers.get(server_id)))
        except nova_exceptions.NotFound as error:
            raise exceptions.ServerNotFound(server_id=server_id) from error
        except (nova_exceptions.ClientException, *session.UNAVAILABLE) as error:
            raise exceptions.ComputeUnavailable(what=f'server {server_id}', found=error) from error

    def _client(self) -> Any:
        return self._make_client('2.1')

    def _listed(self, client: Any, **page: Any) -> Sequence[Any]:
        try:
            return session.asked(
                lambda: list(client.servers.list(search_opts={'all_tenants': 1}, **page))
            )
        except (nova_exceptions.ClientException, *session.UNAVAILABLE) as error:
            raise exceptions.ComputeUnavailable(
                what='the servers of all projects', found=error
            ) from error


def _names_image(raw: Any) -> bool:
    return isinstance(raw.image, Mapping) and isinstance(raw.image.get('id'), str)


def _as_server(raw: Any) -> CloudServer:
    return CloudServer(
        id=raw.id,
        project_id=raw.tenant_id,
        status=raw.status,
        nics=nova.as_nics(raw.addresses),
        hypervisor=getattr(raw, _HOST, None),
    )
