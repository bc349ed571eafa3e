# SPDX-License-Identifier: Apache-2.0
"""Accounts that the target's server could let in no more.

Source: MySQL 8.4 Reference Manual, "Native Pluggable Authentication": disabled by default since
8.4.0, removed in 9.0.0.
"""

from collections.abc import Sequence

from trove_upgrade.domain.upgrade_checks import CheckOutcome, CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import checks, option_files, versions

NAME = 'authentication'
_PLUGIN = 'mysql_native_password'
_OFF_SINCE, _GONE_SINCE = (8, 4), (9, 0)
_NAMED = 5
_ALL_LET_IN = CheckResult.ok(NAME, 'The target lets every account in by the plugin that it has.')


def authentication(probe: checks.Probe) -> CheckResult:
    """MySQL alone: MariaDB's servers have the plugin, and know others by their libraries."""
    target_series = versions.series(probe.target.server_version)
    if (
        versions.is_mariadb(probe.version)
        or (target_series and target_series < _OFF_SINCE)
        or (target_series < _GONE_SINCE and _is_switched_on(probe.configuration))
    ):
        return _ALL_LET_IN
    rows = probe.session.rows(
        'SELECT User, Host, CURRENT_USER() FROM mysql.user WHERE plugin = %s ORDER BY User, Host',
        (_PLUGIN,),
    )
    accounts = [f'{user}@{host}' for user, host, _ in rows]
    own = next((str(row[2]) for row in rows if f'{row[0]}@{row[1]}' == row[2]), None)
    if accounts and not target_series:
        return _shut_out(
            CheckOutcome.WARNING,
            'Accounts may not log in after the upgrade: the target names no version, and '
            f'since MySQL 8.4 servers do not let {_some(accounts)} in, whose plugin is '
            f'{_PLUGIN}. Register the target version with its facts, or give them '
            'caching_sha2_password (ALTER USER).',
        )
    if own is not None:
        return _shut_out(
            CheckOutcome.REFUSED,
            f'The server cannot be upgraded: the agent logs in as {own}, whose plugin '
            f'{_PLUGIN} the target does not let in. Give it caching_sha2_password (ALTER USER) '
            'and upgrade again.',
        )
    if accounts:
        return _shut_out(
            CheckOutcome.WARNING,
            'Accounts cannot log in after the upgrade: the target does not let '
            f'{_some(accounts)} in, whose plugin is {_PLUGIN}. Give them caching_sha2_password '
            '(ALTER USER).',
        )
    return _ALL_LET_IN


def _shut_out(outcome: CheckOutcome, message: str) -> CheckResult:
    return CheckResult(name=NAME, outcome=outcome, message=message, code='ACCOUNT_SHUT_OUT')


def _some(accounts: Sequence[str]) -> str:
    more = f' and {len(accounts) - _NAMED} more' if len(accounts) > _NAMED else ''
    return ', '.join(accounts[:_NAMED]) + more


def _is_switched_on(configuration: option_files.Configuration) -> bool:
    values = [
        option.value
        for option in configuration.of_servers()
        if option.name.removeprefix('loose-') == 'mysql-native-password'
    ]
    return bool(values) and str(values[-1] or 'ON').upper() in {'ON', '1', 'TRUE'}
