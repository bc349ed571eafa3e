# SPDX-License-Identifier: Apache-2.0
"""Two fingerprints beside each other: what is gone, and which settings have another value now."""

from collections.abc import Iterator, Mapping, Sequence

from trove_upgrade.domain.notes import SettingChange
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    aspects,
    foreign_servers,
    grants,
    isolated,
    structure,
    versions,
)
from trove_upgrade.guestagent.datastores.table_facts import RowFacts, TableFacts

#: Different after every start, or because the first start is isolated, or only a name of the
#: program itself.
_VOLATILE = frozenset(
    {
        'skip_networking',
        'skip_slave_start',
        'persisted_globals_load',
        'skip_replica_start',
        'hostname',
        'pid_file',
        'timestamp',
        'server_uid',
        'last_insert_id',
        'identity',
        'rand_seed1',
        'rand_seed2',
        'pseudo_thread_id',
        'uptime',
        'innodb_version',
        'in_transaction',
        'port',
        'report_port',
        'character_sets_dir',
        'lc_messages_dir',
        'basedir',
        'plugin_dir',
        'back_log',
        'host_cache_size',
        'thread_cache_size',
        'innodb_log_write_ahead_size',
        'innodb_buffer_pool_load_at_startup',
        'log_bin_basename',
        'server_uuid',
        'secure_timestamp',
        'license',
        'last_gtid',
    }
)
#: MariaDB's first series that keeps accounts as JSON.
_JSON_SINCE = (10, 4)
#: Accounts that a server makes for itself, locks, and changes as it needs.  Sources: MySQL 9.4
#: Reference Manual, "Reserved Accounts"; MariaDB Knowledge Base, "mysql.user Table".
_OF_THE_SERVER = frozenset(
    {
        'mysql.sys@localhost',
        'mysql.session@localhost',
        'mysql.infoschema@localhost',
        'mariadb.sys@localhost',
    }
)
_AUTHENTICATION, _DEFINITION = 'authentication', 'definition'  #: aspects
_VOLATILE_PREFIXES = (
    'version',
    'gtid_',
    'protocol_version',
    'error_count',
    'warning_count',
    'performance_schema',
)


def compare(before: base.Fingerprint, after: base.Fingerprint) -> base.Comparison:
    """Return what was lost between the two.  More in `after` is no loss: a newer server brings
    objects and privileges of its own.
    """
    missing: list[str] = []
    not_compared: list[str] = []
    compared, rows = 0, 0
    for name, old in before.tables.items():
        new = after.tables.get(name)
        if new is None:
            missing.append(f'{old.kind} {name} is gone')
            continue
        found = _table(name, old, new)
        missing.extend(found)
        if old.rows.count is None or new.rows.count is None or _summed_otherwise(old, new):
            not_compared.append(name)
        else:
            compared += 1
            rows += old.rows.count
    missing.extend(_gone_accounts(before, after))
    missing.extend(_objects(before, after))
    missing.extend(_lost_grants(before, after))
    return base.Comparison(
        missing=missing,
        settings_changed=settings_changed(before.settings, after.settings),
        tables_compared=compared,
        rows_compared=rows,
        not_compared=not_compared,
    )


def settings_changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[SettingChange]:
    """Global variables that both servers have and that differ, but for those that differ after
    every start.
    """
    return [
        SettingChange(name=name, before=before[name], after=after[name])
        for name in sorted(before)
        if name in after
        and before[name] != after[name]
        and name not in _VOLATILE | isolated.VARIABLES
        and not name.startswith(_VOLATILE_PREFIXES)
    ]


def _table(name: str, old: TableFacts, new: TableFacts) -> Sequence[str]:
    found = []
    if old.kind != new.kind:
        found.append(f'{name} was a {old.kind} and is a {new.kind} now')
    if old.columns and new.columns and old.columns != new.columns:
        found.append(f'{old.kind} {name} has other columns now')
    differs = bool(found)
    if old.kind == new.kind:
        found.extend(
            f'{old.kind} {name} {lost}' for lost in structure.lost(old.structure, new.structure)
        )
    counts = [
        f'{old.kind} {name} had {then} {word} and has {now} now'
        for then, now, word in (
            (old.rows.count, new.rows.count, 'rows'),
            (old.rows.history, new.rows.history, 'rows of history'),
        )
        if then is not None and now is not None and then != now
    ]
    found.extend(counts)
    if not differs and not counts:
        found.extend(f'{old.kind} {name} {changed}' for changed in _values(old.rows, new.rows))
    return found


