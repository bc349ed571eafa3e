# SPDX-License-Identifier: Apache-2.0
"""An instance, its datastore and its task, as Trove's tables hold them."""

import dataclasses
import datetime
import enum


class Task(enum.IntEnum):
    """Trove's task of an instance (`instances.task_id`); names are what Trove calls them.

    Source: trove/instance/tasks.py (Trove 26).  A code that is not listed
    here is read as BUSY_OTHER.
    """

    BUSY_OTHER = 0
    NONE = 0x01
    DELETING = 0x02
    REBOOTING = 0x03
    RESIZING = 0x04
    BUILDING = 0x05
    MIGRATING = 0x06
    RESTART_REQUIRED = 0x07
    PROMOTING = 0x08
    EJECTING = 0x09
    LOGGING = 0x0A
    DETACHING = 0x0B
    UPDATING = 0x0C
    BUILDING_ERROR_DNS = 0x50
    BUILDING_ERROR_SERVER = 0x51
    BUILDING_ERROR_VOLUME = 0x52
    BUILDING_ERROR_SEC_GROUP = 0x53
    BUILDING_ERROR_REPLICA = 0x54
    PROMOTION_ERROR = 0x55
    EJECTION_ERROR = 0x56
    GROWING_ERROR = 0x57
    SHRINKING_ERROR = 0x58
    UPGRADING = 0x59
    UPGRADING_ERROR = 0x5A
    BUILDING_ERROR_TIMEOUT_GA = 0x5B
    BUILDING_ERROR_PORT = 0x5C
    UPDATING_ERROR_ACCESS = 0x5D


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatastoreVersion:
    """A version of a datastore: what a guest of it is booted from."""

    id: str
    datastore_id: str
    datastore_name: str
    name: str
    version: str | None  #: the number, where Trove's column has one; the name may be anything
    manager: str  #: which guest driver serves it, e.g. mariadb
    image_id: str | None
    image_tags: tuple[str, ...]
    packages: str
    active: bool

    @property
    def number(self) -> str:
        """Return what to compare: Trove's `version` column where it is set, else the name."""
        return self.version or self.name


@dataclasses.dataclass(frozen=True)
class GuestClasses:
    """Classes that Trove's agent loads for a version, as guest_info.conf names it;
    None: this Trove has no such setting.
    """

    #: datastore_registry_ext, with its manager in front: 'mariadb:trove.guestagent…Manager'
    registry_ext: str | None
    repl_strategy: str | None  #: replication_strategy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Holder:
    """Holder of an instance, re-read before anything that cannot be taken back: Trove
    saves whole stale objects.
    """

    task: Task
    version_id: str | None  #: None once Trove has deleted it
    deleted: bool
    backup_running: bool

    @property
    def is_going(self) -> bool:
        """Deleted, or being deleted, which Trove never takes back."""
        return self.deleted or self.task is Task.DELETING


class ServiceStatus(enum.StrEnum):
    """Statuses of a database, as Trove calls them. Source: trove/instance/service_status.py (Trove
    26).
    """

    UPGRADING = 'upgrading'
    HEALTHY = 'healthy'
    SHUTDOWN = 'shutdown'
    RESTART_REQUIRED = 'restart required'
    UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True)
class StatusReport:
    """State of the database as Trove's conductor was last told it."""

    description: str  #: 'healthy', 'shutdown', ...
    updated_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True)
class Datastore:
    """Kind of database, as Trove lists it, with its default version."""

    id: str
    name: str
    default_version_id: str | None


@dataclasses.dataclass(frozen=True)
class Fault:
    """Reason for an instance's state ERROR, as Trove's `instance_faults` keeps it."""

    message: str
    details: str | None
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instance:
    """A row of Trove's `instances`, as it was when read, with what stands beside it."""

    id: str
    name: str
    project_id: str  #: Trove's tenant_id
    server_id: str | None  #: Trove's compute_instance_id
    volume_id: str | None
    volume_size_gb: int | None
    flavor_id: str | None
    hostname: str | None
    region: str | None
    version: DatastoreVersion
    task: Task
    created_at: datetime.datetime
    updated_at: datetime.datetime
    cluster_id: str | None = None
    replica_of_id: str | None = None
    configuration_id: str | None = None
    deleted: bool = False
    service_status: str | None = None  #: Trove's service_statuses description, e.g. 'healthy'
    service_status_updated_at: datetime.datetime | None = None
    backup_running: bool = False
    fault: Fault | None = None
    replica_ids: tuple[str, ...] = ()
