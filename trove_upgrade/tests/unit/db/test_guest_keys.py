# SPDX-License-Identifier: Apache-2.0
"""Guests' keys: which one counts, what a report or an answer changes, and that processes beside one
another agree.
"""

import base64
import hashlib
import os
import pathlib
import threading

import fixtures
import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.db import engine, errors, models, troves_keys
from trove_upgrade.db.guest_keys import GuestKeys
from trove_upgrade.db.migrations.chain import MAIN
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.db.troves_keys import TrovesKeys
from trove_upgrade.domain.guests import Heartbeat, ServerState
from trove_upgrade.sealing.at_rest import KeyUnreadable, Wrapping, generate
from trove_upgrade.sealing.keys import GuestKey
from trove_upgrade.sealing.messages import LARGEST_NUMBER
from trove_upgrade.sealing.ports import Heard
from trove_upgrade.tests.unit import base, database

INSTANCE, OTHER = database.INSTANCE, database.OTHER_INSTANCE
OPTION = 'emYjgHFqfXNB1NGehAFIUeoyw4V4XwWHEaKP'
S1, S2, S3 = ('1' * 32, '2' * 32, '3' * 32)
MARKER = 'm' * 36
BELOW = MAIN.releases()[-2]


def as_trove_encrypts(text, option=OPTION):
    """Written after trove/common/crypto_utils.py."""
    content = text.encode()
    rest = 16 - len(content) % 16
    iv = os.urandom(16)
    key = hashlib.md5(option.encode(), usedforsecurity=False).hexdigest().encode()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return base64.b64encode(
        iv + encryptor.update(content + bytes([rest]) * rest) + encryptor.finalize()
    ).decode()


class KeysTestCase(base.TestCase):
    version = None

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase(version=self.version))
        self.wrapping = Wrapping([generate()])
        self.keys = self.keys_with(self.wrapping)

    def keys_with(self, wrapping, option=OPTION):
        return GuestKeys(self.db.database, lambda: wrapping, TrovesKeys(self.db.database, option))

    def give_trove_key(
        self, text='AbCdEf0123456789AbCdEf0123456789', instance_id=INSTANCE, stored=None
    ):
        self.db.update_instance(instance_id, encrypted_key=stored or as_trove_encrypts(text))
        return GuestKey.of_trove(instance_id, text)

    def stored(self):
        return {row.key_id for row in self.db.rows(models.upgrade_guest_keys)}


class TestTrovesOwn(KeysTestCase):
    def key(self, option=OPTION):
        return TrovesKeys(self.db.database, option).rpc_key(INSTANCE)

    def test_a_guest_is_given_what_trove_has_for_it(self):
        self.give_trove_key('AbCd')
        self.assertEqual('AbCd', self.key())

    def test_an_instance_without_one_is_told_from_one_that_cannot_be_read(self):
        self.assertIsNone(self.key())
        self.give_trove_key('AbCd')
        self.assertRaises(troves_keys.TrovesKeyUnreadable, self.key, 'another')

    def test_a_trove_from_before_such_keys_has_none(self):
        with self.db.database.engine.begin() as connection:
            connection.exec_driver_sql('ALTER TABLE instances DROP COLUMN encrypted_key')
        self.assertIsNone(self.key())


