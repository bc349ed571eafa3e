# SPDX-License-Identifier: Apache-2.0
"""Beside Trove: an instance whose guest has not told of our agent lately is refused, or left to
Trove.
"""

import dataclasses
import json
import logging

import fixtures
import sqlalchemy as sa
import webtest
from oslo_context import context as oslo_context

from trove_upgrade.api import services
from trove_upgrade.api.filter import UpgradeFilter
from trove_upgrade.db import engine, models, repositories
from trove_upgrade.db import errors as db_errors
from trove_upgrade.domain import guests, states
from trove_upgrade.tests.unit import database, stored
from trove_upgrade.tests.unit.api import stage, test_filter

_S = states.UpgradeState


class BesideTroveTestCase(stage.ApiTestCase):
    """The filter before a stand-in of Trove; no guest has spoken yet."""

    choice = services.GuestWithoutAgent.REFUSE
    silence_seconds = 10800

    def new_services(self, **changes):
        made = super().new_services(**changes)
        return dataclasses.replace(
            made,
            settings=dataclasses.replace(
                made.settings,
                guest_without_agent=self.choice,
                guest_silence_seconds=self.silence_seconds,
            ),
        )

    def new_app(self, **changes):
        self.trove = test_filter.Trove()
        ours = super().new_app(servers=None, **changes).app._application
        return webtest.TestApp(
            stage.FakeAuth(UpgradeFilter(self.trove, ours, lambda: 65536)), lint=False
        )

    def speak(self, instance_id=database.INSTANCE):
        self.db.repositories.guests.record(
            guests.Heartbeat(
                instance_id=instance_id,
                boot_id='boot-1',
                marker=None,
                restored=False,
                agent_version='1.0',
                server_version=None,
                server_state=guests.ServerState.RUNNING,
            )
        )

    def upgrades(self):
        return self.db.rows(models.instance_upgrades)


class TestRefuse(BesideTroveTestCase):
    def test_a_guest_that_has_spoken_is_upgraded(self):
        self.speak()
        self.assertEqual(202, self.patch('11.8.6').status_int)
        self.assertEqual([], self.trove.seen)

    def test_a_patch_that_is_accepted_waits_for_five_statements(self):
        """Each is a round trip; instance, version, task, what decides, upgrade and event."""
        another = self.db.add_instance(server_id='another')
        for instance_id in (database.INSTANCE, another):
            self.speak(instance_id)
        self.patch('11.8.6', another)  # the first of a process looks at columns
        seen = []
        sa.event.listen(
            self.db.database.engine,
            'before_cursor_execute',
            lambda *arguments: seen.append(arguments[2]),
        )
        self.assertEqual(202, self.patch('11.8.6').status_int)
        self.assertEqual(
            ['SELECT', 'UPDATE', 'SELECT', 'INSERT', 'INSERT'],
            [first for first in (each.split()[0] for each in seen) if first != 'BEGIN'],  # SQLite's
        )

    def test_one_that_never_has_is_refused_with_what_to_do(self):
        response = self.patch('11.8.6')
        self.assert_refused(response, 422, 'GUEST_AGENT_MISSING')
        self.assertIn('upgrade check', self.fault(response)['message'])
        self.assertIn(
            'no upgrade agent was ever heard from its guest', self.fault(response)['message']
        )
        self.assertEqual(([], []), (self.trove.seen, self.upgrades()))

    def test_one_that_has_fallen_silent_since_is_refused_too(self):
        self.speak()
        self.db.pass_time(self.silence_seconds + 1)
        response = self.patch('11.8.6')
        self.assert_refused(response, 422, 'GUEST_AGENT_MISSING')
        seen_at = self.db.repositories.guests.last_word(database.INSTANCE).seen_at
        self.assertIn(
            f'last heard at {seen_at:%Y-%m-%d %H:%M:%S} UTC', self.fault(response)['message']
        )
        self.speak()
        self.assertEqual(202, self.patch('11.8.6').status_int)

    def test_one_that_has_missed_a_word_or_two_is_upgraded(self):
        self.speak()
        self.db.pass_time(self.silence_seconds - 60)
        self.assertEqual(202, self.patch('11.8.6').status_int)

    def test_a_known_image_is_not_a_guest_that_has_spoken(self):
        self.db.set_image(database.IMAGE_10_11)
        self.assert_refused(self.patch('11.8.6'), 422, 'GUEST_AGENT_MISSING')

    def test_what_else_forbids_it_is_said_first(self):
        self.assert_refused(self.patch('9.9'), 404, 'DATASTORE_VERSION_NOT_FOUND')
        self.db.update_instance(task_id=3)
        self.assert_refused(self.patch('11.8.6'), 422, 'INSTANCE_BUSY')

    def test_an_upgrade_check_needs_no_heartbeat(self):
        response = self.ask(
            'POST',
            f'/instances/{database.INSTANCE}/upgrade-checks',
            {'upgrade_check': {'datastore_version': '11.8.6'}},
        )
        self.assertEqual(202, response.status_int)


