# SPDX-License-Identifier: Apache-2.0
"""Instances of Trove, by id or name."""

import urllib.parse
import uuid
from collections.abc import Iterator

from troveupgradeclient import exceptions
from troveupgradeclient.v1.api import Api
from troveupgradeclient.v1.reading import read
from troveupgradeclient.v1.resources import Instance

_ADVICE = 'Look it up with: openstack database instance list.'


def is_id(text: str) -> bool:
    """Tell whether a text is written as the id of an instance, an upgrade or a version is."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def quoted(part: str) -> str:
    """Return a text as one segment of an address."""
    return urllib.parse.quote(part, safe='')


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
        found = [each for each in self.list() if each.name == name_or_id]
        if not found:
            raise exceptions.NameNotFound(kind='instance', name=name_or_id, advice=_ADVICE)
        if len(found) > 1:
            ids = ', '.join(each.id for each in found)
            raise exceptions.NameAmbiguous(kind='instance', name=name_or_id, ids=ids)
        return found[0]
