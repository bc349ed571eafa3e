# SPDX-License-Identifier: Apache-2.0
import datetime
import os
import pathlib
import threading

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.datastores.mysql_family import catalog, connection, dialect
from trove_upgrade.guestagent.datastores.mysql_family.rows_ahead import RowsAhead
from trove_upgrade.guestagent.datastores.mysql_family.unchanged import WhileIsolated, WhileServing
from trove_upgrade.guestagent.datastores.table_facts import RowFacts, TableKind
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes

_LARGE = 100 << 20
_OK = [('a.t', 'check', 'status', 'OK')]
_READ = RowFacts(count=5, checksum='77')
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class RowsAheadCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.clock = fakes.Clock()
        self.data = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (self.data / 'a').mkdir()
        self.sessions, self.waited = [], []
        self.rules = []

    def connect(self):
        session = fakes.Session(
            *self.rules,
            ('ENGINE IN', []),
            ('INNODB_TRX', [(0,)]),
            ('UPDATE_TIME', [(None,)]),
            ('FROM information_schema.TABLES', self.tables),
            ('FOR UPGRADE', _OK),
            (r'COUNT\(\*\)', [(5,)]),
            ('CHECKSUM TABLE', [('t', 77)]),
        )
        self.sessions.append(session)
        return session

    def made(self, proof=WhileIsolated, *, limit_seconds=60, table_seconds=None):
        return RowsAhead(
            self.connect,
            dialect.MariaDB(),
            proof(self.data),
            limit_seconds=limit_seconds,
            table_seconds=table_seconds,
            monotonic=self.clock,
        )

    def ahead(self, *names, kind='BASE TABLE', size=_LARGE, limit=60):
        """Rows that were read beside an upgrade that took as long as that."""
        self.tables = [('a', name, kind, size, 'InnoDB') for name in names]
        for name in names:
            (self.data / 'a' / f'{name}.ibd').write_bytes(b'rows')
        made = self.made(limit_seconds=limit)
        with made.beside():
            made._reader.join()
        return made

    def take(self, ahead, name='t'):
        table = catalog.Table(schema='a', name=name, kind=TableKind.TABLE, size_bytes=_LARGE)
        return ahead.take(self.connect(), table, lambda: self.waited.append(name))

    def statements(self, word):
        return [said for each in self.sessions for said in each.statements if word in said]


class TestBesideAnUpgrade(RowsAheadCase):
    def test_of_a_table_that_is_as_it_was_are_given_once(self):
        ahead = self.ahead('t')
        self.assertEqual((_READ, None), (self.take(ahead), self.take(ahead)))
        self.assertEqual([True, True], [each.closed for each in self.sessions[:2]])

    def test_of_a_table_that_the_upgrade_rebuilds_are_not_read(self):
        for answer in (
            [('a.t', 'check', 'error', 'Upgrade required. Please do "ALTER TABLE `t` FORCE"')],
            [('a.t', 'check', 'warning', 'a word'), *_OK],
            [],
        ):
            self.rules = [('FOR UPGRADE', answer)]
            self.assertIsNone(self.take(self.ahead('t')), answer)
        self.assertEqual([], self.statements('CHECKSUM'))

    def test_of_what_has_no_file_of_its_own_are_not_read(self):
        ahead = self.ahead('t', 'parted#P#p0')
        (self.data / 'a/t.ibd').unlink()
        (self.data / 'a/t.ibd').symlink_to('parted#P#p0.ibd')
        self.assertIsNone(self.take(ahead))
        self.assertEqual(1, len(self.statements('CHECKSUM')))
        for options in ({'size': 10}, {'kind': 'SYSTEM VERSIONED'}):
            self.assertIsNone(self.take(self.ahead('u', **options), 'u'))
        self.assertEqual([], self.statements('`u`'))

    def test_are_not_given_where_the_file_was_replaced_by_its_equal(self):
        ahead = self.ahead('t')
        path = self.data / 'a/t.ibd'
        was = path.stat()
        path.rename(self.data / 'a/before')
        path.write_bytes(b'rows')
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        self.assertIsNone(self.take(ahead))

    def test_are_not_given_where_the_server_tells_of_a_change_or_nothing(self):
        for answer in ([('2026-01-01',)], [], fakes.refusal(1969, 'too long')):
            ahead = self.ahead('t')
            self.rules = [('UPDATE_TIME', answer)]
            self.assertIsNone(self.take(ahead), answer)
            self.rules = []

    def test_of_a_table_without_a_checksum_are_left_to_the_comparison(self):
        self.rules = [('CHECKSUM TABLE', [('t', None)])]
        self.assertIsNone(self.take(self.ahead('t')))

    def test_end_with_the_time_that_they_have(self):
        def late():
            self.clock.seconds = 61
            return [('t', 77)]

        self.rules = [('CHECKSUM TABLE `a`.`first`', late)]
        ahead = self.ahead('first', 'second')
        self.assertEqual((_READ, None), (self.take(ahead, 'first'), self.take(ahead, 'second')))
        self.assertEqual(2, len(self.statements('max_statement_time = 60.000')))

    def test_are_read_afterwards_where_the_server_takes_no_second_session(self):
        def refused():
            raise connection.NoAnswer(socket='/run/mysqld.sock', found='too many connections')

        self.connect = refused
        self.assertEqual({}, self.ahead('t')._found)

    def test_are_read_afterwards_whatever_goes_wrong(self):
        for error in (fakes.refusal(1194, 'crashed'), ValueError('a bug')):
            self.rules = [('CHECKSUM TABLE `a`.`b`', error)]
            ahead = self.ahead('a', 'b', 'c')
            self.assertEqual(
                (_READ, None, None), tuple(self.take(ahead, name) for name in ('a', 'b', 'c'))
            )

    def test_that_were_never_begun_are_none(self):
        self.tables = []
        never = self.made(limit_seconds=1)
        self.assertIsNone(self.take(never))

    def test_tell_of_the_wait_for_a_table_that_is_being_read(self):
        self.tables = [('a', 't', 'BASE TABLE', _LARGE, 'InnoDB')]
        (self.data / 'a/t.ibd').write_bytes(b'rows')
        told, begun = threading.Event(), threading.Event()

        def long():
            begun.set()
            told.wait(60)
            return [('t', 77)]

        self.rules = [('CHECKSUM TABLE', long)]
        ahead = self.made(limit_seconds=60)
        with ahead.beside():
            self.assertTrue(begun.wait(60))
        table = catalog.Table(schema='a', name='t', kind=TableKind.TABLE, size_bytes=_LARGE)
        self.assertEqual(_READ, ahead.take(self.connect(), table, told.set))
        self.assertTrue(told.is_set())

    def test_begin_no_table_once_the_upgrade_has_ended(self):
        self.tables = [('a', name, 'BASE TABLE', _LARGE, 'InnoDB') for name in ('t', 'u')]
        for name in ('t', 'u'):
            (self.data / 'a' / f'{name}.ibd').write_bytes(b'rows')
        ahead = self.made(limit_seconds=60)

        begun = threading.Event()

        def ended():
            begun.set()
            ahead._ended.wait(60)
            return [('t', 77)]

        self.rules = [('CHECKSUM TABLE `a`.`t`', ended)]
        with ahead.beside():
            self.assertTrue(begun.wait(60))
        self.assertEqual((_READ, None), (self.take(ahead), self.take(ahead, 'u')))


