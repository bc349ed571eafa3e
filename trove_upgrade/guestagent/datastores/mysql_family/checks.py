# SPDX-License-Identifier: Apache-2.0
"""Checks of the running server: what would make an upgrade fail, or lose something, looked at while
it serves.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence

from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    catalog,
    connection,
    option_files,
    server_process,
    versions,
)
from trove_upgrade.guestagent.datastores.mysql_family.dialect import SYSTEM_SCHEMAS

_BACKUP_PROGRAMS = frozenset(
    {
        'mariabackup',
        'mariadb-backup',
        'xtrabackup',
        'innobackupex',
        'mysqldump',
        'mariadb-dump',
        'mydumper',
        'mysqlpump',
    }
)
#: As mysqldump and its like read a table.  Others write SQL_NO_CACHE without the comment.
_DUMPED = 'SELECT /*!40001 SQL_NO_CACHE */%'
_NAMED = 5
_COMM_LENGTH = 15  #: the kernel keeps no more of a program's name
_ALWAYS_FREE_BYTES = 256 << 20
#: From here on the end of time in versioned tables is 2106 instead of 2038, and mariadb-upgrade
#: rebuilds them.
_TABLES_REBUILT_SINCE = (11, 5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """Subject of the checks: a server's session, its option files, and the target."""

    context: base.DriverContext
    session: connection.Session
    configuration: option_files.Configuration
    version: str
    target: TargetFacts
    options: GuestOptions
    proc: pathlib.Path
    #: of the server; None in a container, which is made again with its own
    process: server_process.ServerProcess | None = None


Check = Callable[[Probe], CheckResult]


def target_version(probe: Probe) -> CheckResult:
    """A data directory does not go back to an older series, nor everywhere to an older release."""
    return versions.check_target(probe.version, probe.target.server_version)


def prepared_transactions(probe: Probe) -> CheckResult:
    """Check prepared XA transactions: they hold locks over a restart, and their coordinator expects
    the server that it knew.
    """
    name = 'prepared_transactions'
    prepared = probe.session.rows('XA RECOVER')
    if prepared:
        return CheckResult.refused(
            name,
            (
                f'The server cannot be stopped for an upgrade: {len(prepared)} XA transactions are '
                'prepared. Commit or roll them back (XA RECOVER lists them) and upgrade again.'
            ),
            Code.PREPARED_TRANSACTIONS,
        )
    return CheckResult.ok(name, 'No XA transaction is prepared.')


def backup(probe: Probe) -> CheckResult:
    """A backup of half of the old and half of the new is none."""
    name = 'backup_running'
    short = {program[:_COMM_LENGTH] for program in _BACKUP_PROGRAMS}
    running = sorted(
        f'{comm} (process {pid})' for pid, comm in _processes(probe.proc) if comm in short
    )
    statements = probe.session.rows(
        'SELECT ID, USER FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() '
        "AND (INFO LIKE 'BACKUP %%' OR INFO LIKE %s)",
        (_DUMPED,),
    )
    running += [f'connection {number} of {user}' for number, user in statements]
    if running:
        return CheckResult.refused(
            name,
            (
                'The server cannot be stopped for an upgrade: a backup seems to run: '
                f'{", ".join(running)}. Wait for its end and upgrade again.'
            ),
            Code.BACKUP_RUNNING,
        )
    return CheckResult.ok(name, 'No backup runs.')


def replication(probe: Probe) -> CheckResult:
    """A replica of an older version cannot follow a newer primary, and a cluster is not upgraded
    one by one by us.
    """
    name = 'replication'
    found = []
    dumps = probe.session.rows(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%%'"
    )[0][0]
    if dumps:
        found.append(f'{dumps} replicas read from it')
    if _is_replica(probe.session):
        found.append('it is a replica of another server')
    galera = dict(probe.session.rows("SHOW GLOBAL VARIABLES LIKE 'wsrep_on'"))
    if str(galera.get('wsrep_on', 'OFF')).upper() in {'ON', '1'}:
        found.append('it is a member of a Galera cluster')
    if not found:
        return CheckResult.ok(name, 'The server takes no part in replication.')
    facts = ', '.join(found)
    if probe.options.allow_replication:
        return CheckResult.warning(
            name,
            (
                f'Replication may break: {facts}. The upgrade goes on because it was asked to; '
                'look at the other servers afterwards.'
            ),
            'REPLICATION',
        )
    return CheckResult.refused(
        name,
        (
            f'The server cannot be upgraded without risk to replication: {facts}. Upgrade replicas '
            'first and take this server out of replication, or have the operator allow it.'
        ),
        'REPLICATION',
    )


