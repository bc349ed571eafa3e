# SPDX-License-Identifier: Apache-2.0
"""Guests as customers have them: one as crooked as can be carried, and one with all that cannot."""

import base64
import datetime
import hashlib
import os

from cryptography import x509
from cryptography.hazmat.primitives import ciphers, hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import algorithms, modes

from lab.images import provision
from trove_upgrade.domain import guests as wire
from trove_upgrade.tests.functional.host.test_guest_agent import AgentTestCase

_CARRIED = r"""
umask 022
install -d -o mysql -g mysql -m 0700 /etc/keys /srv/db-tmp /srv/db-logs
chown mysql:mysql /etc/keys/*
chmod 0400 /etc/keys/*
install -d -m 0755 /etc/letsencrypt/archive/db /etc/letsencrypt/live/db
mv /etc/keys/*.pem /etc/letsencrypt/archive/db
chmod 0444 /etc/letsencrypt/archive/db/fullchain3.pem
ln -s ../../archive/db/fullchain3.pem /etc/letsencrypt/live/db/fullchain.pem
ln -s ../../archive/db/privkey3.pem /etc/letsencrypt/live/db/privkey.pem
install -d /opt/settings
printf '[mariadb]\nmax_allowed_packet = 77M\n' > /opt/settings/tuning.cnf
printf '[mariadb]\nsort_buffer_size = 3M\n' > /opt/settings/app.cnf
ln -s /opt/settings/app.cnf /etc/mysql/mariadb.conf.d/96-app.cnf
install -d /etc/mysql/custom.d
printf 'UPDATE shop.starts SET n = n + 1;\n' > /etc/mysql/init.sql
install -d -o mysql -g mysql -m 0750 /var/lib/mysql/binlog
cp -L /etc/mysql/my.cnf /etc/mysql/my.cnf.cluster
printf '[mariadb]\njoin_buffer_size = 1M\n' >> /etc/mysql/my.cnf.cluster
ln -sf my.cnf.cluster /etc/mysql/my.cnf
install -o mysql -g adm -m 0640 /dev/null /var/log/crooked.err
install -d -o mysql -g mysql -m 0700 /var/lib/crooked
printf 'CREATE' > /var/lib/crooked/stopwords
chown mysql:mysql /var/lib/crooked/stopwords
ln -sf /usr/share/zoneinfo/America/New_York /etc/localtime
cat > /etc/mysql/mariadb.conf.d/95-crooked.cnf <<'END'
[mariadb]
plugin_load_add = file_key_management
file_key_management_filename = /etc/keys/keyfile.enc
file_key_management_filekey = FILE:/etc/keys/pw.key
innodb_encrypt_tables = ON
tmpdir = /srv/db-tmp
slow_query_log = ON
slow_query_log_file = /srv/db-logs/slow.log
log_bin = /var/lib/mysql/binlog/mysql-bin
ssl_cert = /etc/letsencrypt/live/db/fullchain.pem
ssl_key = /etc/letsencrypt/live/db/privkey.pem
log_error = /var/log/crooked.err
ft_stopword_file = ../../crooked/stopwords
init_connect = 'SET @from = "it''s \\ a \"quote\""'
!include /opt/settings/tuning.cnf
!includedir /etc/mysql/custom.d/
END
"""