class TestMinting(KeysTestCase):
    def test_one_rebuild_has_one_key_however_often_it_is_asked_for(self):
        key = self.keys.mint(INSTANCE, MARKER)
        self.assertEqual(
            (key, key), (self.keys.mint(INSTANCE, MARKER), self.keys.minted_for(INSTANCE, MARKER))
        )
        self.assertNotEqual(key, self.keys.mint(INSTANCE, 'another'))
        self.assertNotEqual(key, self.keys.mint(OTHER, MARKER))
        self.assertIsNone(self.keys.minted_for(INSTANCE, 'a third'))

    def test_an_operator_gets_a_new_one_each_time(self):
        first, second = (self.keys.mint(INSTANCE, None) for _ in range(2))
        self.assertEqual({first.id, second.id}, self.stored())

    def test_the_database_holds_no_secret(self):
        key = self.keys.mint(INSTANCE, MARKER)
        [row] = self.db.rows(models.upgrade_guest_keys)
        self.assertNotIn(base64.b64encode(key.secret).decode(), str(row))
        self.assertEqual(
            ('rebuild', MARKER, None, None, 0),
            (row.origin, row.marker, row.proven_at, row.session, row.heard),
        )

    def test_it_is_pending_until_the_guest_has_spoken(self):
        key = self.keys.mint(INSTANCE, MARKER)
        self.assertIsNone(self.keys.current(INSTANCE))
        self.assertEqual(key, self.keys.find(INSTANCE, key.id))
        self.assertIsNone(self.keys.find(OTHER, key.id))

    def test_without_a_list_nothing_is_made_or_known(self):
        key = self.keys.mint(INSTANCE, MARKER)
        self.keys.met(key, S1)
        off = self.keys_with(None)
        self.assertRaises(errors.GuestKeysUnset, off.mint, INSTANCE, 'another')
        self.assertEqual(
            (None, None, None, False),
            (
                off.current(INSTANCE),
                off.find(INSTANCE, key.id),
                off.minted_for(INSTANCE, MARKER),
                off.mints(),
            ),
        )
        self.assertTrue(self.keys.mints())

    def test_a_list_without_its_entry_opens_nothing_and_tells_so(self):
        key = self.keys.mint(INSTANCE, MARKER)
        self.keys.met(key, S1)
        other = self.keys_with(Wrapping([generate()]))
        for call in (
            lambda: other.current(INSTANCE),
            lambda: other.find(INSTANCE, key.id),
            lambda: other.minted_for(INSTANCE, MARKER),
            lambda: other.mint(INSTANCE, MARKER),
        ):
            self.assertRaises(KeyUnreadable, call)
        self.assertEqual(
            key,
            self.keys_with(Wrapping([generate()])).mint(INSTANCE, 'new')
            and self.keys.current(INSTANCE).key,
        )


class TestProof(KeysTestCase):
    def proven(self, marker, session=S1):
        key = self.keys.mint(INSTANCE, marker)
        self.assertIs(Heard.TAKEN, self.keys.hear(key, session, 1))
        return key

    def test_the_first_report_makes_it_the_current_one_and_deletes_those_before_it(self):
        former, skipped = self.proven('m1'), self.keys.mint(INSTANCE, 'm2')
        key = self.keys.mint(INSTANCE, 'm3')
        later = self.keys.mint(INSTANCE, 'm4')
        self.assertEqual(former, self.keys.current(INSTANCE).key)
        self.assertIs(Heard.TAKEN, self.keys.hear(key, S2, 5))
        known = self.keys.current(INSTANCE)
        self.assertEqual((key, S2), (known.key, known.session))
        self.assertEqual({key.id, later.id}, self.stored())
        self.assertEqual(
            [None, None, later],
            [self.keys.find(INSTANCE, one.id) for one in (former, skipped, later)],
        )

    def test_an_answer_makes_it_the_current_one_as_well(self):
        former, key = self.proven('m1'), self.keys.mint(INSTANCE, 'm2')
        self.keys.met(key, S2)
        self.assertEqual(
            (key, S2), (self.keys.current(INSTANCE).key, self.keys.current(INSTANCE).session)
        )
        self.assertNotIn(former.id, self.stored())

    def test_keys_of_other_instances_stay(self):
        others = self.keys.mint(OTHER, 'm')
        self.proven('m1')
        self.proven('m2')
        self.assertEqual(others, self.keys.find(OTHER, others.id))

    def test_what_comes_under_a_key_that_is_gone_is_dropped(self):
        former = self.proven('m1')
        self.proven('m2')
        self.assertIs(Heard.REPLAYED, self.keys.hear(former, S1, 9))
        self.keys.met(former, S3)
        self.assertEqual(S1, self.keys.current(INSTANCE).session)
        self.keys.retire(INSTANCE)
        self.assertEqual((None, set()), (self.keys.current(INSTANCE), self.stored()))

    def test_a_row_of_an_older_key_that_was_left_counts_as_deleted(self):
        former = self.proven('m1')
        [row] = self.db.rows(models.upgrade_guest_keys)
        key = self.proven('m2')
        self.db.insert(models.upgrade_guest_keys, **row._mapping)
        self.assertEqual(
            (key, None, None),
            (
                self.keys.current(INSTANCE).key,
                self.keys.find(INSTANCE, former.id),
                self.keys.minted_for(INSTANCE, 'm1'),
            ),
        )
        self.assertIs(Heard.REPLAYED, self.keys.hear(former, S1, 9))

    def test_a_key_that_was_never_given_away_is_discarded_alone(self):
        key, other = self.proven('m1'), self.keys.mint(INSTANCE, None)
        self.keys.discard(other)
        self.assertEqual({key.id}, self.stored())


