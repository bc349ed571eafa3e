# SPDX-License-Identifier: Apache-2.0
"""The server that stands in for the service in the user's guide answers as the service does."""

import datetime

from trove_upgrade.api import policies
from trove_upgrade.api.policies import upgrades as policy
from trove_upgrade.api.views import upgrades as view
from trove_upgrade.domain import actions, admission, holds, notes, states, versions
from trove_upgrade.domain.actions import Action
from trove_upgrade.domain.progress import Way
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.domain import test_actions
from troveupgradeclient.tests import transcripts
from troveupgradeclient.tests.standin import actions as told
from troveupgradeclient.tests.standin import application, world

S, Step = states.UpgradeState, states.Step
NOW = datetime.datetime(2026, 11, 30, 10, tzinfo=datetime.UTC)
_ASKED = holds.Choices(hold=True)
_HELD = holds.Hold(since=NOW)
_OVER = holds.Hold(since=NOW, over_at=NOW)
#: State, step, and what differs from an upgrade in its first attempt without a hold.
ROWS = (
    (S.PENDING, Step.PRECHECK, {}),
    (S.PENDING, Step.PRECHECK, {'choices': _ASKED}),
    (S.RUNNING, Step.PRECHECK, {}),
    (S.RUNNING, Step.PRECHECK, {'choices': _ASKED}),
    (S.HELD, Step.PRECHECK, {'choices': _ASKED, 'hold': _HELD}),
    (S.RUNNING, Step.QUIESCE, {'choices': _ASKED, 'hold': _OVER}),
    (S.RUNNING, Step.QUIESCE, {}),
    (S.RUNNING, Step.REBUILD, {}),
    (S.RUNNING, Step.BOOT, {}),
    (S.RUNNING, Step.RESTORE, {}),
    (S.RUNNING, Step.VERIFY, {}),
    (S.COMPLETED, Step.VERIFY, {}),
    (S.COMPLETED, Step.VERIFY, {'choices': _ASKED, 'hold': _OVER}),
    (S.COMPLETED, Step.VERIFY, {'attempt': 2}),
    (S.ABORTED, Step.PRECHECK, {}),
    (S.FAILED, Step.BOOT, {}),
    (S.FAILED, Step.RESTORE, {}),
    (S.RUNNING, Step.BOOT, {'attempt': 2}),
    (S.RUNNING, Step.REBUILD, {'attempt': 2, 'way': Way.BACK}),
    (S.ROLLED_BACK, Step.VERIFY, {'attempt': 2, 'way': Way.BACK}),
)


class TestVerdicts(base.TestCase):
    def setUp(self):
        super().setUp()
        self.begun = self.useFixture(database.SampleDatabase()).begin()

    def row(self, state, step, *, attempt=1, way=Way.FORWARD, choices=None, hold=holds.NO_HOLD):
        data = {**test_actions.DATA[step], **test_actions.WAYS[way]}
        progress = stored.progress(**data).evolve(choices=choices or holds.NO_CHOICES, hold=hold)
        return self.begun.evolve(
            state=state,
            step=step,
            attempt=attempt,
            rebuild_attempt=0 if step in {Step.PRECHECK, Step.QUIESCE} else 1,
            former_image_id=database.IMAGE_10_11,
            progress=progress,
        )

    def test_each_action_is_judged_in_the_same_words(self):
        for state, step, differing in ROWS:
            with self.subTest(state=state, step=step, **differing):
                row = self.row(state, step, **differing)
                made = world.World()
                if row.is_rolling_back:
                    made.led_back.add(row.id)
                shown = {
                    'id': row.id,
                    'state': str(state),
                    'step': str(step),
                    'attempt': row.attempt,
                    'cancellable': view.is_cancellable(row),
                    'rollback_possible_until': admission.rollback_possible_until(row),
                    'hold': row.progress.choices.hold,
                    'held_since': row.progress.hold.since and NOW.isoformat(),
                }
                judged = [actions.verdict(each, row) for each in Action]
                self.assertEqual(
                    [(each.allowed, str(each.code), each.sentence) for each in judged],
                    [told.verdict(made, shown, str(each)) for each in Action],
                )

    def test_looks_at_one_that_runs_tell_the_same_of_what_is_possible(self):
        for step in states.STEPS:
            look, row = world.running(str(step)), self.row(S.RUNNING, step)
            self.assertEqual(view.is_cancellable(row), look['cancellable'], step)
            if step is not Step.REBUILD:  # it depends on whether Nova has accepted it yet
                limit = admission.rollback_possible_until(row)
                self.assertEqual(limit, look['rollback_possible_until'], step)


class TestSentences(base.TestCase):
    def test_the_guide_has_the_actions_of_members(self):
        rules = {rule.name: rule.check_str for rule in policies.list_rules()}
        admins = {
            str(action)
            for action, rule in policy.OF_ACTION.items()
            if rules[rule] not in {rules[policy.ACT], rules[policy.CREATE]}
        }
        case = _Case()
        transcripts.SCENES['failed'](case)
        self.assertEqual(admins, case.world.forbidden)

    def test_a_setting_that_has_changed_has_its_sentence(self):
        [shown] = world.completed()['settings_changed']
        change = notes.SettingChange.parse(shown)
        self.assertEqual((change.message, str(change.step)), (shown['message'], shown['step']))

    def test_targets_have_their_reasons(self):
        made = application.Application(world.World())
        _, document = application._targets(made, {}, None, world.ORDERS)
        rules = versions.Rules.load()
        for target in document['upgrade_targets']:
            verdict = rules.judge('mariadb', '10.11.14', target['name'])
            self.assertEqual(
                (verdict.allowed, str(verdict.code), verdict.reason),
                (target['allowed'], target['reason_code'], target['reason']),
            )


class _Case:
    """A case of a transcript, as far as its scenes change it."""

    def __init__(self):
        self.world = world.World()
        self.standin = self
        self.application = application.Application(self.world)