_OBJECTS = """
CREATE TABLE shop.starts (n INT NOT NULL);
INSERT INTO shop.starts VALUES (0);
CREATE TABLE shop.generated (a INT PRIMARY KEY, s INT AS (a * 2) STORED, v INT AS (a + 1) VIRTUAL, \
t VARCHAR(20) AS (CONCAT('x', a)) PERSISTENT);
INSERT INTO shop.generated (a) VALUES (1), (2), (3);
CREATE TABLE shop.versioned (a INT PRIMARY KEY, at TIMESTAMP NOT NULL DEFAULT NOW()) WITH SYSTEM \
VERSIONING;
INSERT INTO shop.versioned (a, at) VALUES (1, '2026-03-01 12:00:00'), (2, '2026-07-01 12:00:00');
UPDATE shop.versioned SET a = 3 WHERE a = 2;
CREATE TABLE shop.gone (a INT);
CREATE VIEW shop.broken AS SELECT a FROM shop.gone;
DROP TABLE shop.gone;
CREATE EVENT shop.sweep ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.generated WHERE a > 1000;
CREATE USER 'native'@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('x');
CREATE USER 'by-socket'@'localhost' IDENTIFIED VIA unix_socket;
CREATE USER 'both'@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('x') OR unix_socket;
INSTALL SONAME 'auth_ed25519';
CREATE USER 'ed'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('secret');
CREATE USER 'locked'@'%' IDENTIFIED BY 'x' ACCOUNT LOCK;
INSTALL SONAME 'auth_pam';
CREATE USER 'pam'@'%' IDENTIFIED VIA pam USING 'mysql';
CREATE USER 'old'@'%' IDENTIFIED VIA mysql_old_password USING '378b243e220ca493';
"""

_IN_FORCE = """
SELECT @@tmpdir, @@slow_query_log_file, @@log_bin_basename, @@max_allowed_packet, \
@@sort_buffer_size, @@join_buffer_size, @@log_error, @@ft_stopword_file, @@ssl_cert, \
@@init_connect, @@have_ssl;
SELECT COUNT(*) > 0 FROM information_schema.INNODB_TABLESPACES_ENCRYPTION WHERE ENCRYPTION_SCHEME \
= 1 AND NAME LIKE 'shop/%';
SELECT * FROM shop.generated;
SELECT a, UNIX_TIMESTAMP(at) FROM shop.versioned FOR SYSTEM_TIME ALL ORDER BY a;
SELECT User, JSON_VALUE(Priv, '$.plugin') FROM mysql.global_priv WHERE User IN ('native', \
'by-socket', 'both', 'ed', 'locked', 'pam', 'old') ORDER BY 1;
"""

_NOT_CARRIED = r"""
install -d -o mysql -g mysql /srv/elsewhere
printf 'SELECT 1;\n' > /etc/profile.d/init.sql
printf 'SELECT 1;\n' > /srv/run-me.sql
chmod 0755 /srv/run-me.sql
install -d /etc/ssl/certs
printf 'no certificate\n' > /etc/ssl/certs/by-hand.pem
cat > /etc/mysql/mariadb.conf.d/95-crooked.cnf <<'END'
[mariadb]
init_file = /etc/profile.d/init.sql
loose-script = /srv/run-me.sql
log_bin = /srv/elsewhere/mysql-bin
log_bin_index = /srv/elsewhere/mysql-bin.index
loose-capath = /etc/ssl/certs
[client]
plugin-dir = /srv/elsewhere
END
"""


def key_file(password, key):
    """A file of keys as `openssl enc -aes-256-cbc -md sha1` writes it.  Source: MariaDB Knowledge
    Base, "File Key Management Encryption Plugin".
    """
    salt, made, last = os.urandom(8), b'', b''
    while len(made) < 48:
        last = hashlib.sha1(last + password + salt).digest()
        made += last
    padder = padding.PKCS7(128).padder()
    text = padder.update(b'1;' + key + b'\n') + padder.finalize()
    encryptor = ciphers.Cipher(algorithms.AES(made[:32]), modes.CBC(made[32:48])).encryptor()
    return b'Salted__' + salt + encryptor.update(text) + encryptor.finalize()


def certificate():
    """(certificate, key), both as PEM."""
    key, name = (
        rsa.generate_private_key(65537, 2048),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'db')]),
    )
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=9))
        .sign(key, hashes.SHA256())
    )
    return (
        made.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    )


