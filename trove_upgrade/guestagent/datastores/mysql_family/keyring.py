# SPDX-License-Identifier: Apache-2.0
"""Stores of keys that are components of MySQL 8.0.24 and later: neither an option nor a table names
them.

Source: MySQL 9 Reference Manual, "Keyring Component Installation": a manifest beside the server's
program, or in the data directory where that one allows it, and the component's own settings in the
plugin directory, or in the data directory likewise.
"""

from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import checks, connection

NAME = 'keyring'
_STATUS = 'SELECT STATUS_KEY, STATUS_VALUE FROM performance_schema.keyring_component_status'
_NO_SUCH_TABLE = 1146


def keyring(probe: checks.Probe) -> CheckResult:
    """Refuse one: its manifest is in a place of programs, where nothing comes back to, and without
    its keys no encrypted table opens.
    """
    found = _status(probe.session)
    component = found.get('Implementation_name') or found.get('Component_name')
    if found.get('Component_status', '').upper() != 'ACTIVE':
        return CheckResult.ok(NAME, 'No component keeps keys for the server.')
    place = found.get('Data_file')
    return CheckResult.refused(
        NAME,
        (
            f'The server cannot be upgraded: component {component} keeps its '
            f'keys{f" in {place}" if place else ""}, and its manifest and its settings lie among '
            'the programs of the root disk. Without them no encrypted table can be read. Decrypt '
            'the tables, or move the keys to a keyring that an option file configures, and '
            'upgrade again. Never remove the component before that.'
        ),
        'KEYRING_COMPONENT',
    )


def _status(session: connection.Session) -> dict[str, str]:
    try:
        return {str(key): str(value) for key, value in session.rows(_STATUS)}
    except connection.SessionError as error:
        if error.number == _NO_SUCH_TABLE:  # MariaDB has none, nor has MySQL before 8.0.24
            return {}
        raise
