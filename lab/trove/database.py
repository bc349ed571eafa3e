# SPDX-License-Identifier: Apache-2.0
"""The database inside a guest of Trove, asked by the client in its own container; nothing here asks
the product.
"""

import configparser
from collections.abc import Callable

from lab import errors
from lab.images import samples_mysql
from lab.servers import Server

CONTAINER = 'database'
#: Where Trove's agent keeps the passwords that it has made.  Source: Trove 26,
#: guestagent/datastore/mysql_common/service.py.
_PASSWORDS = '/var/lib/mysql/conf.d/{}.cnf'
_CHECK_SECONDS = 300
_ANSWER_SECONDS = 10
_CLIENT = (
    'exec mariadb --batch --skip-column-names --user=root --socket=/var/run/mysqld/mysqld.sock'
)


def root_password(guest: Server) -> str:
    """Read root's password as Trove's agent has written it."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    parser.read_string(guest.exec(['cat', _PASSWORDS.format('root')]).output)
    return parser.get('client', 'password').strip('\'"')


def asker(guest: Server, seconds: float = _CHECK_SECONDS) -> Callable[[str], str]:
    """Runs statements as the database's root; rows come back as tab-separated lines.

    :raises errors.CommandFailed: the database refused one, or does not answer.
    """

    def ask(statements: str) -> str:
        return guest.exec(
            ['docker', 'exec', '-i', '-e', 'MYSQL_PWD', CONTAINER, 'sh', '-c', _CLIENT],
            input_text=statements,
            timeout_seconds=seconds,
            env={'MYSQL_PWD': root_password(guest)},
        ).output

    return ask


def serves(guest: Server) -> bool:
    """Return whether the database answers now; false, too, while the guest is still on its way
    up.
    """
    try:
        asker(guest, _ANSWER_SECONDS)('SELECT 1;')
    except errors.LabError:
        return False
    return True


def rows_sql(database: str, count: int, ticks: str) -> str:
    """`count` rows in table orders, in seconds: the sequence engine makes them; a table that stores
    generated columns; and the table that an application writes to.
    """
    return f"""
CREATE TABLE {ticks} (number BIGINT PRIMARY KEY, written_at DATETIME(6) DEFAULT NOW(6));
CREATE OR REPLACE TABLE {database}.orders (id BIGINT PRIMARY KEY, customer_id INT NOT NULL, \
amount DECIMAL(12,2) NOT NULL,
    ordered_at DATETIME NOT NULL, note VARCHAR(120) NOT NULL, KEY by_customer (customer_id));
INSERT INTO {database}.orders SELECT seq, seq % 997, (seq * 7919 % 1000000) / 100,
    TIMESTAMP '2026-01-01 00:00:00' + INTERVAL seq % 31536000 SECOND, CONCAT('order ', seq, ' ', \
MD5(seq))
    FROM {database}.seq_1_to_{count:d};
USE {database};
{samples_mysql.INVOICES}
"""