class TestFreshness(KeysTestCase):
    def setUp(self):
        super().setUp()
        self.key = self.keys.mint(INSTANCE, MARKER)
        self.keys.met(self.key, S1)

    def hear(self, session, number):
        return self.keys.hear(self.key, session, number)

    def test_each_report_counts_once_and_in_order(self):
        self.assertEqual(
            [Heard.TAKEN, Heard.REPLAYED, Heard.TAKEN, Heard.REPLAYED],
            [self.hear(S1, number) for number in (1, 1, 7, 6)],
        )

    def test_another_session_is_not_believed_until_the_guest_has_answered(self):
        self.hear(S1, 4)
        self.assertEqual(
            (Heard.OTHER_SESSION, S1), (self.hear(S2, 9), self.keys.current(INSTANCE).session)
        )
        self.keys.met(self.key, S2)
        self.assertEqual([Heard.TAKEN, Heard.OTHER_SESSION], [self.hear(S2, 1), self.hear(S1, 5)])

    def test_an_answer_of_the_same_session_forgets_no_number(self):
        self.hear(S1, 4)
        self.keys.met(self.key, S1)
        self.assertIs(Heard.REPLAYED, self.hear(S1, 4))

    def test_an_answer_that_comes_late_brings_no_former_session_back(self):
        """Two taskmanagers met the agent before and after its restart; what was recorded of the
        former start would count again.
        """
        self.hear(S1, 4)
        self.keys.met(self.key, S2, S1)
        self.keys.met(self.key, S1, S3)
        self.assertEqual(S2, self.keys.current(INSTANCE).session)
        self.assertIs(Heard.OTHER_SESSION, self.hear(S1, 4))

    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 6))))
    def test_no_report_is_taken_twice_whatever_is_sent(self, sent):
        """True: the agent's answer tells of a new start."""
        taken, session = set(), 10
        self.keys.met(self.key, f'{session:032x}')
        self.keys.retire(INSTANCE)
        self.key = self.keys.mint(INSTANCE, MARKER)
        self.keys.met(self.key, f'{session:032x}')
        for is_start, number in sent:
            if is_start:
                session += 1
                self.keys.met(self.key, f'{session:032x}')
            elif self.hear(f'{session:032x}', number) is Heard.TAKEN:
                self.assertNotIn((session, number), taken)
                taken.add((session, number))
                self.assertEqual(max(each for at, each in taken if at == session), number)