class TestWhileTheDatabaseServes(RowsAheadCase):
    """By what a server answers of ids, moments and its cache."""

    def setUp(self):
        super().setUp()
        self.tables = [('a', name, 'BASE TABLE', _LARGE, 'InnoDB') for name in ('t', 'u')]
        for _, name, *_ in self.tables:
            (self.data / 'a' / f'{name}.frm').write_bytes(b'definition')
        self.served = [(7, None, 1, 1)]

    def ahead(self, waiting=lambda: None):
        self.rules = [('INNODB_SYS_TABLES', lambda: self.served), *self.rules]
        made = self.made(WhileServing, table_seconds=20)
        made.read(waiting)
        return made

    def test_of_a_table_that_rests_are_given_and_no_table_takes_all_the_time(self):
        ahead = self.ahead()
        self.assertEqual((_READ, _READ), (self.take(ahead), self.take(ahead, 'u')))
        self.assertEqual(4, len(self.statements('max_statement_time = 20.000')))

    def test_are_not_given_once_another_table_has_its_id_or_another_moment_is_told(self):
        for changed in ([(8, None, 1, 1)], [(7, NOW, 0, 1)], [(7, None, 1, 0)], []):
            self.served = [(7, None, 1, 1)]
            ahead = self.ahead()
            self.served = changed
            self.assertIsNone(self.take(ahead), changed)

    def test_are_not_given_once_the_definition_was_written(self):
        ahead = self.ahead()
        (self.data / 'a/t.frm').write_bytes(b'another definition')
        self.assertEqual((None, _READ), (self.take(ahead), self.take(ahead, 'u')))

    def test_are_not_read_where_the_server_may_forget_or_the_table_does_not_rest(self):
        for served in ([(7, None, 1, 0)], [(7, NOW, 0, 1)], []):
            self.served = served
            self.ahead()
        self.assertEqual([], self.statements('CHECKSUM'))

    def test_are_not_read_while_a_transaction_is_open_that_may_leave_the_facts_as_they_are(self):
        self.served = [(7, NOW, 1, 1)]
        self.rules = [('INNODB_TRX', [(1,)])]
        self.assertIsNone(self.take(self.ahead()))
        self.assertEqual([], self.statements('CHECKSUM'))
        self.rules = []
        ahead = self.ahead()
        self.rules = [('INNODB_TRX', [(1,)]), *self.rules]  # it has begun since
        self.assertEqual(_READ, self.take(ahead))

    def test_of_a_table_that_takes_too_long_leave_time_for_the_next(self):
        self.rules = [('CHECKSUM TABLE `a`.`t`', fakes.refusal(1969, 'too long'))]
        ahead = self.ahead()
        self.assertEqual((None, _READ), (self.take(ahead), self.take(ahead, 'u')))

    def test_end_as_soon_as_the_job_does(self):
        begun, aborted = threading.Event(), threading.Event()

        def long():
            begun.set()
            aborted.wait(60)
            return [('t', 77)]

        def waiting():
            self.assertTrue(begun.wait(60))
            aborted.set()
            raise exceptions.StepRefused('it was aborted', 'UPGRADE_ABORTED')

        self.rules = [('CHECKSUM TABLE', long)]
        error = self.assertRaises(exceptions.StepRefused, self.ahead, waiting)
        self.assertEqual('UPGRADE_ABORTED', error.code)