def _values(old: RowFacts, new: RowFacts) -> Iterator[str]:
    """Yield which values are others, of as many rows."""
    if (
        old.checksum_of == new.checksum_of
        and old.checksum is not None
        and new.checksum is not None
        and old.checksum != new.checksum
    ):
        yield f'has another checksum: {old.checksum} before, {new.checksum} now'
    elif old.checksum_of_all and new.checksum_of_all and old.checksum_of_all != new.checksum_of_all:
        yield 'has other values in its invisible columns now'


def _summed_otherwise(old: TableFacts, new: TableFacts) -> bool:
    """An agent of the release before took another checksum."""
    return old.rows.checksum_of != new.rows.checksum_of


def _account(name: str) -> str:
    """The name of an account that a server's upgrade does not change: hosts become lower case.

    Source: MariaDB's mysql_system_tables_fix.sql and MySQL's mysql_system_tables_fix.sql,
    "host=LOWER( host )".  Agents of the first releases took a role of the mysql.user table for an
    account without a host.
    """
    user, at, host = name.rpartition('@')
    return f'{user}@{host.lower()}' if at and host else user if at else name


def _gone_accounts(before: base.Fingerprint, after: base.Fingerprint) -> Iterator[str]:
    there = {_account(name) for name in after.users}
    for name in before.users:
        if _account(name) not in there | _OF_THE_SERVER:
            yield f'account {name} is gone'


def _lost_grants(before: base.Fingerprint, after: base.Fingerprint) -> Iterator[str]:
    """Yield what accounts that are in both have lost."""
    granted = {_account(name): statements for name, statements in after.grants.items()}
    for name, statements in before.grants.items():
        if _account(name) in granted and _account(name) not in _OF_THE_SERVER:
            for lost in grants.missing(statements, granted[_account(name)], before.server_version):
                yield f'account {name} has lost {lost}'


def _objects(before: base.Fingerprint, after: base.Fingerprint) -> Sequence[str]:
    found: list[str] = []
    former, present = _aspects(before), _aspects(after)
    for key, definition in before.objects.items():
        kind, _, name = key.partition(':')
        if aspects.is_one(key) or (kind == aspects.ACCOUNT and _account(name) in _OF_THE_SERVER):
            continue
        place = _place(kind, name)
        known = place in former and place in present
        if known:
            changed = aspects.differences(former[place], present[place], after.server_version)
            found.extend(_sentence(kind, name, aspect) for aspect in changed)
        elif kind != aspects.ACCOUNT and key not in after.objects:
            found.append(f'{kind} {name} is gone')
        elif (
            _is_shown_alike(kind, before.server_version, after.server_version)
            and after.objects.get(key, definition) != definition
        ):
            found.append(
                _sentence(kind, name, _AUTHENTICATION if kind == aspects.ACCOUNT else _DEFINITION)
            )
    found.extend(_foreign_servers(former, present))
    return found


def _foreign_servers(
    former: Mapping[str, Mapping[str, str]], present: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """Yield what differs in definitions of other servers, where both agents knew them."""
    then, now = (foreign_servers.of(found) for found in (former, present))
    if then is None or now is None:
        return
    for name in sorted(then):
        if name not in now:
            yield f'{foreign_servers.KIND} {name} is gone'
        elif now[name] != then[name]:
            yield f'{foreign_servers.KIND} {name} has another definition now'


def _aspects(fingerprint: base.Fingerprint) -> dict[str, Mapping[str, str]]:
    return {
        _place(*key.split(':', 1)): found for key, found in aspects.of(fingerprint.objects).items()
    }


def _place(kind: str, name: str) -> str:
    return f'{kind}:{_account(name) if kind == aspects.ACCOUNT else name}'


def _sentence(kind: str, name: str, aspect: str) -> str:
    return (
        f'account {name} authenticates in another way now'
        if aspect == _AUTHENTICATION
        else f'{kind} {name} has another {aspect} now'
    )


def _is_shown_alike(kind: str, before: str, after: str) -> bool:
    """Return whether digests that an agent of the first releases took can be compared: not where
    the server shows or keeps it in another way.
    """
    former, present = versions.series(before), versions.series(after)
    if versions.is_mariadb(after):
        return kind != aspects.ACCOUNT or former >= _JSON_SINCE or present < _JSON_SINCE
    return (former < (8, 0)) == (present < (8, 0)) and (kind != aspects.ACCOUNT or former >= (5, 7))
