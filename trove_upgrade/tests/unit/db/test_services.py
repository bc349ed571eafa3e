# SPDX-License-Identifier: Apache-2.0
import dataclasses
import os
import subprocess

import sqlalchemy as sa

from trove_upgrade.db import columns, errors, models
from trove_upgrade.db.migrations import chain, gate
from trove_upgrade.db.process_table import TABLE, Birth
from trove_upgrade.db.release import RELEASE
from trove_upgrade.db.services import TASKMANAGER, Registration, has_ended
from trove_upgrade.tests.unit import base, database


def register_as_aurora(db, host='host', binary='taskmanager', version='1.0', registration='r1'):
    """What a service of the first release writes."""
    db.insert(
        models.upgrade_services,
        host=host,
        binary=binary,
        version=version,
        registration=registration,
        started_at=columns.now(),
        seen_at=columns.now(),
    )


class TestServices(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.services = self.db.repositories.services

    def seen(self):
        return [
            (one.host, one.binary, one.version, round(one.silent_seconds, -1))
            for one in self.services.list()
        ]

    def test_a_service_is_listed_until_its_clean_stop(self):
        registration = self.services.register('host', 'taskmanager', '1.0')
        self.assertEqual([('host', 'taskmanager', '1.0', 0)], self.seen())
        self.services.remove(registration)
        self.assertEqual([], self.seen())

    def test_it_says_its_process_its_release_and_its_version(self):
        registration = self.services.register('a/strange/host', 'taskmanager', '1.0.dev3', pid=4711)
        (found,) = self.services.list()
        self.assertEqual(
            (registration.id, 'a/strange/host', 4711, RELEASE, '1.0.dev3', 'alive'),
            (found.id, found.host, found.pid, found.release, found.version, found.state),
        )

    def test_one_that_was_killed_stays_and_grows_silent_until_it_beats_again(self):
        registration = self.services.register('host', 'api', '1.0')
        self.db.pass_time(100)
        self.assertEqual([('host', 'api', '1.0', 100)], self.seen())
        self.assertEqual('silent', self.services.list()[0].state)
        self.services.beat(registration)
        self.assertEqual([('host', 'api', '1.0', 0)], self.seen())

    def test_each_process_of_a_host_has_its_own_row(self):
        old = self.services.register('host', 'api', '1.0')
        self.services.register('host', 'api', '2.0')
        self.assertEqual(2, len(self.seen()))
        self.services.remove(old)
        self.assertEqual([('host', 'api', '2.0', 0)], self.seen())

    def test_a_beat_after_the_row_was_forgotten_registers_anew_under_the_same_id(self):
        registration = self.services.register('host', 'api', '1.0')
        self.services.forget(registration.id, force=True)
        self.assertEqual([], self.seen())
        self.services.beat(registration)
        self.assertEqual([registration.id], [one.id for one in self.services.list()])

    def test_a_removed_one_may_be_removed_again(self):
        registration = self.services.register('host', 'api', '1.0')
        self.services.remove(registration)
        self.services.remove(registration)

    def test_a_row_of_the_first_release_is_read_as_it_was_written(self):
        register_as_aurora(self.db)
        (found,) = self.services.list()
        self.assertEqual(
            ('r1', 'host', None, 'aurora', '1.0'),
            (found.id, found.host, found.pid, found.release, found.version),
        )

    def test_a_row_of_the_first_release_stays_what_it_is(self):
        register_as_aurora(self.db, host='host', binary='taskmanager')
        registration = self.services.register('host', 'taskmanager', '2.0')
        self.services.beat(registration)
        self.services.remove(registration)
        self.assertEqual(['aurora'], [one.release for one in self.services.list()])

    def test_what_is_too_long_for_its_column_is_cut(self):
        registration = self.services.register('h' * 300, 'api', '1.' + '0' * 100, pid=7)
        self.services.beat(registration)
        (found,) = self.services.list()
        self.assertEqual(
            (255, 64), (len(registration.place), len(f'{found.release}/{found.version}'))
        )
        self.assertEqual((7, RELEASE), (found.pid, found.release))

    def test_one_is_forgotten_by_its_id_once_it_is_silent(self):
        gone = self.services.register('host', 'api', '1.0')
        self.db.pass_time(100)
        self.services.register('host', 'api', '1.0')
        self.assertEqual(gone.id, self.services.forget(gone.id).id)
        self.assertEqual(1, len(self.seen()))

    def test_one_that_was_seen_a_moment_ago_is_not_forgotten(self):
        alive = self.services.register('host', 'api', '1.0')
        self.assertRaises(errors.ServiceAlive, self.services.forget, alive.id)
        self.assertEqual(1, len(self.seen()))

    def test_one_that_is_not_listed_cannot_be_forgotten(self):
        self.assertRaises(errors.ServiceNotFound, self.services.forget, 'nobody')


class TestEndOfAProcess(base.TestCase):
    """A process that was killed removes no row; the machine that it ran on can see that it is
    gone.
    """

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.services = self.db.repositories.services
        self.process = subprocess.Popen(['sleep', '1000'])
        self.addCleanup(self.end)
        self.registration = self.register(TABLE.birth_of(self.process.pid))

    def register(self, birth, host='host'):
        made = dataclasses.replace(
            Registration.new('trove-upgrade-filter', host, '1.0', pid=self.process.pid), birth=birth
        )
        self.services.beat(made)
        return made

    def end(self):
        self.process.kill()
        self.process.wait()

    def ids(self):
        return {one.id for one in self.services.list()}

    def rows(self):
        with self.db.database.read() as connection:
            return set(
                connection.execute(sa.select(models.upgrade_services.c.registration)).scalars()
            )

    def test_it_is_listed_as_long_as_it_runs(self):
        (found,) = self.services.list()
        self.assertEqual(
            (self.process.pid, 'host', self.registration.birth),
            (found.pid, found.host, found.birth),
        )

    def test_it_is_not_listed_any_more_once_it_was_killed(self):
        self.end()
        self.assertEqual((set(), []), (self.ids(), gate.listed(self.db.database.engine)))

    def test_a_zombie_has_ended_too(self):
        self.process.kill()
        os.waitid(
            os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT
        )  # it has ended, and nothing has reaped it
        self.assertEqual(set(), self.ids())

    def test_the_next_one_that_registers_on_this_machine_deletes_its_row(self):
        self.end()
        self.assertEqual({self.registration.id}, self.rows())
        successor = self.services.register('host', 'trove-upgrade-filter', '1.0')
        self.assertEqual({successor.id}, self.rows())

    def test_it_is_forgotten_at_once(self):
        self.assertRaises(errors.ServiceAlive, self.services.forget, self.registration.id)
        self.end()
        self.assertEqual(self.registration.id, self.services.forget(self.registration.id).id)
        self.assertEqual(set(), self.rows())

    def test_its_pid_may_belong_to_another_process_by_now(self):
        birth = self.registration.birth
        self.services.remove(self.registration)
        self.register(Birth(birth.start_ticks - 1, birth.table))
        self.assertEqual(set(), self.ids())

    def test_of_another_machine_or_container_nothing_is_known(self):
        self.services.remove(self.registration)
        elsewhere = self.register(Birth(self.registration.birth.start_ticks, '0' * 8))
        unread = self.register(None)
        self.end()
        self.assertEqual({elsewhere.id, unread.id}, self.ids())
        self.assertEqual([], self.services.forget_ended())
        self.assertRaises(errors.ServiceAlive, self.services.forget, elsewhere.id)

    def test_a_host_whose_name_fills_the_column_is_cut_and_its_process_is_still_known(self):
        self.services.remove(self.registration)
        long = self.register(self.registration.birth, host='h' * 300)
        self.assertEqual((255, {long.id}), (len(long.place), self.ids()))
        self.end()
        self.assertEqual(set(), self.ids())

    def test_a_row_without_a_birth_is_read_as_it_was_written(self):
        self.db.insert(
            models.upgrade_services,
            host='a-host/4711-0badcafe',
            binary='x',
            version=f'{RELEASE}/1.0',
            registration='r2',
            started_at=columns.now(),
            seen_at=columns.now(),
        )
        (found,) = [one for one in self.services.list() if one.id == 'r2']
        self.assertEqual(('a-host', 4711, None), (found.host, found.pid, found.birth))


class TestRelease(base.TestCase):
    def test_this_code_is_of_the_newest_release_that_has_revisions(self):
        self.assertEqual(chain.MAIN.releases()[-1], RELEASE)

    def test_the_table_is_as_the_first_release_made_it(self):
        """What both releases write into side by side: neither a column nor the key may change while
        aurora's services run.
        """
        table = models.upgrade_services
        self.assertEqual(
            ['host', 'binary', 'registration', 'version', 'started_at', 'seen_at'],
            list(table.c.keys()),
        )
        self.assertEqual(
            ['host', 'binary'], [column.name for column in sa.inspect(table).primary_key]
        )


class TestOwners(base.TestCase):
    """A taskmanager is named in the rows that it holds as it is registered, so that another one on
    its host sees when it has ended.
    """

    def setUp(self):
        super().setUp()
        self.first, self.second = self.process(), self.process()
        self.births = {each.pid: TABLE.birth_of(each.pid) for each in (self.first, self.second)}

    def process(self):
        process = subprocess.Popen(['sleep', '1000'])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def owner(self, process, host='host', **birth):
        made = Registration.new(TASKMANAGER, host, '1.0', pid=process.pid)
        changed = dataclasses.replace(self.births[process.pid], **birth)
        return dataclasses.replace(made, birth=changed).place

    def end(self, process):
        process.kill()
        process.wait()

    def test_of_two_on_one_host_the_one_that_was_killed_has_ended(self):
        owners = [self.owner(self.first), self.owner(self.second)]
        self.assertEqual([False, False], [has_ended(owner, 'host') for owner in owners])
        self.end(self.first)
        self.assertEqual([True, False], [has_ended(owner, 'host') for owner in owners])

    def test_this_very_process_has_not(self):
        self.assertFalse(has_ended(Registration.new(TASKMANAGER, 'host', '1.0').place, 'host'))

    def test_one_whose_pid_another_process_has_by_now_has_ended(self):
        earlier = self.births[self.first.pid].start_ticks - 1
        self.assertTrue(has_ended(self.owner(self.first, start_ticks=earlier), 'host'))

    def test_of_another_host_container_or_boot_nothing_is_known(self):
        owners = [self.owner(self.first, 'other'), self.owner(self.first, table='0' * 8)]
        self.end(self.first)
        self.assertEqual([False, False], [has_ended(owner, 'host') for owner in owners])

    def test_of_one_that_does_not_tell_its_process_nothing_is_known(self):
        made = Registration.new(TASKMANAGER, 'host', '1.0', pid=self.first.pid)
        self.end(self.first)
        for owner in (made.place, 'host:0badcafe-0000-4000-8000-000000000000', 'host', ''):
            self.assertFalse(has_ended(owner, 'host'), owner)
