# SPDX-License-Identifier: Apache-2.0
"""What each server answers when it is asked about a statement, and that asking leaves nothing
behind and changes nothing.
"""

import contextlib
import io
import json
import pathlib

import fixtures
import sqlalchemy as sa

from trove_upgrade.cmd import manage
from trove_upgrade.db import engine
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.schema_tools import probe
from trove_upgrade.schema_tools.probe import Blocks, Source, Work, sizes
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases
from trove_upgrade.tests.functional.schema import old_rows
from trove_upgrade.waiting import wait_until

_GONE_SECONDS = 10
_COLUMNS = 'id INT NOT NULL PRIMARY KEY, a VARCHAR(36), b VARCHAR(255), d INT'


class OnARealServer(databases.OneServer):
    """The cases; each server below runs all of them."""

    def setUp(self):
        super().setUp()
        self.url = self.server.create()
        self.db = engine.Database.from_url(self.url)
        self.addCleanup(self.db.dispose)
        with self.db.engine.begin() as connection:
            connection.exec_driver_sql(f'CREATE TABLE t ({_COLUMNS}) {self.options}')
            connection.exec_driver_sql('CREATE INDEX j ON t (d)')
            connection.exec_driver_sql("INSERT INTO t VALUES (1, 'a', 'b', 3), (2, 'c', NULL, 4)")

    def asking(self, url=None):
        if url is None:
            return probe.probing(self.db.engine, self.kind)
        other = sa.create_engine(url, poolclass=sa.NullPool)
        return probe.probing(other, self.kind)

    def ask(self, *statements, url=None):
        with self.asking(url) as asked:
            return [asked.ask(sql) for sql in statements]

    def tables(self):
        return set(sa.inspect(self.db.engine).get_table_names())

    def leave(self):
        """A copy that a killed plan has left; its name."""
        before = self.tables()
        own = probe._of_our_own(self.db.engine)
        killed = self.probe_class(own, self.kind)
        killed.__enter__()
        killed.ask('ALTER TABLE t ADD COLUMN x INT')
        session = killed._session
        killed._close()
        self.wait_until_gone(session)
        [name] = self.tables() - before
        return name

    def wait_until_gone(self, session):
        """The server notices at its own pace that a socket is closed."""
        own = self.probe_class(self.db.engine, self.kind)

        def gone():
            with self.db.engine.connect() as connection:
                return session not in own.living_sessions(connection)

        self.assertTrue(wait_until(gone, _GONE_SECONDS), f'session {session} lives on')

    def tool(self, *words, url=None):
        conf = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'trove-upgrade.conf'
        conf.write_text(f'[database]\nconnection = {url or self.url}\n')
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = manage.main(['--config-file', str(conf), 'db', 'plan', *words])
        self.assertEqual((0, ''), (code, err.getvalue()))
        return out.getvalue()

    def added(self, url=None):
        """What the plan says of the one statement of borealis_expand01 that concerns a table of
        aurora's.
        """
        found = json.loads(self.tool('--json', url=url))
        [one] = [
            one
            for one in found['steps'][0]['statements']
            if one['sql'].startswith('ALTER TABLE instance_upgrades ADD COLUMN steps_at')
        ]
        return one

    def test_each_change_has_the_class_that_the_server_says(self):
        for sql, blocks, work, lock in self.cases:
            with self.subTest(sql):
                [found] = self.ask(sql)
                self.assertEqual(
                    (blocks, work, lock, Source.ASKED),
                    (found.blocks, found.work, found.lock, found.source),
                )

    def test_later_statements_are_asked_about_what_earlier_ones_leave(self):
        found = self.ask(
            'ALTER TABLE t ADD COLUMN x INT',
            'CREATE INDEX k ON t (x)',
            'ALTER TABLE t RENAME TO u',
            'ALTER TABLE u DROP COLUMN x',
            'CREATE TABLE n (id INT)',
            'ALTER TABLE n ADD COLUMN y INT',
            'CREATE INDEX m ON n (y)',
        )
        self.assertEqual(
            [
                Work.METADATA,
                Work.INDEX,
                Work.METADATA,
                Work.METADATA,
                Work.NONE,
                Work.NONE,
                Work.NONE,
            ],
            [one.work for one in found],
        )
        self.assertEqual(
            [
                Source.ASKED,
                Source.ASKED,
                Source.KNOWN,
                Source.ASKED,
                Source.KNOWN,
                Source.KNOWN,
                Source.KNOWN,
            ],
            [one.source for one in found],
        )

    def test_what_a_killed_run_has_done_is_passed_over(self):
        for found in self.ask(
            'ALTER TABLE t ADD COLUMN d INT',
            'CREATE INDEX j ON t (d)',
            'ALTER TABLE t DROP COLUMN zz',
            f'CREATE TABLE t ({_COLUMNS})',
        ):
            self.assertEqual(Work.NONE, found.work)
            self.assertIn('done already', found.detail)

    def test_nothing_is_changed_and_nothing_left(self):
        Runner(self.db.engine).sync('aurora', standalone=False)
        statements = [sql for sql, *_rest in self.cases]
        before = self.dump()
        with self.asking() as asked:
            for sql in [
                *statements,
                'ALTER TABLE t RENAME TO u',
                'DROP TABLE u',
                'FROB t',
                "UPDATE t SET a = 'x'",
                'DROP INDEX j',
                'TRUNCATE t',
                'ALTER TABLE t RENAME CONSTRAINT j TO k',
                'ALTER TABLE t ADD FOREIGN KEY (d) REFERENCES t (id)',
                'SELECT 1; DROP TABLE t',
            ]:
                asked.ask(sql)
            during = self.tables()
        self.tool()
        self.assertTrue(any(name.startswith('upgrade_probe_') for name in during), during)
        self.assertEqual(before, self.dump())
        self.assertEqual([], asked.notes)

    def test_an_interrupt_leaves_nothing(self):
        for error in (KeyboardInterrupt, ZeroDivisionError):
            before = self.dump()
            with contextlib.suppress(error), self.asking() as asked:
                asked.ask('ALTER TABLE t ADD COLUMN x INT')
                raise error
            self.assertEqual(before, self.dump())

    def test_what_a_killed_plan_has_left_is_removed_by_the_next(self):
        left = self.leave()
        self.assertRegex(left, '^upgrade_probe_[0-9a-f]{16}$')
        self.ask('ALTER TABLE t ADD COLUMN x INT')
        self.assertEqual({'t'}, self.tables())

    def test_a_copy_in_use_and_a_table_with_rows_are_not_removed(self):
        left = self.leave()
        with self.db.engine.begin() as connection:
            connection.exec_driver_sql(f'INSERT INTO {left} (id) VALUES (1)')
        with self.asking() as one:
            one.ask('ALTER TABLE t ADD COLUMN x INT')
            used = self.tables() - {'t', left}
            self.ask('ALTER TABLE t ADD COLUMN x INT')
            self.assertEqual({'t', left} | used, self.tables())
        self.assertEqual({'t', left}, self.tables())

    def test_an_open_transaction_of_a_service_keeps_nothing_from_being_asked(self):
        with self.db.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE t SET a = 'x' WHERE id = 1")
            [found] = self.ask('ALTER TABLE t ADD COLUMN x INT')
            self.assertEqual(Source.ASKED, found.source)

    def test_a_table_that_somebody_has_locked_is_not_waited_for(self):
        with self.db.engine.begin() as connection:
            connection.exec_driver_sql(self.lock)
            [found] = self.ask('ALTER TABLE t ADD COLUMN x INT')
            self.assertEqual(Source.NOT_ASKED, found.source)
            self.assertRegex(found.detail, 'no empty copy of t can be made: .*[Ll]ock')
        self.assertEqual({'t'}, self.tables())

    def test_the_command_asks_about_the_next_release(self):
        Runner(self.db.engine).sync('aurora', standalone=False)
        one = self.added()
        self.assertEqual(
            ('asked', False, self.expected_lock, 'low'),
            (one['lock']['source'], one['rebuilds'], one['lock']['name'], one['risk']['level']),
        )
        self.assertIn('asked of the server', self.tool())
        self.assertNotIn('upgrade_probe', ' '.join(self.tables()))

    def test_without_the_right_to_create_a_table_the_plan_says_so(self):
        Runner(self.db.engine).sync('aurora', standalone=False)
        one = self.added(self.reader())
        self.assertEqual(
            ('not asked', None, 'high' if one['rows'] else 'low'),
            (one['lock']['source'], one['rebuilds'], one['risk']['level']),
        )
        self.assertIn('denied', one['lock']['detail'])
        self.assertIn('not asked: ', self.tool(url=self.reader()))


