# SPDX-License-Identifier: Apache-2.0
"""The two statuses of an instance, computed as Trove does: its task first, then a backup,
then the server.

Source: trove/instance/models.py (SimpleInstance.status), trove/instance/service_status.py.
"""

from trove_upgrade.domain import instances

_OF_TASK = {
    instances.Task.BUILDING: 'BUILD',
    instances.Task.REBOOTING: 'REBOOT',
    instances.Task.RESIZING: 'RESIZE',
    instances.Task.UPGRADING: 'UPGRADE',
    instances.Task.PROMOTING: 'PROMOTE',
    instances.Task.EJECTING: 'EJECT',
    instances.Task.DETACHING: 'DETACH',
    instances.Task.DELETING: 'SHUTDOWN',
    instances.Task.BUSY_OTHER: 'UNKNOWN',
}

_OF_SERVER = {
    'BUILD': 'BUILD',
    'ERROR': 'ERROR',
    'REBOOT': 'REBOOT',
    'RESIZE': 'RESIZE',
    'ACTIVE': 'ACTIVE',
    'SHUTDOWN': 'SHUTDOWN',
    'VERIFY_RESIZE': 'RESIZE',
}

#: service_statuses.status_description -> operating_status.
_OF_SERVICE = {
    'running': 'ACTIVE',
    'healthy': 'HEALTHY',
    'blocked': 'BLOCKED',
    'paused': 'SHUTDOWN',
    'shutdown': 'SHUTDOWN',
    'crashed': 'SHUTDOWN',
    'failed to spawn': 'FAILED',
    'building': 'BUILD',
    'promoting replica': 'PROMOTE',
    'ejecting replica source': 'EJECT',
    'transferring guest logs': 'LOGGING',
    'unknown': 'ERROR',
    'new': 'NEW',
    'deleted': 'DELETED',
    'guestagent error': 'ERROR',
    'instance ready': 'BUILD',
    'restart required': 'RESTART_REQUIRED',
    'upgrading': 'UPGRADING',
    'restarting': 'RESTARTING',
}


def status(instance: instances.Instance, server_status: str | None) -> str:
    """`server_status` is Nova's, '' for a server that Nova does not have,
    None where Nova was not heard.
    """
    if instance.task.name.endswith('_ERROR') or instance.task.name.startswith('BUILDING_ERROR'):
        return 'ERROR'
    if instance.task in _OF_TASK:
        return _OF_TASK[instance.task]
    if instance.backup_running:
        return 'BACKUP'
    if server_status is None:
        return 'ACTIVE'
    if not server_status:
        return 'SHUTDOWN'
    return _OF_SERVER.get(server_status, 'UNKNOWN')


def operating_status(instance: instances.Instance, server_status: str | None) -> str:
    """Return what the guest says of its database; '' while anything else is going on."""
    if (
        instance.task is not instances.Task.NONE
        or server_status not in {None, 'ACTIVE'}
        or not instance.service_status
    ):
        return ''
    return _OF_SERVICE.get(instance.service_status.lower(), instance.service_status.upper())
