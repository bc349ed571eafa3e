# SPDX-License-Identifier: Apache-2.0
"""Settings with another default in the new server, kept at their old value where the
operator wants that.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.datastores.mysql_family import aspects, connection
from trove_upgrade.guestagent.machine import durable, untrusted_files

LOG = logs.get_logger(__name__)

#: Of distributions, read after the usual one.
_DIRECTORIES = ('mariadb.conf.d', 'mysql.conf.d')
_USUAL = 'conf.d'
FILE_NAME = 'zz-trove-upgrade-kept.cnf'

#: What changes the meaning of an application's statements.  Sizes and times of the server are the
#: new version's own business.
MEANINGFUL = (
    'character_set_server',
    'collation_server',
    'character_set_collations',
    'sql_mode',
    'old_mode',
    'tx_isolation',
    'transaction_isolation',
    'explicit_defaults_for_timestamp',
    'default_storage_engine',
    'innodb_default_row_format',
    'innodb_strict_mode',
    'innodb_snapshot_isolation',
    'div_precision_increment',
    'group_concat_max_len',
    'time_zone',
)


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Name -> old value of every meaningful setting that is another one now.

    A setting that only the new server has and that changes what the old words mean is given the
    value that means nothing.
    """
    then = {**before, **_flags_of_target(before, after)}
    found = {
        name: then[name]
        for name in MEANINGFUL
        if name in before and name in after and then[name] != after[name]
    }
    if (
        'character_set_collations' in after
        and 'character_set_collations' not in before
        and after['character_set_collations']
    ):
        found['character_set_collations'] = ''
    return found


def _flags_of_target(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """The old sql_mode without flags that the new server does not have, and would refuse all of it
    for.
    """
    if 'sql_mode' not in before:
        return {}
    known = aspects.flags(before['sql_mode'], after.get('version', ''))
    return {
        'sql_mode': ','.join(
            flag for flag in before['sql_mode'].split(',') if flag.strip().upper() in known
        )
    }


@contextlib.contextmanager
def place(mysql: pathlib.Path) -> Iterator[int | None]:
    """A descriptor of the directory below `mysql`, /etc/mysql, whose files the server reads last;
    None if there is none to write to.

    The database's user may own all of it in a container's guest, and put a link to a directory of
    root's there: none is followed.
    """
    durable.make_directory(mysql)
    with contextlib.ExitStack() as opened:
        found = None
        try:
            top = opened.enter_context(untrusted_files.directory(mysql))
            found = _first_of(_DIRECTORIES, top, opened)
            if found is None:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(_USUAL, 0o755, dir_fd=top)
                    os.fsync(top)
                found = opened.enter_context(untrusted_files.directory(_USUAL, below=top))
        except OSError as error:
            LOG.warning(
                'Settings whose default has changed are not kept: %s or %s in it is no directory, '
                'or a link (%s)',
                mysql,
                _USUAL,
                error,
            )
        yield found


def _first_of(names: Sequence[str], top: int, opened: contextlib.ExitStack) -> int | None:
    for name in names:
        with contextlib.suppress(OSError):  # it is not there, or it is a link: the next one will do
            return opened.enter_context(untrusted_files.directory(name, below=top))
    return None


def keep(session: connection.Session, former: Mapping[str, str], directory: int) -> Sequence[str]:
    """Write the settings that the running server takes into `directory`, a descriptor; each is
    tried on it first.  Safe to repeat.
    """
    taken = [name for name in former if _takes(session, name, former[name])]
    if not taken:
        return ()
    lines = [
        (
            '# Settings whose default differs between the versions, kept at their value from '
            'before the upgrade.'
        ),
        '[mysqld]',
        *(f'{name} = {_value(former[name])}' for name in taken),
    ]
    try:
        durable.write_below(directory, FILE_NAME, ('\n'.join(lines) + '\n').encode(), 0o644)
    except FileNotFoundError:
        LOG.warning(
            'Settings whose default has changed are not kept: another process has removed %s, or '
            'its directory, while it was written',
            FILE_NAME,
        )
        return ()
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