class TestMariaDB(OnARealServer, base.TestCase):
    """A table in latin1, where 255 characters are 255 bytes; the tables of ours are in utf8mb4, see
    below.
    """

    server_class = databases.MariaDB
    probe_class = probe.MysqlProbe
    kind = 'mariadb'
    options = 'ENGINE=InnoDB CHARSET=latin1'
    lock = 'LOCK TABLES t WRITE'
    expected_lock = 'ALGORITHM=INSTANT'
    cases = (
        ('ALTER TABLE t ADD COLUMN x INT', Blocks.NOTHING, Work.METADATA, 'ALGORITHM=INSTANT'),
        ('ALTER TABLE t DROP COLUMN b', Blocks.NOTHING, Work.METADATA, 'ALGORITHM=INSTANT'),
        (
            'ALTER TABLE t MODIFY a VARCHAR(255) NULL',
            Blocks.NOTHING,
            Work.METADATA,
            'ALGORITHM=INSTANT',
        ),
        (
            'ALTER TABLE t MODIFY b VARCHAR(300) NULL',
            Blocks.WRITES,
            Work.REBUILD,
            'ALGORITHM=COPY, LOCK=SHARED',
        ),
        (
            'ALTER TABLE t MODIFY b TEXT NULL',
            Blocks.WRITES,
            Work.REBUILD,
            'ALGORITHM=COPY, LOCK=SHARED',
        ),
        (
            'ALTER TABLE t MODIFY b VARCHAR(255) NOT NULL',
            Blocks.NOTHING,
            Work.REBUILD,
            'ALGORITHM=INPLACE, LOCK=NONE',
        ),
        ('CREATE INDEX i ON t (b)', Blocks.NOTHING, Work.INDEX, 'ALGORITHM=NOCOPY, LOCK=NONE'),
        (
            'CREATE UNIQUE INDEX i ON t (b)',
            Blocks.NOTHING,
            Work.INDEX,
            'ALGORITHM=NOCOPY, LOCK=NONE',
        ),
        ('DROP INDEX j ON t', Blocks.NOTHING, Work.METADATA, 'ALGORITHM=NOCOPY, LOCK=NONE'),
    )

    def test_in_utf8mb4_it_is_the_other_way_round(self):
        with self.db.engine.begin() as connection:
            connection.exec_driver_sql(f'CREATE TABLE u ({_COLUMNS}) ENGINE=InnoDB CHARSET=utf8mb4')
        wider, widest = self.ask(
            'ALTER TABLE u MODIFY a VARCHAR(255) NULL', 'ALTER TABLE u MODIFY b VARCHAR(300) NULL'
        )
        self.assertEqual((Work.REBUILD, Work.METADATA), (wider.work, widest.work))

    def dump(self):
        found = {}
        with self.db.engine.connect() as connection:
            for name in sorted(self.tables()):
                shown = connection.exec_driver_sql(f'SHOW CREATE TABLE {name}').one()[1]
                rows = connection.exec_driver_sql(f'SELECT * FROM {name} ORDER BY 1').all()
                made = connection.exec_driver_sql(
                    'SELECT create_time FROM information_schema.tables'
                    f" WHERE table_schema = DATABASE() AND table_name = '{name}'"
                ).scalar()
                found[name] = (shown, rows, made)
        return found

    def reader(self):
        url = sa.make_url(self.url)
        with self.db.engine.begin() as connection:
            connection.exec_driver_sql(
                'FLUSH PRIVILEGES'
            )  # the server runs without them until then
            connection.exec_driver_sql(
                "CREATE USER IF NOT EXISTS reader@localhost IDENTIFIED BY 'secret'"
            )
            connection.exec_driver_sql(f'GRANT SELECT ON {url.database}.* TO reader@localhost')
        return url.set(username='reader', password='secret').render_as_string(hide_password=False)


