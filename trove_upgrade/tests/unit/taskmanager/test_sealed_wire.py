# SPDX-License-Identifier: Apache-2.0
"""Keys in a taskmanager: which reports are believed, which rebuild gets a key, and what ends a
boot.
"""

import dataclasses
import logging

import fixtures

from trove_upgrade.domain import compute, exceptions, states
from trove_upgrade.domain.cloud_init import documents, write_files
from trove_upgrade.domain.outcomes import Done, Wait
from trove_upgrade.sealing import envelope, messages
from trove_upgrade.sealing.keys import GuestKey, MessageDirection
from trove_upgrade.sealing.ports import Heard
from trove_upgrade.taskmanager import greeting, key_delivery, manager, user_data
from trove_upgrade.taskmanager.sealed_reports import Reason
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.taskmanager import fakes

SESSION, LATER = 'a' * 32, 'b' * 32
SEALING = {'guest_rpc': '1.2'}


class KeyedCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage(with_keys=True))
        self.repos = self.stage.repos
        self.keys = self.repos.guest_keys

    def record_facts(self, *version_ids, facts=SEALING):
        for version_id in version_ids:
            self.repos.datastores.save_target_facts(version_id, facts)

    def known_key(self, instance_id=database.INSTANCE, marker='before:1'):
        """A key under which the guest has spoken."""
        key = self.keys.mint(instance_id, marker)
        self.keys.hear(key, SESSION, 1)
        return key

    def report(
        self, key, beat, *, session=SESSION, number=2, direction=MessageDirection.TO_TASKMANAGER
    ):
        content = messages.Report(session, number, beat.to_wire()).to_bytes()
        return {'envelope': envelope.seal(key, direction, content).to_wire()}


