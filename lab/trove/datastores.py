# SPDX-License-Identifier: Apache-2.0
"""Registers datastore versions through Trove's administrative API, as an operator's scripts do."""

import dataclasses

from lab import errors, rest
from lab.handle import CloudHandle


@dataclasses.dataclass(frozen=True, kw_only=True)
class Registered:
    """A datastore version as Trove lists it."""

    id: str
    datastore: str
    name: str
    number: str  #: the tag of the container image
    image_id: str


class Datastores:
    """The datastore versions of one Trove."""

    def __init__(self, handle: CloudHandle) -> None:
        admin = handle.users['admin']
        self._session = rest.Session.of(admin)
        projects = self._session.request(
            'GET', f'{handle.auth_url}/projects?name={admin.project_name}'
        )['projects']
        self._base = f'{handle.database_api_url}/{projects[0]["id"]}/mgmt/datastore-versions'

    def register(
        self,
        datastore: str,
        name: str,
        number: str,
        image_id: str,
        *,
        default: bool = False,
        manager: str | None = None,
        packages: str = '',
        active: bool = True,
    ) -> Registered:
        """Offer a version; its datastore is made with the first one; one of that name and number is
        changed to this.

        `number` is what the guest takes as the container image's tag; `manager` is the datastore's
        name where it is left out.

        :raises CommandFailed: Trove refused it, e.g. because Glance knows no such image.
        """
        fields = {
            'datastore_manager': manager or datastore,
            'image': image_id,
            'active': active,
            'default': default,
        }
        if packages:
            fields['packages'] = packages.split(',')
        known = self._find(datastore, name, number)
        if known is None:
            version = {'datastore_name': datastore, 'name': name, 'version': number, **fields}
            self._session.request('POST', self._base, {'version': version})
        else:
            self._session.request('PATCH', f'{self._base}/{known.id}', fields)
        return self._listed(datastore, name, number)

    def all(self) -> list[Registered]:
        """Every version, also those that are not active."""
        found = self._session.request('GET', self._base)['versions']
        return [
            Registered(
                id=version['id'],
                datastore=version['datastore_name'],
                name=version['name'],
                number=version['version'],
                image_id=str(version['image']),
            )
            for version in found
        ]

    def _listed(self, datastore: str, name: str, number: str) -> Registered:
        found = self._find(datastore, name, number)
        if found is None:
            raise errors.CommandFailed(
                f'Trove took version {name} ({number}) of {datastore} and does not list it. See '
                'the log of trove-api.'
            )
        return found

    def _find(self, datastore: str, name: str, number: str) -> Registered | None:
        return next(
            (
                one
                for one in self.all()
                if (one.datastore, one.name, one.number) == (datastore, name, number)
            ),
            None,
        )
