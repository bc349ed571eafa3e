# SPDX-License-Identifier: Apache-2.0
"""Facts of marks, as they stand in the files that agents of other releases write and read."""

import json
import pathlib

import fixtures

from trove_upgrade.domain.guest_results import Compared
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.storage.volume_ownership import Top
from trove_upgrade.guestagent.upgrade.mark_facts import (
    ComparedFacts,
    ConfiguredFacts,
    FinishedFacts,
    OpenedFacts,
    QuiescedFacts,
    QuiescingFacts,
    RestoredFacts,
    ServerStartedFacts,
    StashedFacts,
    UpgradedFacts,
)
from trove_upgrade.guestagent.upgrade.marks import Facts, Mark, Marks
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes

NOON = '2026-11-21T12:00:00+00:00'
ROOT, VOLUME = 'var/lib/trove-upgrade', 'var/lib/database/.trove-upgrade'
#: Places, text and record.  Texts and places are those that the release before this one writes.
WRITTEN = (
    (
        (f'{ROOT}/marks/quiescing.json',),
        '{"mount_options": "rw,noatime", "upgrade_id": "u", "volume_uuid": "v"}',
        QuiescingFacts(upgrade_id='u', volume_uuid='v', mount_options='rw,noatime'),
    ),
    (
        (f'{ROOT}/marks/quiescing.json',),
        (
            '{"mount_options": "rw,noatime", "top": {"gid": 1002, "mode": 1517, "uid": 1001}, '
            '"upgrade_id": "u", "volume_uuid": "v"}'
        ),
        QuiescingFacts(
            upgrade_id='u',
            volume_uuid='v',
            mount_options='rw,noatime',
            top=Top(uid=1001, gid=1002, mode=0o2755),
        ),
    ),
    (
        (f'{ROOT}/marks/quiesced.json',),
        (
            '{"mount_options": "rw,noatime", "upgrade_id": "u", '
            '"upgrade_info": {"schema": 1, "stash": "s"}, "volume_uuid": "v"}'
        ),
        QuiescedFacts(
            upgrade_id='u',
            volume_uuid='v',
            mount_options='rw,noatime',
            upgrade_info={'schema': 1, 'stash': 's'},
        ),
    ),
    (
        (f'{VOLUME}/mark-stashed.json',),
        '{"digest": "d", "stash": "stash-u-1", "upgrade_id": "u"}',
        StashedFacts(upgrade_id='u', stash='stash-u-1', digest='d'),
    ),
    (
        (f'{ROOT}/marks/configured.json',),
        '{"remarks": ["no user x"], "upgrade_id": "u"}',
        ConfiguredFacts(upgrade_id='u', remarks=['no user x']),
    ),
    (
        (
            f'{VOLUME}/mark-server_started_on_data.json',
            f'{ROOT}/marks/server_started_on_data.json',
        ),
        f'{{"at": "{NOON}", "boot_id": "b", "upgrade_id": "u"}}',
        ServerStartedFacts(upgrade_id='u', boot_id='b', at=NOON),
    ),
    (
        (
            f'{VOLUME}/mark-server_started_on_data.json',
            f'{ROOT}/marks/server_started_on_data.json',
        ),
        f'{{"at": "{NOON}", "boot_id": "b", "rollback": true, "upgrade_id": "u"}}',
        ServerStartedFacts(upgrade_id='u', boot_id='b', at=NOON, rollback=True),
    ),
    (
        (f'{VOLUME}/mark-upgraded.json',),
        '{"server_version": null, "upgrade_id": "u"}',
        UpgradedFacts(upgrade_id='u', server_version=None),
    ),
    (
        (f'{VOLUME}/mark-compared.json',),
        (
            '{"result": {"fingerprint": {"missing": []}, '
            '"settings_changed": [{"after": "2", "before": "1", "name": "x"}], '
            '"settings_kept": ["sql_mode"]}, "upgrade_id": "u"}'
        ),
        ComparedFacts(
            upgrade_id='u',
            result=Compared(
                fingerprint={'missing': []},
                settings_changed=[{'name': 'x', 'before': '1', 'after': '2'}],
                settings_kept=['sql_mode'],
            ),
        ),
    ),
    (
        (f'{VOLUME}/mark-opened.json',),
        f'{{"opened_at": "{NOON}", "server_version": "11.8.6-MariaDB", "upgrade_id": "u"}}',
        OpenedFacts(upgrade_id='u', opened_at=NOON, server_version='11.8.6-MariaDB'),
    ),
    (
        (f'{VOLUME}/mark-opened.json',),
        (
            f'{{"opened_at": "{NOON}", "opening_at": "{NOON}", "server_version": null, '
            '"upgrade_id": "u"}'
        ),
        OpenedFacts(upgrade_id='u', opened_at=NOON, opening_at=NOON),
    ),
    (
        (f'{ROOT}/restored',),
        '{"boot_id": "b", "marker": null, "upgrade_id": "u"}',
        RestoredFacts(upgrade_id='u', marker=None, boot_id='b'),
    ),
    (
        (f'{ROOT}/marks/finished.json',),
        f'{{"remove_at": "{NOON}", "removed": false, "upgrade_id": "u"}}',
        FinishedFacts(upgrade_id='u', remove_at=NOON),
    ),
)


class MarkFactsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        layout = Layout(self.root)
        layout.volume.mkdir(parents=True)
        self.marks = Marks(layout)

    def test_each_is_written_as_the_release_before_writes_it(self):
        for places, text, facts in WRITTEN:
            self.marks.record(facts)
            self.assertEqual([text] * len(places), [self.text(place) for place in places])

    def test_each_that_the_release_before_has_written_is_read(self):
        for places, text, facts in WRITTEN:
            self.marks.set(facts.mark, 'u')
            for place in places:
                (self.root / place).write_text(text)
            self.assertEqual(facts, self.marks.get(type(facts), 'u'))
            self.assertEqual(facts, self.marks.get(type(facts)))
            self.assertIsNone(self.marks.get(type(facts), 'another'))

    def test_keys_that_only_a_later_release_knows_are_ignored(self):
        for _, text, facts in WRITTEN:
            later = {**json.loads(text), 'of_a_later_release': {'any': 'thing'}}
            self.assertEqual(facts, type(facts).from_json(later))

    def test_a_mark_without_what_no_flow_needs_counts(self):
        needed = {Mark.QUIESCING, Mark.QUIESCED, Mark.FINISHED}
        for kind in Facts.__subclasses__():
            self.marks.set(kind.mark, 'u')
            if kind.mark in needed:
                self.assertRaises(TypeError, self.marks.get, kind, 'u')
            else:
                self.assertEqual(kind(upgrade_id='u'), self.marks.get(kind, 'u'))
            self.assertTrue(self.marks.has(kind.mark, 'u'))

    def test_every_mark_with_facts_has_one_record(self):
        marks = [kind.mark for kind in Facts.__subclasses__()]
        self.assertEqual(sorted(set(Mark) - {Mark.VERIFIED}), sorted(marks))

    def text(self, place):
        return (self.root / place).read_text()
