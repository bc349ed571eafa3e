# SPDX-License-Identifier: Apache-2.0
"""Accounts that the operating system lets in: what they need of it is the root disk's, and no
option names it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import accounts, checks

NAME = 'system_accounts'
_PAM = frozenset({'pam', 'auth_pam', 'auth_pam_compat', 'authentication_pam'})
_KERBEROS = frozenset({'gssapi', 'auth_gssapi', 'authentication_kerberos'})
_SOCKET = frozenset({'unix_socket', 'auth_socket'})
#: Names of the option that names a table of keys, so that it comes along.
_KEY_TABLES = frozenset({'gssapi-keytab-path', 'authentication-kerberos-service-key-tab'})
#: Users that each image has.
_USERS = frozenset({'root', 'mysql'})
_DEFAULT_SERVICE = 'mysql'
_NAMED = 5


def system_accounts(probe: checks.Probe) -> CheckResult:
    """Warn of accounts that need a PAM service, the default table of Kerberos keys, or a user of
    the system that an image does not have.

    Sources: MariaDB Knowledge Base, "Authentication Plugin - PAM", "- GSSAPI" and "- Unix Socket";
    MySQL 8.4 Reference Manual, "Authentication Plugins".
    """
    has_key_table = any(
        option.bare_name in _KEY_TABLES and option.value
        for option in probe.configuration.of_servers()
    )
    found: dict[str, list[str]] = {}
    for account, plugin, text in _ways(probe):
        need = _need(account.rpartition('@')[0], plugin, text, has_key_table=has_key_table)
        if need:
            found.setdefault(need, []).append(account)
    if not found:
        return CheckResult.ok(
            NAME, 'No account needs anything of the operating system that an image does not have.'
        )
    needs = '; '.join(
        f'{need} ({", ".join(names[:_NAMED])}'
        f'{f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""})'
        for need, names in sorted(found.items())[:_NAMED]
    )
    return CheckResult.warning(
        NAME,
        (
            'Accounts may not log in after the upgrade: they need of the operating system what '
            f'does not come to the new root disk: {needs}. Build the image with it, or give the '
            'accounts another way to log in.'
        ),
        'ACCOUNTS_OF_SYSTEM',
    )


def _need(user: str, plugin: str, text: str, *, has_key_table: bool) -> str | None:
    if plugin in _PAM:
        return f'/etc/pam.d/{text.partition(",")[0].strip() or _DEFAULT_SERVICE}'
    if plugin in _KERBEROS and not has_key_table:
        return '/etc/krb5.keytab'
    if plugin in _SOCKET and (text or user) not in _USERS:
        return f'user {text or user}'
    return None


def _ways(probe: checks.Probe) -> Iterator[tuple[str, str, str]]:
    """Yield account, plugin and authentication string of each way to log in."""
    if not accounts.has_json(probe.session):
        statement = 'SELECT User, Host, plugin, authentication_string FROM mysql.user'
        for user, host, plugin, text in probe.session.rows(statement):
            yield f'{user}@{host}', str(plugin or ''), _text(text)
        return
    for user, host, entry in probe.session.rows('SELECT User, Host, Priv FROM mysql.global_priv'):
        main: Mapping[str, Any] = json.loads(entry)
        for way in main.get('auth_or') or [{}]:
            used = way or main
            plugin = str(used.get('plugin') or '')
            yield f'{user}@{host}', plugin, _text(used.get('authentication_string'))


def _text(value: object) -> str:
    return value.decode(errors='replace') if isinstance(value, bytes) else str(value or '')
