# SPDX-License-Identifier: Apache-2.0
"""The sample database in MySQL's words: it has neither CREATE OR REPLACE for most objects nor
tables of numbers, and 9.7 no MD5 either.
"""

from __future__ import annotations

from typing import Protocol

#: A table that stores results of expressions, of which MariaDB 10.11 and 11.8 take other checksums:
#: in both servers' words.
INVOICES = """\
CREATE TABLE IF NOT EXISTS invoices (id INT PRIMARY KEY, net DECIMAL(12,2) NOT NULL, \
gross DECIMAL(12,2) AS (net * 1.19) STORED,
    label VARCHAR(40) AS (CONCAT('invoice ', id)) VIRTUAL, detail JSON, place POINT, \
paid_at TIMESTAMP NULL, share DOUBLE, flags BIT(9));
INSERT IGNORE INTO invoices (id, net, detail, place, paid_at, share, flags) VALUES
    (1, 100, '{"goods": ["Käse", 3]}', POINT(1, 2.5), '2026-01-01 00:00:00', 1/3, b'100000001'), \
(2, 0.01, NULL, NULL, NULL, -1e300, NULL);"""


class Account(Protocol):
    """A name and its password."""

    @property
    def name(self) -> str:
        """Name of the account as CREATE USER takes it."""

    @property
    def password(self) -> str:
        """Return the password in clear text, as CREATE USER takes it."""


def accounts_sql(admin: Account, application: Account, reader: Account, database: str) -> str:
    """Accounts, a role, a database and one of each kind of object that an upgrade must keep.  Safe
    to repeat.
    """
    return f"""
CREATE USER IF NOT EXISTS '{admin.name}'@'localhost' IDENTIFIED BY '{admin.password}';
GRANT ALL PRIVILEGES ON *.* TO '{admin.name}'@'localhost' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS {database};
CREATE ROLE IF NOT EXISTS reporting;
GRANT SELECT ON {database}.* TO reporting;
CREATE USER IF NOT EXISTS '{application.name}'@'%' IDENTIFIED BY '{application.password}';
GRANT ALL PRIVILEGES ON {database}.* TO '{application.name}'@'%';
GRANT reporting TO '{application.name}'@'%';
CREATE USER IF NOT EXISTS '{reader.name}'@'%' IDENTIFIED BY '{reader.password}';
GRANT SELECT, SHOW VIEW ON {database}.* TO '{reader.name}'@'%';
USE {database};
CREATE TABLE IF NOT EXISTS customers (id INT PRIMARY KEY AUTO_INCREMENT, \
name VARCHAR(80) NOT NULL, town VARCHAR(40));
INSERT IGNORE INTO customers (id, name, town) VALUES (1, 'Zoë', 'Kraków'), (2, 'Bjørn', \
'Ærøskøbing'), (3, '山田', '東京');
CREATE TABLE IF NOT EXISTS heartbeat (id BIGINT PRIMARY KEY AUTO_INCREMENT, \
written_at DATETIME(6) NOT NULL DEFAULT NOW(6),
    note VARCHAR(64) NOT NULL DEFAULT '');
{INVOICES}
CREATE OR REPLACE VIEW towns AS SELECT DISTINCT town FROM customers;
DROP FUNCTION IF EXISTS double_it;
CREATE FUNCTION double_it(n INT) RETURNS INT DETERMINISTIC RETURN n * 2;
DROP TRIGGER IF EXISTS customers_town;
CREATE TRIGGER customers_town BEFORE INSERT ON customers FOR EACH ROW SET NEW.town = TRIM(NEW.town);
"""


def rows_sql(database: str, count: int) -> str:
    """Table `orders` with `count` rows, of about 100 bytes each; what was in it goes away."""
    return f"""
USE {database};
DROP TABLE IF EXISTS orders;
CREATE TABLE orders (id BIGINT PRIMARY KEY, customer_id INT NOT NULL, amount DECIMAL(12,2) NOT NULL,
    ordered_at DATETIME NOT NULL, note VARCHAR(120) NOT NULL, KEY by_customer (customer_id));
SET SESSION cte_max_recursion_depth = {count:d};
INSERT INTO orders WITH RECURSIVE numbers (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM numbers \
WHERE seq < {count:d})
    SELECT seq, seq % 997, (seq * 7919 % 1000000) / 100, \
TIMESTAMP '2026-01-01 00:00:00' + INTERVAL seq % 31536000 SECOND,
    CONCAT('order ', seq, ' ', LEFT(SHA2(seq, 256), 32)) FROM numbers;
"""
