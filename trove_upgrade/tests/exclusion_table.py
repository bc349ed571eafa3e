# SPDX-License-Identifier: Apache-2.0
"""Trove's own actions against an instance in the middle of an upgrade: what Trove lets through, and
what then must come of it.

Data alone: the unit tests write what Trove's action writes, a test on real Trove sends the
request.  doc/source/admin/exclusion.rst is the same table for operators.  Source of what is checked
and written: trove/instance/{models,service}.py, trove/extensions/mgmt/instances/service.py,
trove/configuration/service.py, trove/backup/models.py of Trove 26.0.0.
"""

import dataclasses
import enum

from trove_upgrade.domain.instances import Task

#: A version that is neither the former one nor the target.
OTHER_VERSION = 'another version'


class Group(enum.StrEnum):
    """Where the upgrade stands when the action comes."""

    CHECKING = 'checking'  #: precheck: the guest has not been touched
    STOPPED = 'stopped'  #: quiesce has ended; no rebuild has been asked for
    #: the guest answers that it still is stopped, directly before the rebuild; ends as STOPPED
    ASKED_AGAIN = 'asked_again'
    REBUILDING = 'rebuilding'  #: Nova has accepted the rebuild, until the new guest has spoken
    RESTORING = 'restoring'  #: restore and verify


@dataclasses.dataclass(frozen=True)
class End:
    """What is seen in the end."""

    state: str  #: of the upgrade
    code: str | None
    task: Task | None  #: of the instance; None: its row is deleted
    version: str  #: 'former', 'target', 'theirs' or 'none'
    rebuilds: int  #: that were asked for
    undone: bool = False  #: the former guest was told to serve again


@dataclasses.dataclass(frozen=True)
class Action:
    """One of Trove's own."""

    name: str
    method: str
    path: str  #: below /v1.0/{project}; {id} is the instance
    body: dict | None
    admin: bool = False
    refused: bool = False  #: Trove answers 422 while the task is UPGRADING
    writes: dict = dataclasses.field(
        default_factory=dict
    )  #: what it writes into the row of the instance
    ends: dict = dataclasses.field(default_factory=dict)  #: by group


_RESET_ENDS = {
    Group.CHECKING: End('ABORTED', 'INSTANCE_CHANGED', Task.NONE, 'former', 0),
    Group.STOPPED: End('ABORTED', 'INSTANCE_CHANGED', Task.NONE, 'former', 0, undone=True),
    Group.ASKED_AGAIN: End('ABORTED', 'INSTANCE_CHANGED', Task.NONE, 'former', 0, undone=True),
    Group.REBUILDING: End('COMPLETED', None, Task.NONE, 'target', 1),
    Group.RESTORING: End('COMPLETED', None, Task.NONE, 'target', 1),
}
_DELETED_ENDS = {
    Group.CHECKING: End('FAILED', 'INSTANCE_DELETED', None, 'none', 0),
    Group.STOPPED: End('FAILED', 'INSTANCE_DELETED', None, 'none', 0),
    Group.ASKED_AGAIN: End('FAILED', 'INSTANCE_DELETED', None, 'none', 0),
    Group.REBUILDING: End('FAILED', 'INSTANCE_DELETED', None, 'none', 1),
    Group.RESTORING: End('FAILED', 'INSTANCE_DELETED', None, 'none', 1),
}


def _taken(task: Task) -> dict:
    """Another action's task stands and stays; what serves is told all the same."""
    return {
        Group.CHECKING: End('FAILED', 'INSTANCE_CHANGED', task, 'former', 0),
        Group.STOPPED: End('FAILED', 'INSTANCE_CHANGED', task, 'former', 0, undone=True),
        Group.ASKED_AGAIN: End('FAILED', 'INSTANCE_CHANGED', task, 'former', 0, undone=True),
        Group.REBUILDING: End('FAILED', 'INSTANCE_CHANGED', task, 'target', 1),
        Group.RESTORING: End('FAILED', 'INSTANCE_CHANGED', task, 'target', 1),
    }


_INSTANCE = '/instances/{id}'
_ACTION = '/instances/{id}/action'
_MGMT = '/mgmt/instances/{id}/action'