class TestReports(KeyedCase):
    def setUp(self):
        super().setUp()
        self.row = self.stage.row()
        self.beat = self.stage.beat(self.row)

    def assert_dropped(self, arguments, reason):
        before = self.stage.drops.counted.get(str(reason), 0)
        self.assertIsNone(self.stage.reports.sealed(arguments))
        self.assertEqual(before + 1, self.stage.drops.counted.get(str(reason), 0))

    def test_the_first_one_proves_a_key(self):
        key = self.keys.mint(database.INSTANCE, self.row.marker)
        self.assertIsNone(self.keys.current(database.INSTANCE))
        believed = self.stage.reports.sealed(self.report(key, self.beat, number=1))
        self.assertEqual((self.beat, key.id), (believed.heartbeat, believed.key_id))
        self.assertEqual(key, self.keys.current(database.INSTANCE).key)

    def test_each_is_believed_once(self):
        key = self.known_key()
        sealed = self.report(key, self.beat)
        self.assertIsNotNone(self.stage.reports.sealed(sealed))
        self.assert_dropped(sealed, Reason.REPLAYED)
        self.assertIsNotNone(self.stage.reports.sealed(self.report(key, self.beat, number=3)))
        self.assert_dropped(sealed, Reason.REPLAYED)

    def test_one_of_another_start_is_not_believed_and_the_guest_is_asked(self):
        key = self.known_key()
        later = self.report(key, self.beat, session=LATER, number=1)
        self.assert_dropped(later, Reason.OTHER_SESSION)
        self.assertEqual([database.INSTANCE], self.stage.greeted)
        self.keys.met(key, LATER)
        self.assertIsNotNone(self.stage.reports.sealed(later))
        self.assert_dropped(self.report(key, self.beat, number=99), Reason.OTHER_SESSION)

    def test_what_is_under_no_key_of_the_guest_is_dropped(self):
        key = self.known_key()
        other = self.known_key(database.OTHER_INSTANCE)
        good = self.report(key, self.beat)['envelope']
        self.assert_dropped(self.report(GuestKey.new(database.INSTANCE), self.beat), Reason.NO_KEY)
        self.assert_dropped({'envelope': {**good, 'key_id': other.id}}, Reason.NO_KEY)
        renamed = {**good, 'instance_id': database.OTHER_INSTANCE, 'key_id': other.id}
        self.assert_dropped({'envelope': renamed}, Reason.NOT_AUTHENTIC)
        forged = self.report(other, self.beat)['envelope']
        self.assert_dropped({'envelope': forged}, Reason.NOT_AUTHENTIC)
        sent_back = self.report(key, self.beat, direction=MessageDirection.TO_GUEST)
        self.assert_dropped(sent_back, Reason.NOT_AUTHENTIC)
        for odd in ({}, {'envelope': None}, {'envelope': 7}, {'envelope': good, 'more': 1}):
            self.assert_dropped(odd, Reason.NO_ENVELOPE)

    def test_a_key_of_troves_waits_for_the_last_older_taskmanager(self):
        """Once called under it, the guest takes no call of an older one any more."""
        key = GuestKey.of_trove(database.INSTANCE, 'key of trove')
        reports = dataclasses.replace(self.stage.reports, keys=DerivedKey(key, self.keys))
        self.stage.older = 'tm-old'
        self.assertIsNone(reports.sealed(self.report(key, self.beat)))
        self.assertEqual({str(Reason.HELD_BACK): 1}, self.stage.drops.counted)
        self.assertIsNotNone(reports.unsealed(self.beat))
        self.stage.older = None
        self.assertIsNotNone(reports.sealed(self.report(key, self.beat)))

    def test_an_unsealed_one_of_a_guest_with_a_key_is_dropped(self):
        self.assertEqual(self.beat, self.stage.reports.unsealed(self.beat).heartbeat)
        self.known_key()
        self.assertIsNone(self.stage.reports.unsealed(self.beat))
        self.assertEqual({str(Reason.UNSEALED): 1}, self.stage.drops.counted)
        self.assertEqual([database.INSTANCE], self.stage.greeted)

    def test_an_unsealed_one_of_a_rebuild_that_has_a_key_is_dropped(self):
        self.keys.mint(database.INSTANCE, self.row.marker)
        self.assertIsNone(self.stage.reports.unsealed(self.beat))
        other = dataclasses.replace(self.beat, marker='another:1')
        self.assertIsNotNone(self.stage.reports.unsealed(other))

    def test_preferred_an_operator_lets_them_count(self):
        self.known_key()
        preferred = dataclasses.replace(self.stage.reports, is_required=False)
        self.assertIsNotNone(preferred.unsealed(self.beat))

    def test_off_nothing_sealed_is_read(self):
        key = self.known_key()
        off = dataclasses.replace(self.stage.reports, is_off=True)
        self.assertIsNone(off.sealed(self.report(key, self.beat)))
        self.assertIsNotNone(off.unsealed(self.beat))

    def test_nothing_dropped_reaches_the_rows_or_the_log(self):
        key = self.known_key()
        said = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        endpoint = self.endpoint()
        endpoint.heartbeat(None, heartbeat=self.beat.to_wire())
        endpoint.sealed(None, **self.report(GuestKey.new(database.INSTANCE), self.beat))
        endpoint.sealed(None, **self.report(key, self.beat, number=1))
        self.assertIsNone(self.repos.guests.heartbeat(database.INSTANCE))
        self.assertNotIn(self.beat.boot_id, said.output)
        endpoint.sealed(None, **self.report(key, self.beat))
        self.assertEqual(self.beat, self.repos.guests.heartbeat(database.INSTANCE))
        self.assertEqual(key.id, self.repos.guests.heard_under(database.INSTANCE))

    def endpoint(self):
        repos = self.repos
        return manager.TaskManager(
            repos.upgrades,
            repos.checks,
            repos.guests,
            lambda _kind, _turn: None,
            lambda: None,
            self.stage.reports,
        )


class DerivedKey:
    """Keys of which one is derived from Trove's."""

    def __init__(self, key, others):
        self.key = key
        self.current, self.minted_id = others.current, others.minted_id

    def find(self, _instance_id, _key_id):
        return self.key

    def stores(self, _key):
        return False

    def hear(self, _key, _session, _number):
        return Heard.TAKEN