class TestKeysOfTrove(KeysTestCase):
    def test_it_is_found_without_a_row_and_gets_one_at_the_first_report(self):
        key = self.give_trove_key()
        self.assertEqual(
            (key, None, set()),
            (self.keys.find(INSTANCE, key.id), self.keys.current(INSTANCE), self.stored()),
        )
        self.assertIs(Heard.TAKEN, self.keys.hear(key, S1, 3))
        known = self.keys.current(INSTANCE)
        self.assertEqual((key, S1), (known.key, known.session))
        self.assertIs(Heard.REPLAYED, self.keys.hear(key, S1, 3))

    def test_an_answer_gives_it_a_row_as_well(self):
        key = self.give_trove_key()
        self.keys.met(key, S2)
        self.assertEqual(
            (key, S2), (self.keys.current(INSTANCE).key, self.keys.current(INSTANCE).session)
        )

    def test_it_is_older_than_a_pending_one_and_leaves_it_there(self):
        minted, key = self.keys.mint(INSTANCE, MARKER), self.give_trove_key()
        self.keys.met(key, S1)
        self.assertEqual(
            (key, minted), (self.keys.current(INSTANCE).key, self.keys.find(INSTANCE, minted.id))
        )
        self.keys.hear(minted, S2, 1)
        self.assertEqual((minted, {minted.id}), (self.keys.current(INSTANCE).key, self.stored()))

    def test_it_never_counts_again_after_one_of_ours(self):
        key, minted = self.give_trove_key(), self.keys.mint(INSTANCE, MARKER)
        self.keys.met(minted, S1)
        self.assertIsNone(self.keys.find(INSTANCE, key.id))
        self.assertIs(Heard.REPLAYED, self.keys.hear(key, S1, 9))
        self.assertEqual({minted.id}, self.stored())

    def test_another_key_than_trove_s_gets_no_row(self):
        self.give_trove_key()
        self.assertIs(Heard.REPLAYED, self.keys.hear(GuestKey.new(INSTANCE), S1, 1))
        self.keys.met(GuestKey.of_trove(INSTANCE, 'another'), S1)
        self.assertEqual((None, set()), (self.keys.current(INSTANCE), self.stored()))

    def test_a_deleted_instance_has_none(self):
        key = self.give_trove_key(instance_id=database.DELETED_INSTANCE)
        self.assertIsNone(self.keys.find(database.DELETED_INSTANCE, key.id))

    def test_what_is_no_key_of_trove_s_is_none_and_told_once(self):
        key = self.give_trove_key()
        log = self.useFixture(fixtures.FakeLogger('trove_upgrade.db.troves_keys'))
        for stored in (
            'no base64!',
            'AAAA',
            base64.b64encode(bytes(48)).decode(),
            base64.b64encode(bytes(33)).decode(),
            as_trove_encrypts('the key', 'another option'),
            'é',
        ):
            self.give_trove_key(stored=stored)
            self.assertIsNone(self.keys.find(INSTANCE, key.id), stored)
        self.assertEqual(1, len(log.output.splitlines()), log.output)
        self.assertIn(INSTANCE, log.output)

    def test_an_older_trove_has_no_such_column(self):
        with self.db.database.write() as connection:
            connection.exec_driver_sql('ALTER TABLE instances DROP COLUMN encrypted_key')
        self.db.database.forget_columns()
        self.assertIsNone(self.keys.find(INSTANCE, '0' * 32))
        self.assertEqual(INSTANCE, self.keys.mint(INSTANCE, None).instance_id)

    def test_without_trove_s_option_none_is_derived(self):
        key = self.give_trove_key()
        self.assertIsNone(GuestKeys(self.db.database, lambda: self.wrapping).find(INSTANCE, key.id))

    @given(st.text('abcXYZ019', min_size=1, max_size=64))
    def test_what_trove_encrypts_is_read(self, text):
        self.assertEqual(text, troves_keys.decrypted(as_trove_encrypts(text), OPTION))

    @given(
        st.one_of(
            st.text(max_size=80),
            st.binary(max_size=80).map(lambda content: base64.b64encode(content).decode()),
        )
    )
    def test_whatever_the_column_holds_is_a_key_or_none(self, stored):
        self.assertIsInstance(troves_keys.decrypted(stored, OPTION), str | None)


