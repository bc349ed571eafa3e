# SPDX-License-Identifier: Apache-2.0
"""Datastore versions, by id or name."""

from collections.abc import Iterator

from troveupgradeclient.v1.api import Api
from troveupgradeclient.v1.names import is_id, only_one, quoted
from troveupgradeclient.v1.resources import Instance, Version

_ADVICE = 'Look it up with: openstack datastore version list.'


class VersionManager:
    """Versions of all datastores that the project sees."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def list(self) -> Iterator[Version]:
        """Yield them all."""
        # a datastore has an id and a name, as an instance has
        for store in self._api.pages(Instance, '/datastores', 'datastores', None, {}):
            path = f'/datastores/{quoted(store.id)}/versions'
            yield from self._api.pages(Version, path, 'versions', None, {})

    def find_id(self, name_or_id: str) -> str:
        """Return the id of a version; one that is an id is not looked up, as upgrades may name a
        version that the operator has deleted.

        :raises NameNotFound, NameAmbiguous: no version, or more than one, has this name.
        """
        if is_id(name_or_id):
            return name_or_id.lower()
        return only_one(self.list(), name_or_id, 'version', _ADVICE).id