class TestPostgreSQL(OnARealServer, base.TestCase):
    server_class = databases.PostgreSQL
    probe_class = probe.PostgresqlProbe
    kind = 'postgresql'
    options = ''
    lock = 'LOCK TABLE t IN ACCESS EXCLUSIVE MODE'
    expected_lock = 'ACCESS EXCLUSIVE'
    cases = (
        ('ALTER TABLE t ADD COLUMN x INT', Blocks.EVERYTHING, Work.METADATA, 'ACCESS EXCLUSIVE'),
        ('ALTER TABLE t DROP COLUMN b', Blocks.EVERYTHING, Work.METADATA, 'ACCESS EXCLUSIVE'),
        (
            'ALTER TABLE t ALTER COLUMN a TYPE VARCHAR(255)',
            Blocks.EVERYTHING,
            Work.METADATA,
            'ACCESS EXCLUSIVE',
        ),
        (
            'ALTER TABLE t ALTER COLUMN b TYPE VARCHAR(300)',
            Blocks.EVERYTHING,
            Work.METADATA,
            'ACCESS EXCLUSIVE',
        ),
        (
            'ALTER TABLE t ALTER COLUMN b TYPE TEXT',
            Blocks.EVERYTHING,
            Work.METADATA,
            'ACCESS EXCLUSIVE',
        ),
        (
            'ALTER TABLE t ALTER COLUMN d TYPE BIGINT',
            Blocks.EVERYTHING,
            Work.REBUILD,
            'ACCESS EXCLUSIVE',
        ),
        (
            'ALTER TABLE t ALTER COLUMN b SET NOT NULL',
            Blocks.EVERYTHING,
            Work.SCAN,
            'ACCESS EXCLUSIVE',
        ),
        (
            'ALTER TABLE t ADD COLUMN x INT NOT NULL DEFAULT 3',
            Blocks.EVERYTHING,
            Work.METADATA,
            'ACCESS EXCLUSIVE',
        ),
        (
            'ALTER TABLE t ADD CONSTRAINT u UNIQUE (b)',
            Blocks.EVERYTHING,
            Work.INDEX,
            'ACCESS EXCLUSIVE',
        ),
        (
            'ALTER TABLE t SET (fillfactor = 50)',
            Blocks.NOTHING,
            Work.METADATA,
            'SHARE UPDATE EXCLUSIVE',
        ),
        ('CREATE INDEX i ON t (b)', Blocks.WRITES, Work.INDEX, 'SHARE'),
    )

    def test_an_index_that_is_built_concurrently_is_known(self):
        [found] = self.ask('CREATE INDEX CONCURRENTLY i ON t (b)')
        self.assertEqual(
            (Blocks.NOTHING, Work.INDEX, Source.KNOWN), (found.blocks, found.work, found.source)
        )

    def test_a_full_table_without_statistics_is_not_taken_for_an_empty_one(self):
        uncounted = self.uncounted()
        with uncounted.begin() as connection:
            connection.exec_driver_sql('CREATE TABLE nothing (id INT)')
            connection.exec_driver_sql(
                'CREATE TABLE "Full" AS SELECT n AS id, REPEAT(CHR(120), 200) AS a FROM '
                'generate_series(1, 50000) n'
            )
            connection.exec_driver_sql(
                'CREATE TABLE few AS SELECT n AS id FROM generate_series(1, 300) n'
            )
        url = self.reader()
        with uncounted.begin() as connection:
            connection.exec_driver_sql('CREATE TABLE unread AS SELECT * FROM "Full"')
        reader = engine.Database.from_url(url)
        self.addCleanup(reader.dispose)
        with reader.read() as connection:
            found = sizes.table_sizes(connection)
        self.assertEqual({'nothing'}, {name for name, size in found.items() if size.is_empty})
        self.assertEqual((0, 300), (found['nothing'].rows, found['few'].rows))
        self.assertTrue(25_000 < found['Full'].rows < 100_000, found['Full'])
        self.assertGreater(found['unread'].rows, 50_000)  # rather too many

    def uncounted(self):
        """What is written there has no statistics, as after a restore or their reset."""
        return sa.create_engine(
            self.url, poolclass=sa.NullPool, connect_args={'options': '-c track_counts=off'}
        )

    def test_the_plan_tells_the_rows_of_a_table_without_statistics(self):
        Runner(self.db.engine).sync('aurora', standalone=False)
        self.assertEqual(0, self.added()['rows'])
        old_rows.load(self.uncounted(), 300)
        found = json.loads(self.tool('--json'))
        [step] = [step for step in found['steps'] if 'migration' in step]
        self.assertEqual(
            (300, 'estimated', 300), (step['rows'], step['rows_source'], self.added()['rows'])
        )

    def dump(self):
        with self.db.engine.connect() as connection:
            columns = connection.exec_driver_sql(
                "SELECT * FROM information_schema.columns WHERE table_schema = 'public' ORDER BY "
                '3, 4'
            ).all()
            files = connection.exec_driver_sql(
                'SELECT relname, oid, relfilenode FROM pg_class WHERE relnamespace = '
                "'public'::regnamespace ORDER BY 1"
            ).all()
            rows = {
                name: connection.exec_driver_sql(f'SELECT * FROM {name} ORDER BY 1').all()
                for name in sorted(self.tables())
            }
        return columns, files, rows

    def reader(self):
        with self.db.engine.begin() as connection:
            connection.exec_driver_sql(
                "DO $$ BEGIN IF to_regrole('reader') IS NULL THEN CREATE ROLE reader LOGIN; END "
                'IF; END $$'
            )
            connection.exec_driver_sql('GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader')
        return sa.make_url(self.url).set(username='reader').render_as_string(hide_password=False)
