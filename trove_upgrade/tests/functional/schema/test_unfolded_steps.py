# SPDX-License-Identifier: Apache-2.0
"""What a server makes of a history by itself is what the migration would have made of it."""

import datetime
import itertools
import json
import uuid

import sqlalchemy as sa

from trove_upgrade.db import engine, models
from trove_upgrade.db.migrations.data import borealis_unfold
from trove_upgrade.db.migrations.data.borealis_steps import BorealisSteps, Damaged, history_of
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases

_WHOLE, _PARTS = '2026-11-21T01:02:03+00:00', '2024-02-29T23:59:59.000120+00:00'
_ENTRY = {
    'attempt': 1,
    'ended_at': None,
    'message': None,
    'outcome': None,
    'percent': None,
    'runs': 0,
    'started_at': _WHOLE,
    'step': 'precheck',
}
_PLAIN = [
    [
        {
            **_ENTRY,
            **dict(
                zip(
                    ('started_at', 'ended_at', 'message', 'outcome', 'percent', 'runs'),
                    values,
                    strict=True,
                )
            ),
        }
    ]
    for values in itertools.product(
        (_WHOLE, _PARTS),
        (None, _WHOLE, _PARTS),
        (None, '', "it's 100%: {}[],/ :x ~"),
        (None, 'done'),
        (None, 0, 100),
        (0, 999_999_999),
    )
]
_PLAIN.append([{**_ENTRY, 'attempt': number} for number in range(1, 31)])
#: For our own eyes: escapes, other offsets, no offset, no such day, other types, other forms, more
#: and fewer keys.
_OTHERS = [
    [],
    [{**_ENTRY, 'message': 'a "b" \\ \n \u2713 \0'}],
    [{**_ENTRY, 'started_at': '2026-11-21T01:02:03+02:00'}],
    [{**_ENTRY, 'started_at': '2026-11-21T01:02:03'}],
    [{**_ENTRY, 'started_at': '2026-02-30T01:02:03+00:00'}],
    [{**_ENTRY, 'runs': 1.6}],
    [{**_ENTRY, 'runs': '1'}],
    [{**_ENTRY, 'attempt': 10**10}],
    [{**_ENTRY, 'step': 'X'}],
    [{**_ENTRY, 'step': ''}],
    [{**_ENTRY, 'more': 1}],
    [{'attempt': 1}],
    {},
    None,
    [1],
    [[_ENTRY]],
]


def _compact(history):
    return json.dumps(history, sort_keys=True, separators=(',', ':'))


class OnARealServer(databases.OneServer):
    """The cases; each server below runs all of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        database = engine.Database.from_url(cls.server.create())
        cls.addClassCleanup(database.dispose)
        cls.engine = database.engine
        runner = Runner(cls.engine)
        runner.sync('aurora')
        runner.expand()

    def add(self, text):
        row = dict.fromkeys(
            (
                'instance_id',
                'project_id',
                'instance_name',
                'server_id',
                'state',
                'step',
                'former_version_id',
                'target_version_id',
                'target_image_id',
                'datastore_manager',
                'target_number',
            ),
            'x',
        )
        row |= dict.fromkeys(('attempt', 'rebuild_attempt', 'generation'), 1)
        row |= dict.fromkeys(
            ('created_at', 'updated_at'), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        )
        upgrade_id = str(uuid.uuid4())
        with self.engine.begin() as connection:
            connection.execute(
                sa.insert(models.expanded_instance_upgrades).values(
                    row | {'data': {}, 'steps': [], 'id': upgrade_id}
                )
            )
            connection.execute(
                sa.text('UPDATE instance_upgrades SET steps = :text WHERE id = :id'),
                {'text': text, 'id': upgrade_id},
            )
        return upgrade_id

    def test_each_history_is_copied_as_we_read_it(self):
        expected, damaged = {}, set()
        for text in map(_compact, _PLAIN + _OTHERS):
            upgrade_id = self.add(text)
            try:
                expected[upgrade_id] = [tuple(row.values()) for row in history_of(upgrade_id, text)]
            except Damaged:
                damaged.add(upgrade_id)
        with self.engine.begin() as connection:
            self.assertTrue(borealis_unfold.can_unfold(connection.dialect))
            batch = BorealisSteps().run_batch(connection, '', 1000)
        self.assertEqual((len(_PLAIN) + len(_OTHERS), len(expected)), (batch.found, batch.done))
        found = {upgrade_id: [] for upgrade_id in expected}
        with self.engine.connect() as connection:
            for row in connection.execute(
                sa.text(
                    'SELECT upgrade_id, position, attempt, step, started_at, ended_at, runs, '
                    'outcome, percent, message FROM instance_upgrade_steps ORDER BY upgrade_id, '
                    'position'
                )
            ):
                found[row.upgrade_id].append(tuple(row))
            left = (
                connection.execute(
                    sa.text('SELECT id FROM instance_upgrades WHERE steps_at IS NULL')
                )
                .scalars()
                .all()
            )
        self.assertEqual(expected, found)
        self.assertEqual(damaged, set(left))

    def test_what_could_be_understood_in_two_ways_is_not_left_to_the_server(self):
        self.assertEqual(
            [], [text for text in map(_compact, _OTHERS) if borealis_unfold.is_plain(text)]
        )
        self.assertEqual(
            [], [text for text in map(_compact, _PLAIN) if not borealis_unfold.is_plain(text)]
        )


class UnfoldedStepsOnMariaDBTestCase(OnARealServer, base.TestCase):
    server_class = databases.MariaDB


class UnfoldedStepsOnPostgreSQLTestCase(OnARealServer, base.TestCase):
    server_class = databases.PostgreSQL