def disk_space(probe: Probe) -> CheckResult:
    """Room for the stash, the new server's own files, and a copy of the largest table that is
    rebuilt.
    """
    name, needed = 'disk_space', needed_bytes(probe)
    volume = os.statvfs(probe.context.volume)
    free = volume.f_bavail * volume.f_frsize
    if free < needed:
        return CheckResult.refused(
            name,
            (
                f'The volume is too full for an upgrade: {free >> 20} MiB are free and '
                f'{needed >> 20} MiB are needed. Delete data or resize the volume and upgrade '
                'again.'
            ),
            'DISK_SPACE',
        )
    return CheckResult.ok(
        name, f'{free >> 20} MiB of the volume are free, {needed >> 20} MiB are needed.'
    )


def needed_bytes(probe: Probe) -> int:
    """Return what `disk_space` wants to be free."""
    needed = _ALWAYS_FREE_BYTES
    target_series = versions.series(probe.target.server_version)
    if versions.series(probe.version) < _TABLES_REBUILT_SINCE <= target_series:
        far = catalog.far_tables(probe.session)
        largest = probe.session.rows(
            'SELECT COALESCE(MAX(DATA_LENGTH + INDEX_LENGTH), 0) FROM information_schema.TABLES '
            f"WHERE TABLE_TYPE = 'SYSTEM VERSIONED'{catalog.leaving_out(far)}"
        )[0][0]
        needed += int(largest)
    return max(needed, int(probe.options.min_free_bytes))


def clean_stop(probe: Probe) -> CheckResult:
    """A server in forced recovery or read-only mode cannot end in a state that a newer one
    accepts.
    """
    name = 'clean_shutdown'
    rows = probe.session.rows(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_force_recovery', 'innodb_read_only')"
    )
    found = {str(variable): str(value).upper() for variable, value in rows}
    if found.get('innodb_force_recovery', '0') != '0' or found.get('innodb_read_only', 'OFF') in {
        'ON',
        '1',
    }:
        return CheckResult.refused(
            name,
            (
                'The server cannot be shut down cleanly: innodb_force_recovery is '
                f'{found.get("innodb_force_recovery")}, innodb_read_only is '
                f'{found.get("innodb_read_only")}. Repair the data first and upgrade again.'
            ),
            Code.UNCLEAN_SHUTDOWN,
        )
    return CheckResult.ok(name, 'The server can be shut down cleanly.')


def statements(probe: Probe) -> CheckResult:
    """Check for long statements: they hold up the lock that the fingerprint needs."""
    name, limit = 'running_statements', int(probe.options.lock_seconds or 30)
    rows = probe.session.rows(
        "SELECT ID, USER, TIME FROM information_schema.PROCESSLIST WHERE COMMAND = 'Query' AND ID "
        "<> CONNECTION_ID() AND USER <> 'system user' AND TIME > %s ORDER BY TIME DESC LIMIT 3",
        (limit,),
    )
    if rows:
        found = ', '.join(
            f'connection {number} of {user} for {seconds} s' for number, user, seconds in rows
        )
        return CheckResult.warning(
            name,
            (
                f'The upgrade may be refused: statements have been running for more than {limit} s '
                f'({found}). Wait for their end or stop them.'
            ),
            Code.DATABASE_BUSY,
        )
    return CheckResult.ok(name, 'No statement has been running for long.')


def tables_in_memory(probe: Probe) -> CheckResult:
    """Each stop of the server empties them: a loss that no upgrade is meant to bring."""
    name = 'tables_in_memory'
    rows = probe.session.rows(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE ENGINE = 'MEMORY' "
        f'AND TABLE_SCHEMA NOT IN ({", ".join(repr(schema) for schema in SYSTEM_SCHEMAS)}) '
        'ORDER BY 1, 2'
    )
    if not rows:
        return CheckResult.ok(name, 'No table is kept in memory alone.')
    named = ', '.join(f'{schema}.{table}' for schema, table in rows[:_NAMED])
    more = f' and {len(rows) - _NAMED} more' if len(rows) > _NAMED else ''
    return CheckResult.warning(
        name,
        (
            f'The rows of {named}{more} will be gone after the upgrade, as after every restart: '
            'ENGINE=MEMORY keeps them in memory alone. The tables themselves stay; copy their '
            'rows elsewhere where they are needed.'
        ),
        'TABLES_IN_MEMORY',
    )


ALL: Sequence[Check] = (
    target_version,
    disk_space,
    prepared_transactions,
    backup,
    replication,
    clean_stop,
    statements,
    tables_in_memory,
)


def _is_replica(session: connection.Session) -> bool:
    for statement in ('SHOW ALL SLAVES STATUS', 'SHOW REPLICA STATUS', 'SHOW SLAVE STATUS'):
        try:
            return bool(session.rows(statement))
        except connection.SessionError as error:
            if error.number in connection.CONNECTION_LOST:
                raise
    return False


def _processes(proc: pathlib.Path) -> Sequence[tuple[int, str]]:
    found = []
    for directory in proc.iterdir():
        if directory.name.isdigit():
            try:
                found.append(
                    (int(directory.name), (directory / 'comm').read_text(errors='replace').strip())
                )
            except OSError:
                continue  # it has ended meanwhile
    return found