class TestGreetings(KeyedCase):
    def test_an_instance_is_greeted_once_in_thirty_seconds(self):
        greetings = greeting.Greetings(self.repos.instances, self.stage.clock)
        turn = greetings.turn(database.INSTANCE)
        self.assertEqual((database.INSTANCE, database.PROJECT, True), dataclasses.astuple(turn))
        self.assertIsNone(greetings.turn(database.INSTANCE))
        self.assertIsNotNone(greetings.turn(database.OTHER_INSTANCE))
        self.assertIsNone(greetings.turn('no such instance'))
        self.stage.clock.pass_time(greeting.SECONDS)
        self.assertIsNotNone(greetings.turn(database.INSTANCE))

    def test_a_guest_that_does_not_answer_ends_no_worker(self):
        for error in (fakes.silent('greet'), RuntimeError('odd')):
            self.stage.guest.greeting = error
            self.assertIsNone(greeting.Greeter(self.stage.guest).run(database.INSTANCE))


class TestFacts(base.TestCase):
    def test_only_a_version_with_sealed_calls_counts(self):
        for found in ('1.2', '1.3', '1.10', '2.0'):
            self.assertTrue(key_delivery.knows_sealed_calls({'guest_rpc': found}), found)
        odd = (
            None,
            '',
            '1.1',
            '1.0',
            '0.9',
            '1',
            '1.2.3',
            'x',
            '1.x',
            '1.-2',
            '\uff11.\uff12',
            1.2,
            [],
            '1.222222',
        )
        for found in odd[:-1]:
            expected = found == 1.2  # a number of YAML or JSON reads as the text that it was
            self.assertEqual(expected, key_delivery.knows_sealed_calls({'guest_rpc': found}), found)
        self.assertFalse(key_delivery.knows_sealed_calls({'guest_rpc': odd[-1]}))
        self.assertFalse(key_delivery.knows_sealed_calls({}))


class TestCheck(KeyedCase):
    former_image = database.IMAGE_10_11

    def check(self):
        return self.stage.key_delivery.check(
            database.INSTANCE,
            (database.MARIADB_10_11, self.former_image),
            (database.MARIADB_11_8, database.IMAGE_11_8),
        )[0]

    def test_a_guest_without_a_key_may_go_to_any_version(self):
        self.assertEqual('ok', self.check().outcome)

    def test_a_guest_with_a_key_goes_to_images_that_know_keys(self):
        self.known_key()
        self.assertEqual('AGENT_TOO_OLD_FOR_KEY', self.check().code)
        self.record_facts(database.MARIADB_10_11, database.MARIADB_11_8)
        self.assertEqual('ok', self.check().outcome)

    def test_no_key_tells_what_a_rollback_would_boot(self):
        """An operator may have put agent and key into a guest whose image has neither."""
        self.known_key()
        self.record_facts(database.MARIADB_11_8)
        self.assertEqual('FORMER_AGENT_UNKNOWN', self.check().code)
        self.record_facts(database.MARIADB_10_11)
        self.assertEqual('ok', self.check().outcome)

    def repoint(self, version_id=database.MARIADB_10_11, image_id='another-image'):
        """As an operator gives a version its next image."""
        self.stage.db.update_version(version_id, image_id=image_id)

    def test_facts_of_a_versions_next_image_tell_nothing_of_the_one_that_runs(self):
        self.known_key()
        self.record_facts(database.MARIADB_11_8)
        self.repoint()
        self.record_facts(database.MARIADB_10_11)
        refused = self.check()
        self.assertEqual('FORMER_AGENT_UNKNOWN', refused.code)
        self.assertIn(database.IMAGE_10_11, refused.message)

    def test_an_image_that_was_registered_with_its_facts_stays_known(self):
        self.known_key()
        self.record_facts(database.MARIADB_10_11, database.MARIADB_11_8)
        self.repoint()
        for facts in (SEALING, {'guest_rpc': '1.1'}, {}):
            self.record_facts(database.MARIADB_10_11, facts=facts)
            self.assertEqual('ok', self.check().outcome)

    def test_of_a_version_with_tags_the_facts_are_believed_whatever_the_image(self):
        self.known_key()
        for version_id in (database.MARIADB_10_11, database.MARIADB_11_8):
            self.repoint(version_id, None)
        self.record_facts(database.MARIADB_10_11, database.MARIADB_11_8)
        self.former_image = 'some-image'
        self.assertEqual('ok', self.check().outcome)

    def test_an_older_taskmanager_forbids_it(self):
        self.known_key()
        self.record_facts(database.MARIADB_10_11, database.MARIADB_11_8)
        self.stage.older = 'tm-old'
        self.assertEqual('TASKMANAGER_OLDER', self.check().code)
        self.assertIn('tm-old', self.check().message)

    def test_a_key_that_cannot_be_read_forbids_it(self):
        self.known_key()
        self.stage.db.lose_encryption_keys()
        self.assertEqual('GUEST_KEY_UNREADABLE', self.check().code)

    def test_it_is_part_of_the_report(self):
        self.known_key()
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual(
            (states.UpgradeState.ABORTED, 'AGENT_TOO_OLD_FOR_KEY'), (row.state, row.error_code)
        )


