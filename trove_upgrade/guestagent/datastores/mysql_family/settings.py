# SPDX-License-Identifier: Apache-2.0
"""Settings whose default is another one in the new server, kept at their old value where the operator wants that."""
import pathlib
from collections.abc import Mapping, Sequence

from trove_upgrade.guestagent import durable
from trove_upgrade.guestagent.datastores.mysql_family import connection

FILE_NAME = 'zz-trove-upgrade-kept.cnf'

#: What changes the meaning of an application's statements.  Sizes and times of the server are the new version's own business.
MEANINGFUL = ('character_set_server', 'collation_server', 'character_set_collations', 'sql_mode', 'old_mode', 'tx_isolation',
              'transaction_isolation', 'explicit_defaults_for_timestamp', 'default_storage_engine', 'innodb_default_row_format',
              'innodb_strict_mode', 'innodb_snapshot_isolation', 'div_precision_increment', 'group_concat_max_len', 'time_zone')


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Name -> old value of every meaningful setting that is another one now.

    A setting that only the new server has and that changes what the old words mean is given the value that means nothing.
    """
    found = {name: before[name] for name in MEANINGFUL if name in before and name in after and before[name] != after[name]}
    if 'character_set_collations' in after and 'character_set_collations' not in before and after['character_set_collations']:
        found['character_set_collations'] = ''
    return found


def keep(session: connection.Session, wanted: Mapping[str, str], directory: pathlib.Path) -> Sequence[str]:
    """Write the settings that the running server takes into `directory`; each is tried on it first.  Safe to repeat."""
    taken = [name for name in wanted if _takes(session, name, wanted[name])]
    path = directory / FILE_NAME
    if not taken:
        return ()
    lines = ['# Settings whose default differs between the versions, kept at their value from before the upgrade.', '[mysqld]',
             *(f'{name} = {_value(wanted[name])}' for name in taken)]
    durable.make_directory(directory)
    durable.write(path, ('\n'.join(lines) + '\n').encode(), 0o644)
    return taken


def _takes(session: connection.Session, name: str, value: str) -> bool:
    try:
        session.rows(f'SET GLOBAL {name} = %s', (value,))
    except connection.SessionError as error:
        if error.number in connection.CONNECTION_LOST:
            raise
        return False
    return True


def _value(value: str) -> str:
    return f'"{value}"' if value == '' or ' ' in value or '#' in value else value
