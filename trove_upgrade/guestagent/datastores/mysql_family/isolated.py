# SPDX-License-Identifier: Apache-2.0
"""Arguments of the first start on the new root disk: no client comes in, none of the customer's
statements runs, and none of the limits holds that the customer has set for those.

The last matters as the engine's own program for its upgrade runs with the server's settings.
Measured on 10.11.19 to 11.8.9: under max_statement_time it leaves a table without its rows and ends
with code 0; under transaction_read_only or a small max_allowed_packet it fails.
"""

from collections.abc import Mapping

NO_CLIENTS = (
    '--skip-networking',
    '--event-scheduler=OFF',
    '--skip-slave-start',
    '--init-file=/dev/null',
)
#: Variables of either kind of server; one that a server does not know it goes on without.
SETTINGS: Mapping[str, str] = {
    'autocommit': 'ON',
    'completion_type': 'NO_CHAIN',
    'idle_transaction_timeout': '0',
    'idle_write_transaction_timeout': '0',
    'innodb_force_primary_key': 'OFF',
    'lock_wait_timeout': '86400',
    'max_allowed_packet': str(1 << 30),
    'max_execution_time': '0',
    'max_join_size': str((1 << 64) - 1),
    'max_session_mem_used': str((1 << 63) - 1),
    'max_statement_time': '0',
    'max_tmp_session_space_usage': '0',
    'max_tmp_total_space_usage': '0',
    'max_user_connections': '0',
    'net_read_timeout': '3600',
    'net_write_timeout': '3600',
    'offline_mode': 'OFF',
    'read_only': 'OFF',
    'sql_safe_updates': 'OFF',
    'super_read_only': 'OFF',
    'sql_require_primary_key': 'OFF',
    'transaction_read_only': 'OFF',
    'wait_timeout': '28800',
}
ARGUMENTS = (
    *NO_CLIENTS,
    *(f'--loose-{name.replace("_", "-")}={value}' for name, value in SETTINGS.items()),
)
#: For MySQL: its X Plugin listens on a socket of its own, /tmp/mysqlx.sock where nothing names
#: another.  Source: MySQL 8.4 Reference Manual, "X Plugin Options and System Variables".
X_SOCKET = '--loose-mysqlx-socket=/run/mysqld/mysqlx.sock'
#: For MariaDB: 11.4 and later makes a key of 4096 bits at each start that has no certificate of its
#: own.  Measured on 11.8.9: a start takes 0.3 s without TLS, else 0.9 to 1.4 s.
WITHOUT_TLS = (*ARGUMENTS, '--skip-ssl')
#: A server that the packet filter isolates, and that is to be opened as it runs: it has the rest of
#: its configuration as clients are to meet it, and is given `SETTINGS` while it runs.
BEHIND_A_FILTER = ('--event-scheduler=OFF', '--skip-slave-start')
#: What an isolated server shows tells nothing of the one that clients meet.
VARIABLES = frozenset(
    {'event_scheduler', 'have_ssl', 'init_file', 'mysqlx_socket', 'tx_read_only', *SETTINGS}
)
