# SPDX-License-Identifier: Apache-2.0
"""The two statuses of an instance, computed as Trove does: its task first, then a backup,
then the server.

Source: trove/instance/models.py (SimpleInstance.status), trove/instance/service_status.py.
"""

from trove_upgrade.domain import instance

_OF_TASK = {
    instance.Task.BUILDING: 'BUILD',
    instance.Task.REBOOTING: 'REBOOT',
    instance.Task.RESIZING: 'RESIZE',
    instance.Task.UPGRADING: 'UPGRADE',
    instance.Task.PROMOTING: 'PROMOTE',
    instance.Task.EJECTING: 'EJECT',
    instance.Task.DETACHING: 'DETACH',
    instance.Task.DELETING: 'SHUTDOWN',
    instance.Task.BUSY_OTHER: 'UNKNOWN',
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


def status(row: instance.Instance, server_status: str | None) -> str:
    """`server_status` is Nova's, '' for a server that Nova does not have,
    None where Nova was not heard.
    """
    if row.task.name.endswith('_ERROR') or row.task.name.startswith('BUILDING_ERROR'):
        return 'ERROR'
    if row.task in _OF_TASK:
        return _OF_TASK[row.task]
    if row.backup_running:
        return 'BACKUP'
    if server_status is None:
        return 'ACTIVE'
    if not server_status:
        return 'SHUTDOWN'
    return _OF_SERVER.get(server_status, 'UNKNOWN')


def operating_status(row: instance.Instance, server_status: str | None) -> str:
    """Return what the guest says of its database; '' while anything else is going on."""
    if (
        row.task is not instance.Task.NONE
        or server_status not in {None, 'ACTIVE'}
        or not row.service_status
    ):
        return ''
    return _OF_SERVICE.get(row.service_status.lower(), row.service_status.upper())
