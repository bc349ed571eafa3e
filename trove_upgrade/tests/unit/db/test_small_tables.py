# SPDX-License-Identifier: Apache-2.0
import dataclasses

from trove_upgrade.db.all_instances import AllInstances
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guests import Heartbeat, ServerState
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.tests.unit import base, database


class TestUpgradeChecks(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.checks = self.db.repositories.checks
        repos = self.db.repositories
        self.begun = self.checks.begin(
            repos.instances.get(database.INSTANCE),
            repos.datastores.version_by_id(database.MARIADB_11_8),
        )

    def test_it_waits_is_claimed_once_and_keeps_its_report(self):
        self.assertEqual(('PENDING', None), (self.begun.state, self.begun.allowed))
        self.assertEqual([self.begun.id], [turn.id for turn in self.checks.due(5)])
        claimed = self.checks.claim(self.begun.id, 'me', 60)
        self.assertEqual(([], 'RUNNING'), (self.checks.due(5), claimed.state))
        self.assertRaises(exceptions.LeaseLost, self.checks.claim, self.begun.id, 'you', 60)
        results = (
            CheckResult(name='space', outcome='ok', message='fine'),
            CheckResult(name='xa', outcome='refused', message='prepared', code='XA_PREPARED'),
        )
        self.checks.finish(dataclasses.replace(claimed, state='COMPLETED', results=results), 'me')
        found = self.checks.get(self.begun.id, database.INSTANCE)
        self.assertEqual((results, False), (found.results, found.allowed))

    def test_asked_for_again_while_it_is_not_done_it_is_the_same_one(self):
        repos = self.db.repositories
        found, target = (
            repos.instances.get(database.INSTANCE),
            repos.datastores.version_by_id(database.MARIADB_11_8),
        )
        self.assertEqual(self.begun.id, self.checks.begin(found, target).id)
        claimed = self.checks.claim(self.begun.id, 'me', 60)
        self.assertEqual(self.begun.id, self.checks.begin(found, target).id)
        self.assertNotEqual(
            self.begun.id,
            self.checks.begin(found, found.version).id,
            'another target is another report',
        )
        self.checks.finish(dataclasses.replace(claimed, state='COMPLETED'), 'me')
        self.assertNotEqual(self.begun.id, self.checks.begin(found, target).id)

    def test_one_whose_taskmanager_died_is_done_by_another(self):
        claimed = self.checks.claim(self.begun.id, 'me', 60)
        self.db.pass_time(61)
        self.assertEqual([self.begun.id], [turn.id for turn in self.checks.due(5)])
        self.checks.claim(self.begun.id, 'you', 60)
        late = dataclasses.replace(claimed, state='FAILED', cause='late', error_code='X')
        self.assertRaises(exceptions.LeaseLost, self.checks.finish, late, 'me')
        self.checks.finish(dataclasses.replace(claimed, state='COMPLETED'), 'you')
        self.assertRaises(exceptions.LeaseLost, self.checks.finish, late, 'you')
        self.assertEqual('COMPLETED', self.checks.get(self.begun.id, database.INSTANCE).state)

    def test_it_is_found_under_its_own_instance_alone(self):
        self.assertRaises(
            exceptions.UpgradeCheckNotFound, self.checks.get, self.begun.id, database.OTHER_INSTANCE
        )
        self.assertRaises(
            exceptions.UpgradeCheckNotFound, self.checks.get, 'nul\0', database.INSTANCE
        )


def a_word_of(instance_id):
    return Heartbeat(
        instance_id=instance_id,
        boot_id='boot-1',
        marker=None,
        restored=False,
        agent_version='1.0',
        server_version=None,
        server_state=ServerState.STOPPED,
    )


class TestGuests(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.guests = self.db.repositories.guests

    def test_the_last_heartbeat_stays_and_the_image_beside_it(self):
        self.assertIsNone(self.guests.heartbeat(database.INSTANCE))
        self.db.set_image('image')
        self.assertIsNone(self.guests.heartbeat(database.INSTANCE))
        first = Heartbeat(
            instance_id=database.INSTANCE,
            boot_id='boot-1',
            marker=None,
            restored=False,
            agent_version='1.0',
            server_version=None,
            server_state=ServerState.STOPPED,
        )
        last = Heartbeat(
            instance_id=database.INSTANCE,
            boot_id='boot-2',
            marker='id:1',
            restored=True,
            agent_version='1.1',
            server_version='11.8.6-MariaDB',
            server_state=ServerState.RUNNING,
        )
        self.guests.record(first)
        self.guests.record(last)
        self.assertEqual(
            (last, 'image'),
            (self.guests.heartbeat(database.INSTANCE), self.guests.image(database.INSTANCE)),
        )
        self.db.set_image('image-2')
        self.assertEqual(
            (last, 'image-2'),
            (self.guests.heartbeat(database.INSTANCE), self.guests.image(database.INSTANCE)),
        )

    def test_an_agent_that_was_removed_is_forgotten_and_the_image_and_other_guests_are_not(self):
        ids = (database.INSTANCE, database.OTHER_INSTANCE)
        self.db.set_image('image')
        for instance_id in ids:
            self.guests.record(a_word_of(instance_id), 'key')

        self.guests.forget_agent(database.INSTANCE)

        self.assertEqual(
            [(None, None, None, False), (a_word_of(ids[1]), 'key', 'boot-1', True)],
            [self.heard_of(instance_id) for instance_id in ids],
        )
        self.assertEqual('image', self.guests.image(database.INSTANCE))
        self.assertEqual(
            {ids[1]: '1.0'},
            AllInstances(self.db.database, self.db.repositories.instances).agents(ids),
        )

    def heard_of(self, instance_id):
        last = self.guests.last_word(instance_id)
        return (
            self.guests.heartbeat(instance_id),
            self.guests.heard_under(instance_id),
            None if last is None else last.boot_id,
            self.guests.heard(instance_id, 0),
        )

    def test_an_agent_that_was_never_heard_may_be_forgotten_and_be_heard_afterwards(self):
        self.guests.forget_agent(database.INSTANCE)
        self.assertIsNone(self.guests.heartbeat(database.INSTANCE))
        self.guests.record(a_word_of(database.INSTANCE))
        self.guests.forget_agent(database.INSTANCE)
        self.guests.record(a_word_of(database.INSTANCE))
        self.assertEqual(a_word_of(database.INSTANCE), self.guests.heartbeat(database.INSTANCE))

    def test_of_an_instance_that_does_not_exist_nothing_is_kept(self):
        for name in ('guest', database.DELETED_INSTANCE):
            self.guests.record(a_word_of(name))
            self.assertIsNone(self.guests.heartbeat(name))
