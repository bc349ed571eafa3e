# SPDX-License-Identifier: Apache-2.0
"""Images of all servers, for instances of which no image is known."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from novaclient import exceptions as nova_exceptions
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import nova, session
from trove_upgrade.domain import exceptions

#: Nova's own default for the most servers of one page.
_PAGE = 1000
#: The oldest one shows the image.
_MICROVERSION = '2.1'


class NovaImages:
    """Implements `domain.drift.ServerImages`."""

    def __init__(self, make_client: Callable[[str], Any]) -> None:
        self._make_client = make_client

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Make a client with `[service_credentials]`; no request is sent yet."""
        timeout = conf[our_conf.GROUP].compute_timeout
        return cls(nova.client_factory(conf, timeout_seconds=timeout))

    def pages(self) -> Iterator[Mapping[str, str]]:
        """Yield the images of the servers of all projects by id, page by page; a server that is
        booted from a volume names none and is left out.

        :raises ComputeUnavailable: no answer in time, or the user may not see all projects.
        """
        client, marker = self._make_client(_MICROVERSION), None
        while page := self._page(client, marker):
            yield {raw.id: raw.image['id'] for raw in page if _names_image(raw)}
            marker = page[-1].id

    def _page(self, client: Any, marker: str | None) -> list[Any]:
        try:
            return list(
                session.asked(
                    lambda: client.servers.list(
                        search_opts={'all_tenants': 1}, limit=_PAGE, marker=marker
                    )
                )
            )
        except (nova_exceptions.ClientException, *session.UNAVAILABLE) as error:
            raise exceptions.ComputeUnavailable(
                what='the servers of all projects', found=error
            ) from error


def _names_image(raw: Any) -> bool:
    return isinstance(raw.image, Mapping) and isinstance(raw.image.get('id'), str)
