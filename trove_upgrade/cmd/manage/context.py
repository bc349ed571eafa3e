# SPDX-License-Identifier: Apache-2.0
"""Context of every command."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

from oslo_config import cfg

from trove_upgrade.clients import glance, nova, nova_servers, session
from trove_upgrade.db import address, errors
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.domain import drift, exceptions, instances, ports


@dataclasses.dataclass(frozen=True)
class Outside:
    """Makers of what is outside of the database.  A test hands in others."""

    compute: Callable[[cfg.ConfigOpts], ports.Compute] = nova.Nova.from_conf
    server_images: Callable[[cfg.ConfigOpts], drift.ServerImages] = (
        nova_servers.NovaServers.from_conf
    )
    images: Callable[[cfg.ConfigOpts], ports.Images] = glance.Glance.from_conf


class Context:
    """The configuration, and what is made of it when first asked for."""

    def __init__(self, conf: cfg.ConfigOpts, outside: Outside) -> None:
        self.conf = conf
        self._outside = outside
        # an operator waits in front of the command
        self.repositories = Repositories.from_conf(conf, waits_for_server=False)

    def compute(self) -> ports.Compute:
        """Nova, with the service's credentials."""
        return self._outside.compute(self.conf)

    def server_images(self) -> drift.ServerImages:
        """Nova's list of all servers, with the service's credentials."""
        return self._outside.server_images(self.conf)

    def images(self) -> ports.Images | None:
        """Glance, with the service's credentials; None: they are not complete."""
        return None if session.missing(self.conf) else self._outside.images(self.conf)

    def dialect(self) -> str:
        """Return the kind of server that `[database] connection` names; the server is not asked.

        :raises DatabaseRefused: it names none.
        """
        return address.parse(self.conf.database.connection or '', 'This program').get_backend_name()

    def version(
        self, datastore: str, id_or_name: str, number: str | None = None
    ) -> instances.DatastoreVersion:
        """A version by the datastore's and its own name or id, and its number where several have
        the name.

        :raises DatastoreNotFound, DatastoreVersionNotFound, DatastoreVersionAmbiguous: there is not
            exactly one.
        """
        repository = self.repositories.datastores
        found = repository.get(datastore)
        if number is None:
            return repository.version(found.id, id_or_name)
        for version in repository.versions(found.id, active_only=False):
            if id_or_name in {version.id, version.name} and version.number == number:
                return version
        raise exceptions.DatastoreVersionNotFound(
            version=f'{id_or_name} (number {number})', datastore=datastore
        )

    def close(self) -> None:
        """Close the pooled connections of this run."""
        self.repositories.database.dispose()


def load_json(path: str) -> Any:
    """Read a JSON file that an operator has named.

    :raises ConfigurationRulesInvalid: the file cannot be read, or is not JSON.
    """
    try:
        return json.loads(pathlib.Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise errors.ConfigurationRulesInvalid(
            path=path, found=error, advice='Name a readable file of JSON.'
        ) from error