ACTIONS = (
    Action(
        'resize_flavor', 'POST', _ACTION, {'resize': {'flavorRef': '{other_flavor}'}}, refused=True
    ),
    Action('resize_volume', 'POST', _ACTION, {'resize': {'volume': {'size': 2}}}, refused=True),
    Action('restart', 'POST', _ACTION, {'restart': {}}, refused=True),
    Action(
        'backup_create',
        'POST',
        '/backups',
        {'backup': {'name': 'b', 'instance': '{id}'}},
        refused=True,
    ),
    Action('migrate', 'POST', _MGMT, {'migrate': {}}, admin=True, refused=True),
    Action('promote', 'POST', _ACTION, {'promote_to_replica_source': {}}, refused=True),
    Action('detach_replica', 'PUT', _INSTANCE, {'instance': {'replica_of': ''}}, refused=True),
    Action(
        'configuration_attach',
        'PUT',
        _INSTANCE,
        {'instance': {'configuration': '{configuration}'}},
        refused=True,
    ),
    Action(
        'reset_status',
        'POST',
        _ACTION,
        {'reset_status': {}},
        admin=True,
        writes={'task_id': Task.NONE},
        ends=_RESET_ENDS,
    ),
    Action(
        'reset_task_status',
        'POST',
        _MGMT,
        {'reset-task-status': {}},
        admin=True,
        writes={'task_id': Task.NONE},
        ends=_RESET_ENDS,
    ),
    Action(
        'reboot',
        'POST',
        _MGMT,
        {'reboot': {}},
        admin=True,
        writes={'task_id': Task.REBOOTING},
        ends=_taken(Task.REBOOTING),
    ),
    Action(
        'rebuild',
        'POST',
        _MGMT,
        {'rebuild': {'image_id': '{image}'}},
        admin=True,
        writes={'task_id': Task.BUILDING},
        ends=_taken(Task.BUILDING),
    ),
    Action(
        'eject',
        'POST',
        _ACTION,
        {'eject_replica_source': {}},
        writes={'task_id': Task.EJECTING},
        ends=_taken(Task.EJECTING),
    ),
    Action(
        'promote_another',
        'POST',
        _ACTION,
        {'promote_to_replica_source': {}},
        writes={'task_id': Task.PROMOTING},
        ends=_taken(Task.PROMOTING),
    ),
    Action(
        'access',
        'PUT',
        _INSTANCE,
        {'instance': {'access': {'is_public': True}}},
        writes={'task_id': Task.UPDATING},
        ends=_taken(Task.UPDATING),
    ),
    Action(
        'configuration_group',
        'PUT',
        '/configurations/{configuration}',
        {'configuration': {'values': {'max_connections': 50}}},
        writes={'task_id': Task.RESTART_REQUIRED},
        ends=_taken(Task.RESTART_REQUIRED),
    ),
    Action(
        'own_upgrade',
        'PATCH',
        _INSTANCE,
        {'instance': {'datastore_version': '{other_version}'}},
        writes={'task_id': Task.UPGRADING, 'datastore_version_id': OTHER_VERSION},
        ends={
            Group.CHECKING: End('FAILED', 'INSTANCE_CHANGED', Task.UPGRADING, 'theirs', 0),
            Group.STOPPED: End(
                'FAILED', 'INSTANCE_CHANGED', Task.UPGRADING, 'theirs', 0, undone=True
            ),
            Group.ASKED_AGAIN: End(
                'FAILED', 'INSTANCE_CHANGED', Task.UPGRADING, 'theirs', 0, undone=True
            ),
            Group.REBUILDING: End('FAILED', 'INSTANCE_CHANGED', Task.UPGRADING, 'theirs', 1),
            Group.RESTORING: End('FAILED', 'INSTANCE_CHANGED', Task.UPGRADING, 'theirs', 1),
        },
    ),
    Action(
        'delete_under_way',
        'DELETE',
        _INSTANCE,
        None,
        writes={'task_id': Task.DELETING},
        ends={
            Group.CHECKING: End('FAILED', 'INSTANCE_CHANGED', Task.DELETING, 'former', 0),
            Group.STOPPED: End('FAILED', 'INSTANCE_CHANGED', Task.DELETING, 'former', 0),
            Group.ASKED_AGAIN: End('FAILED', 'INSTANCE_CHANGED', Task.DELETING, 'former', 0),
            Group.REBUILDING: End('FAILED', 'INSTANCE_CHANGED', Task.DELETING, 'former', 1),
            Group.RESTORING: End('FAILED', 'INSTANCE_CHANGED', Task.DELETING, 'former', 1),
        },
    ),
    Action(
        'deleted',
        'DELETE',
        _INSTANCE,
        None,
        writes={'task_id': Task.NONE, 'deleted': True, 'datastore_version_id': None},
        ends=_DELETED_ENDS,
    ),
)
