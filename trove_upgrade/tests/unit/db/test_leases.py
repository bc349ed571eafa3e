# SPDX-License-Identifier: Apache-2.0
import datetime

import sqlalchemy as sa

from trove_upgrade.domain import exceptions, states
from trove_upgrade.domain.leases import Renewal
from trove_upgrade.tests.unit import base, database

ME, OTHER, LEASE = 'host/1.2.0123abcd-00000001', 'host/3.4.0123abcd-00000002', 15


class LeasesCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.repos = self.db.repositories
        self.now = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
        self.db.follow_clock(lambda: self.now)

    def pass_time(self, seconds):
        self.now += datetime.timedelta(seconds=seconds)

    def writes(self):
        statements = []
        sa.event.listen(
            self.db.database.engine,
            'before_cursor_execute',
            lambda conn, cursor, statement, *rest: statements.append(statement),
        )
        return statements

    def upgrade(self, owner=ME):
        begun = self.db.begin(self.db.add_instance())
        return self.repos.upgrades.claim(begun.id, owner, LEASE)

    def check(self, owner=ME):
        found = self.repos.instances.get(self.db.add_instance())
        target = self.repos.datastores.version_by_id(database.MARIADB_11_8)
        begun = self.repos.checks.begin(found, target)
        return self.repos.checks.claim(begun.id, owner, LEASE)


class TestRenewal(LeasesCase):
    def kinds(self):
        return ((self.repos.held_upgrades, self.upgrade), (self.repos.held_checks, self.check))

    def test_all_rows_of_an_owner_are_renewed_in_one_statement(self):
        for leases, claim in self.kinds():
            mine = [claim().id for _ in range(20)]
            self.pass_time(LEASE - 1)
            statements = self.writes()
            self.assertEqual(Renewal(frozenset(mine)), leases.renew(ME, mine, LEASE))
            self.assertEqual(1, len([one for one in statements if one != 'BEGIN']), statements)
            self.pass_time(LEASE - 1)
            self.assertEqual({ME}, leases.owners())
            self.pass_time(1)
            self.assertEqual(set(), leases.owners())

    def test_rows_that_others_have_taken_are_told_and_left_alone(self):
        for leases, claim in self.kinds():
            mine, lost = claim(), claim(OTHER)
            renewal = leases.renew(ME, [mine.id, lost.id, 'nothing'], LEASE)
            self.assertEqual(
                Renewal(frozenset({mine.id}), frozenset({lost.id, 'nothing'})), renewal
            )
            self.pass_time(LEASE - 1)
            self.assertEqual({mine.id}, leases.renew(ME, [mine.id, lost.id], LEASE).renewed)
            self.pass_time(2)
            self.assertEqual({ME}, leases.owners())

    def test_one_that_has_run_out_and_that_no_other_has_taken_is_renewed(self):
        for leases, claim in self.kinds():
            mine = claim()
            self.pass_time(LEASE * 3)
            self.assertEqual({mine.id}, leases.renew(ME, [mine.id], LEASE).renewed)
            self.assertEqual({ME}, leases.owners())

    def test_a_row_that_has_ended_or_was_let_go_of_is_none_of_the_owners(self):
        ended, let_go = self.upgrade(), self.upgrade()
        self.repos.upgrades.end(ended, states.UpgradeState.ABORTED)
        self.repos.upgrades.save(let_go, release_for_seconds=0)
        renewal = self.repos.held_upgrades.renew(ME, [ended.id, let_go.id], LEASE)
        self.assertEqual(Renewal(lost=frozenset({ended.id, let_go.id})), renewal)
        check = self.check()
        self.repos.checks.finish(check, ME)
        self.assertEqual({check.id}, self.repos.held_checks.renew(ME, [check.id], LEASE).lost)

    def test_the_leases_of_an_owner_that_has_died_end_at_once_and_no_others(self):
        mine, other = self.upgrade(), self.upgrade(OTHER)
        check = self.check()
        patient = type(self.repos.upgrades)(self.db.database, takeover_grace_seconds=45)
        self.assertEqual({ME, OTHER}, self.repos.held_upgrades.owners())
        self.assertEqual(1, self.repos.held_upgrades.expire(ME))
        self.assertEqual(1, self.repos.held_checks.expire(ME))
        self.assertEqual({OTHER}, self.repos.held_upgrades.owners())
        self.assertEqual([mine.id], [turn.id for turn in patient.due(9)])
        self.assertEqual([check.id], [turn.id for turn in self.repos.checks.due(9)])
        self.assertEqual(2, patient.claim(mine.id, 'next', LEASE).generation)
        self.assertRaises(exceptions.LeaseLost, patient.claim, other.id, 'next', LEASE)
        self.assertEqual(0, self.repos.held_upgrades.expire(ME))


class TestUnderALease(LeasesCase):
    def setUp(self):
        super().setUp()
        self.held = self.upgrade()
        self.leases = self.repos.held_upgrades

    def overtake(self):
        self.pass_time(LEASE)
        return self.repos.upgrades.claim(self.held.id, OTHER, LEASE)

    def test_a_call_to_nova_stands_in_the_row_until_its_deadline(self):
        self.assertEqual(0, self.leases.post_seconds_left(self.held))
        announced = self.leases.announce_post(self.held, 12)
        read = self.repos.upgrades.get(self.held.id)
        self.assertEqual(announced.progress, read.progress)
        self.assertEqual(
            self.now + datetime.timedelta(seconds=12), read.progress.rebuild.post_until
        )
        self.assertEqual(12, self.leases.post_seconds_left(read))
        self.pass_time(11)
        self.assertEqual(1, self.leases.post_seconds_left(read))
        self.pass_time(1)
        self.assertEqual(0, self.leases.post_seconds_left(read))

    def test_the_next_commit_takes_the_announcement_away(self):
        self.leases.announce_post(self.held, 12)
        self.repos.upgrades.save(self.held)
        self.assertIsNone(self.repos.upgrades.get(self.held.id).progress.rebuild.post_until)

    def test_one_that_was_overtaken_announces_nothing(self):
        self.overtake()
        self.assertRaises(exceptions.LeaseLost, self.leases.announce_post, self.held, 12)
        self.assertIsNone(self.repos.upgrades.get(self.held.id).progress.rebuild.post_until)

    def test_one_that_was_overtaken_tells_no_status(self):
        self.leases.tell(self.held, 'upgrading')
        self.assertEqual('upgrading', self.status())
        taken = self.overtake()
        self.leases.tell(taken, 'healthy')
        self.assertRaises(exceptions.LeaseLost, self.leases.tell, self.held, 'upgrading')
        self.assertEqual('healthy', self.status())

    def status(self):
        return self.repos.instances.get(self.held.instance_id).service_status