class TestForEver(BesideTroveTestCase):
    silence_seconds = 0

    def test_once_heard_is_enough_where_the_operator_says_so(self):
        self.assert_refused(self.patch('11.8.6'), 422, 'GUEST_AGENT_MISSING')
        self.speak()
        self.db.pass_time(10_000_000)
        self.assertEqual(202, self.patch('11.8.6').status_int)


class TestPass(BesideTroveTestCase):
    choice = services.GuestWithoutAgent.LEAVE

    def test_one_that_has_fallen_silent_since_is_left_to_trove_again(self):
        self.speak()
        self.db.pass_time(self.silence_seconds + 1)
        self.assertEqual(418, self.patch('11.8.6').status_int)
        self.assertEqual([], self.upgrades())

    def test_a_guest_that_has_spoken_is_upgraded_by_us(self):
        self.speak()
        self.assertEqual(202, self.patch('11.8.6').status_int)
        self.assertEqual([], self.trove.seen)

    def test_the_request_goes_on_as_it_came(self):
        raw = json.dumps({'instance': {'name': 'x', 'datastore_version': '11.8.6'}}).encode()
        raw_of_one = b' {"instance" : {"datastore_version": "11.8.6"}}\n'
        for method, path, body in (
            ('PATCH', f'//instances/{database.INSTANCE}/', raw_of_one),
            ('PUT', f'/instances/{database.INSTANCE}', raw_of_one),
        ):
            self.assertEqual(418, self.ask(method, path, raw=body).status_int)
            self.assertEqual([(method, f'/{database.PROJECT}{path}', body)], self.trove.seen)
            self.trove.seen.clear()
        self.assert_refused(
            self.ask('PATCH', f'/instances/{database.INSTANCE}', raw=raw), 400, 'BODY_INVALID'
        )
        self.assertEqual([], self.upgrades())

    def test_trove_decides_which_versions_there_are(self):
        self.assertEqual(418, self.patch('9.9').status_int)

    def test_who_asks_is_in_the_log_of_whoever_answers(self):
        caller = oslo_context.RequestContext(user_id='of Trove')
        seen = []

        def trove(_environ, start_response):
            seen.append(oslo_context.get_current())
            start_response('418 Trove', [])
            return [b'']

        self.app.app._application._inner = trove
        self.patch('11.8.6')
        self.assertEqual([caller], seen)

    def test_our_policy_is_asked_first(self):
        self.assert_refused(self.patch('11.8.6', roles=stage.READER), 403, 'FORBIDDEN')
        self.assertEqual([], self.trove.seen)

    def test_an_instance_that_is_not_there_is_ours_to_say(self):
        self.assert_refused(self.patch('11.8.6', 'db1'), 404, 'INSTANCE_NOT_FOUND')
        self.assert_refused(
            self.patch('11.8.6', database.OTHER_INSTANCE), 404, 'INSTANCE_NOT_FOUND'
        )

    def test_nothing_is_handed_on_while_an_upgrade_of_ours_is_unfinished(self):
        begun = self.db.begin()
        self.assert_refused(self.patch('11.8.6'), 422, 'INSTANCE_BUSY')
        held = self.db.repositories.upgrades.claim(begun.id, 'tm', 60)
        self.db.update_instance(task_id=1)  # an operator's reset of the status: the row counts
        self.assert_refused(self.patch('11.8.6'), 422, 'INSTANCE_BUSY')
        self.db.update_instance(task_id=0x59)
        self.db.repositories.upgrades.end(held, _S.FAILED, cause='It broke.', error_code='X')
        self.assert_refused(self.patch('11.8.6'), 422, 'INSTANCE_NEEDS_RETRY')
        self.assertEqual([], self.trove.seen)

    def test_one_that_has_failed_and_no_longer_holds_the_instance_holds_nothing(self):
        held = self.db.repositories.upgrades.claim(self.db.begin().id, 'tm', 60)
        self.db.repositories.upgrades.end(held, _S.FAILED, cause='It broke.', error_code='X')
        self.db.update_instance(task_id=1)
        self.assertEqual(418, self.patch('11.8.6').status_int)

    def test_one_that_may_have_left_the_data_half_upgraded_holds_it_whatever_the_task(self):
        held = stored.adding(
            self.db.repositories.upgrades.claim(self.db.begin().id, 'tm', 60),
            post_upgrade_sent_in_attempt=1,
        )
        held = held.evolve(step=states.Step.RESTORE)
        self.db.repositories.upgrades.end(held, _S.FAILED, cause='It broke.', error_code='X')
        self.db.update_instance(task_id=1)
        self.assert_refused(self.patch('11.8.6'), 422, 'INSTANCE_NEEDS_RETRY')
        self.assertEqual([], self.trove.seen)

    def test_one_that_has_ended_well_holds_nothing(self):
        held = self.db.repositories.upgrades.claim(self.db.begin().id, 'tm', 60)
        self.db.repositories.upgrades.end(held, _S.ABORTED, cause='No.', error_code='X')
        self.assertEqual(418, self.patch('11.8.6').status_int)


