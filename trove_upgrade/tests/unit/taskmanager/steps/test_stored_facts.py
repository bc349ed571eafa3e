# SPDX-License-Identifier: Apache-2.0
"""A row that a release wrote which did not look at what guests return: its facts meet the steps
that use them.
"""

from trove_upgrade.domain import exceptions, states
from trove_upgrade.tests.unit import base, stored
from trove_upgrade.tests.unit.rpc.test_agents_of_1_0 import HOSTILE, UUID
from trove_upgrade.tests.unit.taskmanager import fakes

S = states.UpgradeState
#: A rebuild renders one field, and looks at its form; the guest parses all of them.
RENDERED = {
    name: facts
    for name, facts in HOSTILE.items()
    if not isinstance(facts, dict) or 'volume_uuid' in facts
}
LARGE = {'volume_uuid': UUID, 'more': ['x' * 4000] * 2000}


class StoredFactsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.before = self.stage.db.begin()

    def row(self, step, facts, **data):
        """As it is read from the database, where it stood already."""
        upgrades = self.stage.repos.upgrades
        begun = self.before.evolve(id=self.before.id)
        entries = {
            'rebuild_for_attempt': 1,
            'rebuilds_in_attempt': 1,
            'former_boot_id': fakes.FORMER_BOOT,
            'upgrade_info': facts,
            **data,
        }
        held = upgrades.claim(begun.id, 'tm', 60)
        return upgrades.save(
            held.evolve(step=step, rebuild_attempt=1, progress=stored.progress(**entries)),
            release_for_seconds=0,
        )

    def assert_refused(self, step, row):
        error = self.assertRaises(exceptions.TroveUpgradeError, step.run, row)
        self.assertEqual('UPGRADE_INFO_INVALID', error.code)
        self.assertTrue(error.message.isprintable())
        self.assertNotIn('evil', error.message)
        self.assertLess(len(error.message), 1000)

    def test_a_guest_is_sent_none_that_are_not_of_their_form(self):
        for facts in (HOSTILE[name] for name in HOSTILE):
            call = self.stage.calls.plain(self.row(states.Step.VERIFY, facts))
            self.assertEqual({}, call.upgrade_info)

    def test_a_rebuild_is_not_asked_for(self):
        for name, facts in {**RENDERED, 'very much': LARGE}.items():
            with self.subTest(name):
                self.assert_refused(self.stage.rebuild, self.row(states.Step.REBUILD, facts))
        self.assertEqual([], self.stage.nova.rebuilds)

    def test_nor_is_one_back(self):
        back = {
            'rolling_back': {'cause': 'c', 'error_code': 'X'},
            'former_server_version': '10.11.14',
        }
        for name, facts in RENDERED.items():
            with self.subTest(name):
                row = self.row(states.Step.REBUILD, facts, **back).evolve(former_image_id='i')
                self.assert_refused(self.stage.rebuild, row)
        self.assertEqual([], self.stage.nova.rebuilds)

    def test_a_guest_is_not_asked_to_restore(self):
        for name, facts in {**HOSTILE, 'very much': LARGE}.items():
            with self.subTest(name):
                self.assert_refused(self.stage.restore, self.row(states.Step.RESTORE, facts))
        self.assertEqual([], self.stage.guest.asked('post_upgrade'))

    def test_the_upgrade_ends_and_says_so(self):
        for step in (states.Step.REBUILD, states.Step.RESTORE):
            with self.subTest(step):
                self.stage = self.useFixture(fakes.Stage())
                self.before = self.stage.db.begin()
                row = self.stage.run_on(self.row(step, HOSTILE['a line of its own']).id)
                self.assertIn(row.state, {S.FAILED, S.ABORTED})
                self.assertEqual('UPGRADE_INFO_INVALID', row.error_code)
                self.assertEqual([], self.stage.nova.rebuilds)
                self.assertEqual([], self.stage.guest.asked('post_upgrade'))