class TestNumbers(KeysTestCase):
    def wire(self, instance_id=INSTANCE):
        [row] = [
            row
            for row in self.db.rows(models.upgrade_guest_wires)
            if row.instance_id == instance_id
        ]
        return row

    def test_each_is_above_the_last_and_above_what_is_asked_for(self):
        self.assertEqual(
            [1, 2, 11, 12, 13],
            [self.keys.next_number(INSTANCE, above) for above in (0, 0, 10, 3, 12)],
        )
        self.assertEqual(8, self.keys.next_number(OTHER, 7))

    def test_it_outlives_the_keys(self):
        self.keys.next_number(INSTANCE, 40)
        self.keys.retire(INSTANCE)
        self.assertEqual(42, self.keys.next_number(INSTANCE))

    def test_above_the_highest_there_is_none(self):
        self.assertEqual(LARGEST_NUMBER, self.keys.next_number(INSTANCE, LARGEST_NUMBER - 1))
        for above in (0, LARGEST_NUMBER, LARGEST_NUMBER - 1):
            self.assertRaises(errors.GuestNumbersExhausted, self.keys.next_number, INSTANCE, above)

    def test_what_was_dropped_is_counted_of_instances_that_exist(self):
        for instance_id, count in (
            (INSTANCE, 2),
            (INSTANCE, 3),
            (database.DELETED_INSTANCE, 1),
            ('of-no-instance', 1),
        ):
            self.keys.dropped(instance_id, count)
        self.keys.next_number(INSTANCE)
        [row] = self.db.rows(models.upgrade_guest_wires)
        self.assertEqual((INSTANCE, 5, 1), (row.instance_id, row.dropped, row.sent))

    @given(st.lists(st.integers(0, 100), max_size=12))
    def test_numbers_only_rise(self, above):
        last = self.keys.next_number(INSTANCE)
        for each in above:
            number = self.keys.next_number(INSTANCE, each)
            self.assertGreater(number, max(last, each))
            last = number


def immediate(_connection, _cursor, statement, parameters, _context, _many):
    """SQLite refuses a transaction that has read before another one wrote; MariaDB and PostgreSQL
    wait at the row.
    """
    return 'BEGIN IMMEDIATE' if statement == 'BEGIN' else statement, parameters