class TestAlone(stage.ApiTestCase):
    def test_alone_the_precheck_finds_it(self):
        self.assertIsNone(
            services.Settings(
                page_size=1000, max_body_bytes=65536, public_endpoint=None, region='RegionOne'
            ).guest_without_agent
        )
        self.assertEqual(202, self.patch('11.8.6').status_int)


class TestWithoutOurTables(BesideTroveTestCase):
    def test_what_is_ours_is_503_and_says_what_to_run(self):
        with self.db.database.write() as connection:
            connection.execute(sa.text('DROP TABLE upgrade_guests'))
        response = self.patch('11.8.6')
        self.assert_refused(response, 503, 'DATABASE_SCHEMA_MISSING')
        self.assertIn(db_errors.MAKE_TABLES, self.fault(response)['message'])

    def test_the_log_has_one_line_with_the_same_advice(self):
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade', level=logging.WARNING))
        with self.db.database.write() as connection:
            connection.execute(sa.text('DROP TABLE upgrade_guests'))
        self.patch('11.8.6')
        [line] = log.output.splitlines()
        self.assertIn('SCHEMA_MISSING', line)
        self.assertIn(db_errors.MAKE_TABLES, line)

    def test_a_schema_of_the_release_before_and_tables_of_troves_are_told_apart(self):
        with self.db.database.write() as connection:
            connection.exec_driver_sql('DROP TABLE instance_upgrade_steps')
            connection.exec_driver_sql('ALTER TABLE instance_upgrades ADD COLUMN steps TEXT')
        self.db.database.forget_columns()
        response = self.ask('GET', '/upgrades')
        self.assert_refused(response, 503, 'DATABASE_SCHEMA_MISSING')
        self.assertIn(db_errors.EXPAND_TABLES, self.fault(response)['message'])
        with self.db.database.write() as connection:
            connection.exec_driver_sql('DROP TABLE instances')
        response = self.patch('11.8.6')
        self.assert_refused(response, 503, 'DATABASE_SCHEMA_MISSING')
        self.assertIn(db_errors.FIND_TROVES_TABLES, self.fault(response)['message'])

    def test_a_database_that_is_away_is_one_line_and_503_without_its_address(self):
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade', level=logging.WARNING))
        away = engine.Database.from_url('mysql+pymysql://u:s3cret@127.0.0.1:1/trove', max_retries=0)
        self.addCleanup(away.dispose)
        self.app = self.new_app(repos=repositories.Repositories.of(away))
        response = self.ask('GET', '/upgrades')
        self.assert_refused(response, 503, 'DATABASE_UNAVAILABLE')
        [line] = log.output.splitlines()
        self.assertIn('DATABASE_ERROR', line)
        self.assertNotIn('s3cret', line)
        self.assertNotIn('127.0.0.1', response.text)
