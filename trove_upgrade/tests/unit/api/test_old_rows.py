# SPDX-License-Identifier: Apache-2.0
"""Rows that earlier releases wrote with what a guest had said: clean on the way out, and bounded in
what they cost.
"""

import dataclasses
import datetime
import tracemalloc

import sqlalchemy as sa

from trove_upgrade.db import models, upgrades
from trove_upgrade.domain import answers, states
from trove_upgrade.domain.events import OutboxEvent
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.domain.upgrades import StepRun
from trove_upgrade.rpc import notifier
from trove_upgrade.tests.unit import database, stored
from trove_upgrade.tests.unit.api import stage
from trove_upgrade.tests.unit.rpc.test_rpc import _Transport

EVIL = 'said\r\n\x1b[2J\x9b1m\u2028\u202ex'
NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
MEBIBYTE = 2**20


def texts(value):
    """All of a value of JSON, names too."""
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


class OldRowsTestCase(stage.ApiTestCase):
    @property
    def repository(self):
        return self.db.repositories.upgrades

    def stored(self, **data):
        """A row that FAILED, as it was written then."""
        begun = self.db.begin(self.db.add_instance())
        held = self.repository.claim(begun.id, 'tm', 60)
        run = StepRun(
            step=states.Step.RESTORE,
            attempt=1,
            started_at=NOW,
            ended_at=NOW,
            outcome='failed',
            message=EVIL,
        )
        held = self.repository.save(
            stored.adding(held.evolve(steps=(run,)), remarks=[EVIL], warnings=[{'message': EVIL}])
        )
        self.repository.end(held, states.UpgradeState.FAILED, cause=EVIL, error_code='X')
        self.write(begun.id, {**stored.entries_of(held), **data})
        return begun

    def write(self, upgrade_id, data):
        with self.db.database.write() as connection:
            table = models.instance_upgrades
            connection.execute(sa.update(table).where(table.c.id == upgrade_id).values(data=data))


class TestTexts(OldRowsTestCase):
    def test_no_answer_holds_a_control_character(self):
        row = self.stored(settings_changed=[{'name': EVIL, 'before': EVIL, 'after': EVIL}])
        for roles in (stage.MEMBER, stage.READER, stage.ADMIN):
            for path in (
                f'/upgrades/{row.id}',
                '/upgrades',
                f'/instances/{row.instance_id}',
                f'/instances/{row.instance_id}/upgrades',
            ):
                answer = self.ask('GET', path, roles=roles)
                self.assertEqual(200, answer.status_int)
                found = texts(answer.json)
                self.assertEqual(
                    [], [text for text in found if not text.replace('\n', '').isprintable()], path
                )
        shown = self.ask('GET', f'/upgrades/{row.id}').json['upgrade']
        for text in (shown['cause'], shown['steps'][0]['message'], shown['remarks'][0]['message']):
            self.assertIn(r'said\r\n\x1b[2J', text)

    def test_no_report_of_checks_does(self):
        version = self.db.repositories.datastores.version_by_id(database.MARIADB_11_8)
        checks, instances = self.db.repositories.checks, self.db.repositories.instances
        begun = checks.begin(instances.get(database.INSTANCE), version)
        results = (CheckResult(name='guest_x', outcome='refused', message=EVIL, code='X'),)
        claimed = checks.claim(begun.id, 'tm', 60)
        checks.finish(
            dataclasses.replace(
                claimed, state='FAILED', results=results, cause=EVIL, error_code='X'
            ),
            'tm',
        )
        path = f'/instances/{database.INSTANCE}/upgrade-checks/{begun.id}'
        for roles in (stage.MEMBER, stage.ADMIN):
            found = texts(self.ask('GET', path, roles=roles).json)
            self.assertEqual([], [text for text in found if not text.isprintable()])

    def test_no_notification_does(self):
        """The event waited in the outbox."""
        payload = {
            'cause': EVIL,
            'remarks': [{'message': EVIL}],
            'instance': {'name': EVIL, EVIL: 1},
            'n': 1.5,
        }
        event = OutboxEvent(
            id='e1', upgrade_id='u1', kind='error', attempt=2, payload=payload, created_at=NOW
        )
        sink = _Transport()
        notifier.MessagingNotifier(
            sink, publisher_id='p', drivers=('messagingv2',), topics=['a'], now=lambda: NOW
        ).send(event)
        sent = sink.sent[0][1]['payload']
        self.assertEqual([], [text for text in texts(sent) if not text.isprintable()])
        self.assertEqual(1.5, sent['n'])


class TestData(OldRowsTestCase):
    def test_what_a_row_holds_is_cut_when_it_is_read_and_stays_so_when_it_is_written(self):
        begun = self.db.begin(self.db.add_instance())
        large = {
            'fingerprint': {'a': ['x' * 1000] * 5000},
            'sent_in_attempt': 1,
            'upgrade_info': {'a': 'x' * 5 * MEBIBYTE},
        }
        self.write(begun.id, large)
        held = self.repository.claim(begun.id, 'tm', 60)
        self.repository.save(held)
        with self.db.database.read() as connection:
            length = (
                connection.execute(sa.select(sa.func.length(models.instance_upgrades.c.data)))
                .scalars()
                .all()
            )
        self.assertLess(max(length), 2 * answers.FACTS)
        kept = stored.entries_of(self.repository.get(begun.id))
        self.assertEqual(1, kept['sent_in_attempt'])
        self.assertEqual({'schema': '...'}, kept['upgrade_info'])

    def test_usual_data_is_as_it_was(self):
        usual = {
            'upgrade_info': {'a': {'b': [1, None, 'x\ny']}},
            'downtime_seconds': 1.5,
            'fingerprint': {'a': 'x' * 60_000},
        }
        self.assertEqual(usual, answers.stored(usual))

    def test_one_that_is_shown_alone_costs_no_more_than_it_may(self):
        row = self.stored(upgrade_info={'a': ['x' * 1000] * 7000}, downtime_seconds=1.0)
        self.ask('GET', '/upgrades')
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        answer = self.ask('GET', f'/upgrades/{row.id}')
        self.assertLess(tracemalloc.get_traced_memory()[1], 4 * MEBIBYTE)
        shown = answer.json['upgrade']
        self.assertEqual(('FAILED', 1), (shown['state'], len(shown['steps'])))
        for name in ('downtime_seconds', 'remarks', 'warnings', 'settings_changed'):
            self.assertIsNone(shown[name])

    def test_one_below_the_bound_is_shown_whole(self):
        row = self.stored(
            upgrade_info={'a': 'x' * (upgrades.MOST_SHOWN - 5000)}, downtime_seconds=1.0
        )
        shown = self.ask('GET', f'/upgrades/{row.id}').json['upgrade']
        self.assertEqual((1.0, 1), (shown['downtime_seconds'], len(shown['remarks'])))

    def test_of_another_project_it_is_not_shown(self):
        row = self.stored()
        self.assertEqual(404, self.ask('GET', f'/upgrades/{row.id}', project_id='other').status_int)