class CrookedGuestTest(AgentTestCase):
    def write_bytes(self, guest, path, content):
        guest.exec(
            ['sh', '-c', 'mkdir -p "${1%/*}" && base64 -d > "$1"', 'sh', path],
            input_text=base64.b64encode(content).decode(),
        )

    def restart(self, guest):
        guest.exec(['service', 'trove-upgrade-database', 'restart'], timeout_seconds=120)

    def test_all_that_can_be_carried_is_in_force_afterwards(self):
        guest = self.provisioned(rows=500)
        password = os.urandom(32).hex().encode()
        chain, key = certificate()
        for name, content in (
            ('pw.key', password),
            ('keyfile.enc', key_file(password, os.urandom(32).hex().encode())),
            ('fullchain3.pem', chain),
            ('privkey3.pem', key),
        ):
            self.write_bytes(guest, f'/etc/keys/{name}', content)
        self.shell(guest, _CARRIED)
        provision.sql(guest, _OBJECTS)
        self.shell(
            guest,
            "sed -i 's/^!includedir/init_file = \\/etc\\/mysql\\/init.sql\\n&/' "
            '/etc/mysql/mariadb.conf.d/95-crooked.cnf',
        )
        self.restart(guest)
        provision.sql(guest, 'ALTER TABLE shop.orders ENGINE=InnoDB;')
        before, data = provision.sql(guest, _IN_FORCE), self.checksum(guest)
        self.assertEqual('1', provision.sql(guest, 'SELECT n FROM shop.starts;').strip())
        checks = self.ask(guest, 'check_upgrade').result['checks']
        self.assertEqual(
            [], [check for check in checks if check['outcome'] not in {'ok', 'warning'}]
        )

        self.assertIn('TIME_ZONE_OF_SYSTEM', [check['code'] for check in checks])

        stopped = self.ask(guest, 'pre_upgrade')
        guest = self.rebuild(guest)
        self.shell(guest, 'usermod -u 4242 mysql && chown -R mysql /var/log/mysql')
        restored = self.ask(guest, 'post_upgrade', upgrade_info=stopped.result['upgrade_info'])

        self.assertTrue(restored.serving)
        self.assertEqual([], restored.result['fingerprint']['missing'])
        self.ask(guest, 'verify_upgrade', upgrade_info=stopped.result['upgrade_info'])
        self.assertEqual((before, data), (provision.sql(guest, _IN_FORCE), self.checksum(guest)))
        self.assertEqual(
            '2', provision.sql(guest, 'SELECT n FROM shop.starts;').strip()
        )  # once: when it was opened, not while it was compared
        self.assertEqual(
            'mysql 4242 700|mysql 4242 400|mysql 4242 700|mysql 4242 640',
            self.shell(
                guest,
                "stat -c '%U %u %a' /etc/keys /etc/keys/pw.key /srv/db-tmp /var/log/crooked.err | "
                "paste -sd '|'",
            ),
        )
        guest.reboot()
        self.wait_until(
            lambda: guest.exec(['mariadb-admin', 'ping'], check=False).returncode == 0,
            'the database after the reboot',
            60,
        )
        self.assertEqual(before, provision.sql(guest, _IN_FORCE))

    def test_all_that_cannot_is_told_at_once_and_the_database_serves_on(self):
        guest = self.provisioned(rows=100)
        self.shell(guest, _NOT_CARRIED)
        self.restart(guest)
        before = self.checksum(guest)

        checks = self.ask(guest, 'check_upgrade').result['checks']

        refused = {
            check['code']: check['message'] for check in checks if check['outcome'] == 'refused'
        }
        self.assertLessEqual({'FILE_NOT_KEPT', 'VOLUME_LAYOUT'}, set(refused), refused)
        for words in (
            '/etc/profile.d/init.sql',
            '/srv/run-me.sql',
            '/etc/ssl/certs',
            'plugin-dir',
        ):
            self.assertIn(words, refused['FILE_NOT_KEPT'])
        self.assertIn('/srv/elsewhere', refused['VOLUME_LAYOUT'])
        self.ask(guest, 'pre_upgrade', state=wire.JobState.REFUSED)
        self.assertEqual(before, self.checksum(guest))