class TestProcessesBesideOneAnother(base.TestCase):
    """Threads with a database of their own each, on one file: SQLite lets one transaction in after
    the other, in any order.
    """

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.url = f'sqlite:///{folder}/db.sqlite?timeout=60'
        self.db = self.useFixture(database.SampleDatabase(self.url))
        self.entry = generate()

    def together(self, *acts):
        """What each returns; all begin at once."""
        start, found = threading.Barrier(len(acts)), [None] * len(acts)

        def work(place, act):
            own = engine.Database.from_url(self.url)
            sa.event.listen(own.engine, 'before_cursor_execute', immediate, retval=True)
            keys = GuestKeys(own, lambda: Wrapping([self.entry]), TrovesKeys(own, OPTION))
            keys.find(INSTANCE, '0' * 32)
            start.wait(60)
            found[place] = act(keys)
            own.dispose()

        threads = [threading.Thread(target=work, args=each) for each in enumerate(acts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return found

    def keys(self):
        return GuestKeys(
            self.db.database, lambda: Wrapping([self.entry]), TrovesKeys(self.db.database, OPTION)
        )

    def test_no_two_requests_have_one_number(self):
        found = self.together(*[lambda keys: [keys.next_number(INSTANCE) for _ in range(5)]] * 4)
        self.assertEqual(
            list(range(1, 21)), sorted(number for numbers in found for number in numbers)
        )

    def test_one_rebuild_gets_one_key(self):
        found = self.together(*[lambda keys: keys.mint(INSTANCE, MARKER)] * 4)
        self.assertEqual(1, len(set(found)))

    def test_a_report_that_comes_to_several_is_taken_by_one(self):
        key = self.keys().mint(INSTANCE, MARKER)
        for number in (1, 2):
            found = self.together(*[lambda keys, number=number: keys.hear(key, S1, number)] * 4)
            self.assertEqual(
                [Heard.REPLAYED] * 3 + [Heard.TAKEN], sorted(found, key=lambda one: one.name)
            )

    def test_a_key_of_trove_s_that_several_hear_first_gets_one_row(self):
        self.db.update_instance(INSTANCE, encrypted_key=as_trove_encrypts('the key'))
        key = GuestKey.of_trove(INSTANCE, 'the key')
        found = self.together(*[lambda keys: keys.hear(key, S1, 1)] * 4)
        self.assertEqual(
            (1, 1), (found.count(Heard.TAKEN), len(self.db.rows(models.upgrade_guest_keys)))
        )


class TestBeforeTheExpand(KeysTestCase):
    version = BELOW

    def test_there_is_no_key_and_no_error(self):
        key = self.give_trove_key()
        self.assertEqual(
            (None, None, None, False),
            (
                self.keys.current(INSTANCE),
                self.keys.find(INSTANCE, key.id),
                self.keys.minted_for(INSTANCE, MARKER),
                self.keys.mints(),
            ),
        )
        self.assertIs(Heard.REPLAYED, self.keys.hear(key, S1, 1))
        for call in (
            lambda: self.keys.met(key, S1),
            lambda: self.keys.retire(INSTANCE),
            lambda: self.keys.dropped(INSTANCE, 1),
        ):
            self.assertIsNone(call())

    def test_what_would_be_lost_is_refused_with_the_command_that_mends_it(self):
        for call in (
            lambda: self.keys.mint(INSTANCE, MARKER),
            lambda: self.keys.next_number(INSTANCE),
        ):
            self.assertIn('db expand', self.assertRaises(errors.SchemaMissing, call).message)

    def test_they_work_once_it_has_been_run_without_a_restart(self):
        self.assertIsNone(self.keys.current(INSTANCE))
        Runner(self.db.database.engine).expand()
        key = self.keys.mint(INSTANCE, MARKER)
        self.keys.met(key, S1)
        self.assertEqual(
            (key, 1), (self.keys.current(INSTANCE).key, self.keys.next_number(INSTANCE))
        )


class TestHeartbeats(base.TestCase):
    """`upgrade_guests.key_id`."""

    def heartbeat(self, db, key_id=None):
        beat = Heartbeat(
            instance_id=INSTANCE,
            boot_id='b',
            marker='m',
            restored=True,
            agent_version='1',
            server_version='11.8.6',
            server_state=ServerState.RUNNING,
        )
        self.assertTrue(db.repositories.guests.record(beat, key_id))
        self.assertEqual(beat, db.repositories.guests.heartbeat(INSTANCE))
        return db.repositories.guests.heard_under(INSTANCE)

    def test_the_key_of_the_last_one_counts(self):
        db = self.useFixture(database.SampleDatabase())
        self.assertEqual(
            [None, 'k1', 'k2', None],
            [self.heartbeat(db, key_id) for key_id in (None, 'k1', 'k2', None)],
        )
        self.assertIsNone(db.repositories.guests.heard_under(OTHER))

    def test_before_the_expand_each_came_unsealed(self):
        db = self.useFixture(database.SampleDatabase(version=BELOW))
        self.assertIsNone(self.heartbeat(db, 'k1'))
        Runner(db.database.engine).expand()
        self.assertEqual('k1', self.heartbeat(db, 'k1'))


class TestRepositories(base.TestCase):
    def test_without_a_wrapping_no_guest_has_a_key(self):
        db = self.useFixture(database.SampleDatabase())
        repositories = Repositories.of(db.database)
        self.assertIsNone(repositories.guest_keys.current(INSTANCE))
        self.assertRaises(errors.GuestKeysUnset, repositories.guest_keys.mint, INSTANCE, None)
        self.assertEqual([], db.rows(models.upgrade_guest_keys))
