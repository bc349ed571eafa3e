# SPDX-License-Identifier: Apache-2.0
"""The database API as an operator's client speaks it, Trove's or ours alone."""

import dataclasses
import enum
from typing import Protocol

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.compute import Address


class InstanceStatus(enum.StrEnum):
    """Statuses that are acted on; the API has more."""

    ACTIVE = 'ACTIVE'
    HEALTHY = 'HEALTHY'
    BACKUP = 'BACKUP'  #: it serves, and a backup of it is made
    ERROR = 'ERROR'
    FAILED = 'FAILED'


#: The database serves, as `status` tells it.  HEALTHY stands there in releases of Trove that have
#: no `operating_status`.
_SERVING = frozenset({InstanceStatus.ACTIVE, InstanceStatus.HEALTHY, InstanceStatus.BACKUP})
#: The same, as `operating_status` tells it.  Source: trove/instance/service_status.py (Trove 26).
_OPERATING = frozenset({InstanceStatus.ACTIVE, InstanceStatus.HEALTHY})
_BROKEN = frozenset({InstanceStatus.ERROR, InstanceStatus.FAILED})


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatabaseInstance:
    """An instance as the API shows it.  None: the API does not show it."""

    id: str
    name: str
    status: str
    operating_status: str | None  #: of the database; empty while anything else is going on
    datastore: str
    version_name: str
    version_number: str | None
    addresses: tuple[Address, ...] = ()
    hostname: str | None = None  #: stands in the place of the addresses
    project_id: str | None = None
    server_id: str | None = None
    flavor_id: str | None = None
    volume_size_gb: int | None = None
    fault: str | None = None

    @property
    def is_serving(self) -> bool:
        """Return whether the database serves, as far as the API knows."""
        return self.status in _SERVING and (
            self.operating_status is None or self.operating_status in _OPERATING
        )

    @property
    def is_broken(self) -> bool:
        """Return whether it will not serve by itself."""
        return self.status in _BROKEN

    @property
    def state(self) -> str:
        """Return both statuses in words."""
        operating = f', {self.operating_status}' if self.operating_status else ''
        return f'{self.status}{operating}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfferedVersion:
    """A version of a datastore as the API shows it."""

    id: str
    name: str
    number: str | None
    datastore_id: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShownBackup:
    """A backup as the API shows it."""

    id: str
    name: str
    status: str
    instance_id: str | None
    parent_id: str | None


@dataclasses.dataclass(frozen=True)
class DatabaseUser:
    """A user of a database."""

    name: str
    host: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewInstance:
    """An instance that is to be made, in the project of the login."""

    name: str
    datastore: str  #: id or name
    version: str  #: id
    flavor_id: str
    volume_size_gb: int | None  #: None: its data is on the disks of the flavor
    network_id: str | None  #: None: Trove's own networks alone


class DatabaseServiceUnavailable(exceptions.TroveUpgradeError):
    """The service gave no answer, or one about nothing definite."""

    code = 'DATABASE_SERVICE_UNAVAILABLE'
    template = (
        'Trove cannot be asked about {what}: {found}. Look whether it answers, and whether this '
        'login may ask: it must be an administrator. Then try again.'
    )


class DatabaseServiceRefused(exceptions.TroveUpgradeError):
    """The service refused a request for a reason that does not pass by itself."""

    code = 'DATABASE_SERVICE_REFUSED'
    template = (
        'Trove refused {what}: {found} (status {status}). Mend the cause, then run the same '
        'command again.'
    )

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return int(self.facts['status'])

    @property
    def error_code(self) -> str | None:
        """Return the stable code in the answer; None: Trove itself, which has none, refused."""
        return self.facts.get('error_code')


class NotOffered(exceptions.TroveUpgradeError):
    """The service has no such resource, or not for this datastore."""

    code = 'DATABASE_RESOURCE_NOT_OFFERED'
    template = (
        'This service offers nothing for {what} (status {status}). Where another endpoint of the '
        'catalog does, name that one.'
    )


class DatabaseService(Protocol):
    """The database API.  All methods raise DatabaseServiceUnavailable where it gives no answer, and
    DatabaseServiceRefused where it does not what it is asked for.
    """

    def instance(self, instance_id: str) -> DatabaseInstance:
        """Return an instance now.

        :raises InstanceNotFound: there is none.
        """

    def instances(self) -> tuple[DatabaseInstance, ...]:
        """Return all instances of the project of the login, as a list has them."""

    def version(self, version_id: str) -> OfferedVersion:
        """Return a version of any datastore by its id.  Trove refuses an unknown one with 400."""

    def upgrade(self, instance_id: str, version_id: str) -> None:
        """Ask for an upgrade; done when it is accepted.  Where no answer came, it may have been."""

    def backups(self, instance_id: str) -> tuple[ShownBackup, ...]:
        """Return all backups of an instance.

        :raises InstanceNotFound: there is no such instance.
        :raises NotOffered: the service has none.
        """

    def backup(self, backup_id: str) -> ShownBackup:
        """Return a backup."""

    def users(self, instance_id: str) -> tuple[DatabaseUser, ...]:
        """Return all users of an instance's database.  Raises as `backups`."""

    def create_user(self, instance_id: str, name: str, password: str) -> None:
        """Make a user; done when it is accepted, and made later.  Raises as `backups`."""

    def drop_user(self, instance_id: str, name: str) -> None:
        """Drop a user, which is done later; one that is not there is no error."""

    def create_instance(self, wanted: NewInstance) -> DatabaseInstance:
        """Make an instance; it serves later.  Where no answer came, it may have been made.

        :raises NotOffered: this service makes none.
        """

    def delete_instance(self, instance_id: str) -> None:
        """Delete an instance, which is done later; one that is gone is no error.

        :raises DatabaseServiceRefused: with status 422 while Trove builds it.
        """

    def reset_status(self, instance_id: str) -> None:
        """Let Trove take an instance for one that it does not work on, so that it can be deleted;
        one that is gone is no error.
        """