class TestUpgrade(KeyedCase):
    def sent_key(self):
        """The key in the user data of the last rebuild; None: it had none."""
        files = documents.files(self.stage.nova.rebuilds[-1][3])
        content = files.get(user_data.KEY_PATH)
        return None if content is None else GuestKey.from_file(content, 'f')

    def test_a_rebuild_brings_a_key_that_root_alone_reads(self):
        self.record_facts(database.MARIADB_11_8)
        row = self.stage.until_boot()
        key = self.sent_key()
        self.assertEqual(key, self.keys.minted_for(row.instance_id, row.marker))
        document = documents.load(self.stage.nova.rebuilds[-1][3])
        entry = next(one for one in document['write_files'] if one['path'] == user_data.KEY_PATH)
        self.assertEqual(('0600', 'root:root'), (entry['permissions'], entry['owner']))
        self.assertNotIn(key.secret.hex(), write_files.text_of(entry))

    def test_an_image_whose_agent_knows_none_gets_none(self):
        row = self.stage.row()
        for facts in ({}, {'guest_rpc': '1.1'}):
            with self.subTest(facts):
                self.record_facts(database.MARIADB_11_8, facts=facts)
                self.assertIsNone(self.stage.key_delivery.for_rebuild(row))

    def test_beside_an_older_taskmanager_no_key_is_made(self):
        self.record_facts(database.MARIADB_11_8)
        self.stage.older = 'tm-old'
        self.stage.until_boot()
        self.assertIsNone(self.sent_key())

    def test_a_guest_with_a_key_waits_until_the_older_taskmanager_is_gone(self):
        self.record_facts(database.MARIADB_11_8)
        self.known_key()
        row = self.stage.row()
        self.stage.older = 'tm-old'
        self.assertRaises(key_delivery.OlderTaskmanager, self.stage.key_delivery.for_rebuild, row)
        self.stage.older = None
        self.assertIsNotNone(self.stage.key_delivery.for_rebuild(row))

    def test_a_nova_that_keeps_user_data_brings_no_key(self):
        self.record_facts(database.MARIADB_11_8)
        row = self.stage.held_row(step=states.Step.REBUILD, former_image_id=database.IMAGE_10_11)
        row = stored.adding(row, rebuild_for_attempt=row.attempt)
        self.stage.nova.microversion = (2, 56)
        self.stage.rebuild.run(row)
        self.assertIsNone(self.sent_key())
        self.assertIsNone(self.keys.minted_id(row.instance_id, row.marker))

    def test_a_guest_with_a_key_is_not_rebuilt_by_such_a_nova(self):
        self.record_facts(database.MARIADB_10_11, database.MARIADB_11_8)
        self.known_key()
        self.stage.nova.microversion = (2, 56)
        row = self.stage.run_on(self.stage.db.begin().id)
        self.assertEqual('GUEST_KEY_NOT_CARRIED', row.error_code)
        self.assertEqual([], self.stage.nova.rebuilds)

    def test_the_key_of_a_marker_is_made_once(self):
        """A taskmanager that was overtaken between the key and the rebuild has made the key that
        its successor sends.
        """
        self.record_facts(database.MARIADB_11_8)
        row = self.stage.row()
        made = self.stage.key_delivery.for_rebuild(row)
        self.stage.older = 'tm-old'
        self.assertEqual(made, self.stage.key_delivery.for_rebuild(row))
        self.stage.older = None
        again = row.evolve(rebuild_attempt=row.rebuild_attempt + 1)
        self.assertNotEqual(made, self.stage.key_delivery.for_rebuild(again))

    def test_boot_ends_only_under_the_key_of_this_rebuild(self):
        self.record_facts(database.MARIADB_10_11, database.MARIADB_11_8)
        former = self.known_key()
        row = self.stage.until_boot()
        for key_id in (None, former.id, GuestKey.new(row.instance_id).id):
            self.stage.heartbeat(row, key_id=key_id)
            self.assertIs(states.Step.BOOT, self.stage.run_on(row.id).step)
        self.stage.heartbeat(row, key_id=self.sent_key().id)
        self.assertIs(states.UpgradeState.COMPLETED, self.stage.run_on(row.id).state)

    def test_preferred_an_unsealed_word_ends_a_boot_and_one_under_another_key_does_not(self):
        self.record_facts(database.MARIADB_11_8)
        row = self.stage.until_boot()
        preferred = dataclasses.replace(self.stage.boot, takes_unsealed=True)
        self.stage.heartbeat(row, key_id=GuestKey.new(row.instance_id).id)
        self.assertIsInstance(preferred.run(row), Wait)
        self.stage.heartbeat(row)
        self.assertIsInstance(self.stage.boot.run(row), Wait)
        self.assertIsInstance(preferred.run(row), Done)

    def test_a_key_that_nobody_gets_takes_no_room_in_the_checked_user_data(self):
        delivery = self.stage.key_delivery
        self.assertFalse(delivery.gives_key(database.MARIADB_11_8, database.IMAGE_11_8))
        self.record_facts(database.MARIADB_11_8)
        self.assertTrue(delivery.gives_key(database.MARIADB_11_8, database.IMAGE_11_8))
        off = dataclasses.replace(delivery, is_off=True)
        self.assertFalse(off.gives_key(database.MARIADB_11_8, database.IMAGE_11_8))

    def test_without_a_key_boot_ends_as_before(self):
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        self.assertIs(states.UpgradeState.COMPLETED, self.stage.run_on(row.id).state)

    def test_a_rollback_to_an_agent_without_keys_takes_the_key_away(self):
        row = self.stage.row(step=states.Step.REBUILD)
        rolling = self.rolling_back(row, had_key=False)
        self.known_key()
        self.assertIsNone(self.stage.key_delivery.for_rebuild(rolling))
        self.stage.key_delivery.after_rebuild(rolling)
        self.assertIsNone(self.keys.current(row.instance_id))

    def test_a_rollback_that_nova_did_not_do_leaves_the_key(self):
        rolling = self.rolling_back(self.stage.row(step=states.Step.REBUILD), had_key=False)
        rolling = stored.adding(rolling, rebuild_for_attempt=rolling.attempt)
        self.known_key()
        self.stage.nova.change(metadata={compute.MARKER_KEY: rolling.marker})
        for result in (compute.RebuildResult.NOTHING_HAPPENED, compute.RebuildResult.RUNNING):
            self.stage.nova.result = result
            self.stage.rebuild.run(rolling)
            self.assertIsNotNone(self.keys.current(rolling.instance_id))
        self.stage.nova.result = compute.RebuildResult.SUCCESS
        self.stage.rebuild.run(rolling)
        self.assertIsNone(self.keys.current(rolling.instance_id))

    def test_a_row_whose_checks_an_earlier_release_made_learns_of_the_former_key(self):
        row = self.stage.row(step=states.Step.REBUILD)
        learned = self.stage.rebuild.run(row).upgrade
        self.assertIs(False, learned.progress.former.had_key)
        self.known_key()
        self.assertIs(True, self.stage.rebuild.run(row).upgrade.progress.former.had_key)
        anew = learned.evolve(attempt=2)
        self.assertIs(False, self.stage.rebuild.run(anew).upgrade.progress.former.had_key)

    def test_a_rollback_to_an_agent_with_keys_brings_another_one(self):
        self.record_facts(database.MARIADB_10_11)
        key = self.known_key()
        rolling = self.rolling_back(self.stage.row(step=states.Step.REBUILD), had_key=False)
        self.assertNotEqual(key, self.stage.key_delivery.for_rebuild(rolling))
        self.stage.key_delivery.after_rebuild(rolling)
        self.assertEqual(key, self.keys.current(rolling.instance_id).key)

    def test_a_rollback_to_an_image_of_before_its_versions_facts_brings_no_key(self):
        """Its agent knows none, and boot would wait for a word under it."""
        rolling = self.rolling_back(self.stage.row(step=states.Step.REBUILD), had_key=False)
        for image_id in ('another-image', None):
            self.stage.db.update_version(database.MARIADB_10_11, image_id=image_id)
            self.record_facts(database.MARIADB_10_11)
            self.assertIsNone(self.stage.key_delivery.for_rebuild(rolling))

    def test_a_rebuild_with_an_image_of_before_its_versions_facts_brings_no_key(self):
        """The image of a running upgrade stays when an operator gives the version the next one."""
        row = self.stage.row(step=states.Step.REBUILD)
        self.stage.db.update_version(database.MARIADB_11_8, image_id='another-image')
        self.record_facts(database.MARIADB_11_8)
        self.assertIsNone(self.stage.key_delivery.for_rebuild(row))
        self.assertFalse(
            self.stage.key_delivery.gives_key(row.wanted_version_id, row.wanted_image_id)
        )

    def test_a_guest_that_had_a_key_never_goes_back_without_one(self):
        self.known_key()
        rolling = self.rolling_back(self.stage.row(step=states.Step.REBUILD), had_key=True)
        error = self.assertRaises(
            exceptions.StepRefused, self.stage.key_delivery.for_rebuild, rolling
        )
        self.assertEqual('AGENT_TOO_OLD_FOR_KEY', error.code)
        self.stage.key_delivery.after_rebuild(rolling)
        self.assertIsNotNone(self.keys.current(rolling.instance_id))

    def test_the_next_upgrade_leaves_no_former_key_in_the_user_data(self):
        self.record_facts(database.MARIADB_11_8)
        row = self.stage.until_boot()
        sent = self.stage.nova.rebuilds[-1][3]
        wanted = user_data.Contents(datastore_version='11.8.6', datastore_manager='mariadb')
        again = documents.files(user_data.render(sent, 'next:1', wanted))
        self.assertNotIn(user_data.KEY_PATH, again)
        self.assertIn(user_data.KEY_PATH, documents.files(sent))
        self.assertEqual(row.marker, self.stage.nova.state.marker)

    def test_a_former_key_is_dropped_however_its_path_is_written(self):
        wanted = user_data.Contents(datastore_version='11.8.6', datastore_manager='mariadb')
        for path in (
            '/etc/trove/trove-upgrade-guest.key',
            '//etc/trove/./trove-upgrade-guest.key',
            '/etc/trove/conf.d/../trove-upgrade-guest.key',
            'etc/trove/trove-upgrade-guest.key',
        ):
            former = fakes.USER_DATA + f'- path: {path}\n  content: former\n'.encode()
            rendered = user_data.render(former, 'next:1', wanted)
            self.assertNotIn(b'guest.key', rendered, path)

    def test_a_former_key_that_cannot_be_dropped_is_refused(self):
        wanted = user_data.Contents(datastore_version='11.8.6', datastore_manager='mariadb')
        for command in ('runcmd', 'bootcmd'):
            lines = f'{command}:\n- [sh, -c, "echo x > {user_data.KEY_PATH}"]\n'
            error = self.assertRaises(
                exceptions.StepRefused,
                user_data.render,
                fakes.USER_DATA + lines.encode(),
                'next:1',
                wanted,
            )
            self.assertEqual('USER_DATA_UNREADABLE', error.code)

    def test_no_line_of_the_log_and_no_row_has_a_byte_of_a_key(self):
        said = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.record_facts(database.MARIADB_11_8)
        row = self.stage.until_boot()
        key = self.sent_key()
        self.stage.heartbeat(row, key_id=key.id)
        row = self.stage.run_on(row.id)
        secret = GuestKey.to_file(key).decode().split('"secret": "')[1].split('"')[0]
        for text in (said.output, str(row), str(self.stage.nova.state.metadata)):
            self.assertNotIn(secret, text)
            self.assertNotIn(key.secret.hex(), text)

    def rolling_back(self, row, *, had_key):
        data = {**stored.entries_of(row), 'rolling_back': True, 'former_had_key': had_key}
        rolling = row.evolve(progress=stored.progress(**data), former_image_id=database.IMAGE_10_11)
        self.assertTrue(rolling.is_rolling_back)
        return rolling
