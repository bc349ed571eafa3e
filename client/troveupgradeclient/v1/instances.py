# SPDX-License-Identifier: Apache-2.0
"""Instances of Trove, by id or name."""

from collections.abc import Iterator

from troveupgradeclient.v1.api import Api
from troveupgradeclient.v1.names import is_id, only_one, quoted
from troveupgradeclient.v1.reading import read
from troveupgradeclient.v1.resources import Instance

INSTANCE_ADVICE = (
    'Look it up with: openstack database instance list. Admins give the id of one of another '
    'project, which the option --all-projects of that command shows.'
)


class InstanceManager:
    """Instances of the project."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def list(self) -> Iterator[Instance]:
        """Yield them all."""
        query = {'include_clustered': 'true'}
        return self._api.pages(Instance, '/instances', 'instances', None, query)

    def get(self, instance_id: str) -> Instance:
        """Return the instance of an id."""
        document = self._api.foreign('GET', f'/instances/{quoted(instance_id)}')
        return read(Instance, document.get('instance') if isinstance(document, dict) else None)

    def find(self, name_or_id: str) -> Instance:
        """Return the instance of an id, or of a name.

        :raises NameNotFound, NameAmbiguous: no instance, or more than one, has this name.
        """
        if is_id(name_or_id):
            return self.get(name_or_id)
        return only_one(self.list(), name_or_id, 'instance', INSTANCE_ADVICE)
