# SPDX-License-Identifier: Apache-2.0
"""A new instance of a version is made and is gone again, whatever happens in between."""

import fixtures

from trove_upgrade.bridge.smoke import Limits, Shape, SmokeTest, name_of
from trove_upgrade.domain import database_service as domain
from trove_upgrade.domain.verified import Outcome
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.bridge.trove import FakeTrove, Time, an_instance

SHAPE = Shape(flavor_id='6', volume_size_gb=2, network_id='net')
RUN = '5b1c'
NAME = name_of(RUN, 'v2')


class Interrupted(BaseException):
    """Ctrl-C, at a moment that a test chooses."""


class SmokeTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.trove = FakeTrove(an_instance())
        self.time = Time()
        self.told = []
        self.test = SmokeTest(
            service=self.trove,
            clock=self.time,
            pause=self.time,
            tell=self.told.append,
            limits=Limits(serving=100, gone=60, building=20, unanswered=15),
        )

    def create(self):
        return self.test.create(RUN, 'v2', SHAPE)

    def left(self):
        """What is there of ours; the tenant's instance stays whatever happens."""
        self.assertIn('i1', self.trove.there)
        return [one.name for one in self.trove.there.values() if one.id != 'i1']

    def interrupt(self):
        self.time.after = []
        raise Interrupted


class TestAllIsWell(SmokeTestCase):
    def test_it_is_made_as_asked_serves_and_is_gone(self):
        result = self.create()
        self.assertEqual(
            (Outcome.OK, 'v2', NAME, 5.0),
            (result.outcome, result.version_id, result.instance_name, result.seconds),
            result,
        )
        self.assertEqual(
            [
                domain.NewInstance(
                    name=NAME,
                    datastore='d',
                    version='v2',
                    flavor_id='6',
                    volume_size_gb=2,
                    network_id='net',
                )
            ],
            self.trove.made,
        )
        self.assertEqual([], self.left())

    def test_its_name_has_the_run_and_progress_is_told(self):
        self.trove.statuses_of_new = ['BUILD', 'BUILD', 'ACTIVE']
        self.create()
        self.assertIn(RUN, NAME)
        self.assertIn('Instance new-1: BUILD.', self.told)
        self.assertIn(f'Instance {NAME} is deleted: ACTIVE, HEALTHY.', self.told)

    def test_what_a_killed_process_of_the_run_has_left_is_found_and_goes_too(self):
        self.trove.there['old'] = an_instance(id='old', name=NAME)
        self.assertEqual(['old'], [one.id for one in self.test.left_of(RUN)])
        self.assertEqual(Outcome.OK, self.create().outcome)
        self.assertEqual([], self.left())


class TestFailures(SmokeTestCase):
    def failed(self):
        result = self.create()
        self.assertTrue(result.is_failure, result)
        self.assertEqual([], self.left())
        return result.message

    def test_one_that_ends_in_error_is_gone(self):
        self.trove.statuses_of_new = ['BUILD', 'ERROR']
        self.assertIn('ERROR', self.failed())

    def test_one_that_is_never_built_is_taken_out_of_troves_hands_and_is_gone(self):
        self.trove.statuses_of_new = ['BUILD']
        self.assertIn('does not serve 100 s after', self.failed())
        self.assertEqual(['new-1'], self.trove.resets[:1])
        self.assertGreaterEqual(self.time.seconds, 100 + 20)

    def test_a_refusal_leaves_nothing_and_waits_for_nothing(self):
        self.trove.refuses['create_instance'] = 1
        self.failed()
        self.assertEqual(0, self.time.seconds)

    def test_an_outage_while_it_is_built_is_waited_for(self):
        self.trove.away['instance'] = 3
        self.assertEqual(Outcome.OK, self.create().outcome)

    def test_one_whose_creation_got_no_answer_is_found_by_its_name(self):
        self.trove.away['create_instance'] = 1
        self.failed()
        self.assertEqual(1, len(self.trove.made))

    def test_one_that_comes_after_that_is_found_too(self):
        self.trove.away['create_instance'] = 1
        made, self.trove.create_instance = self.trove.create_instance, self.no_answer

        def comes():
            self.time.after = []
            self.trove.away.clear()
            made(
                domain.NewInstance(
                    name=NAME,
                    datastore='d',
                    version='v2',
                    flavor_id='6',
                    volume_size_gb=None,
                    network_id=None,
                )
            )

        self.time.after = [comes]
        self.failed()
        self.assertEqual(1, len(self.trove.made))

    def no_answer(self, wanted):
        raise domain.DatabaseServiceUnavailable(what=wanted.name, found='no answer')

    def test_a_service_that_makes_no_instances_is_told_of(self):
        def none(wanted):
            raise domain.NotOffered(what=wanted.name, status=405)

        self.trove.create_instance = none
        result = self.create()
        self.assertEqual((Outcome.NOT_OFFERED, False), (result.outcome, result.is_failure))

    def test_an_outage_while_it_is_deleted_is_waited_for(self):
        self.trove.away['instances'] = 3
        self.assertEqual(Outcome.OK, self.create().outcome)
        self.assertEqual([], self.left())

    def test_a_deletion_that_is_refused_is_a_failure_with_the_refusal(self):
        self.trove.refuses['delete_instance'] = 10_000
        result = self.create()
        self.assertEqual(Outcome.FAILED, result.outcome)
        self.assertIn('refused delete_instance: no', result.message)

    def test_one_that_does_not_go_is_a_failure_with_its_name(self):
        self.trove.looks_until_gone = 10_000
        result = self.create()
        self.assertEqual(Outcome.FAILED, result.outcome)
        self.assertIn(f'force delete {NAME}', result.message)
        self.assertEqual([NAME], self.left())


class TestInterruption(SmokeTestCase):
    def test_it_is_gone_when_the_wait_is_interrupted(self):
        self.trove.statuses_of_new = ['BUILD'] * 4 + ['ACTIVE']
        self.time.after = [self.interrupt]
        self.assertRaises(Interrupted, self.create)
        self.assertEqual(1, len(self.trove.made))
        self.assertEqual([], self.left())

    def test_one_that_does_not_go_is_logged_and_the_interruption_goes_on(self):
        log = self.useFixture(fixtures.FakeLogger())
        self.trove.looks_until_gone = 10_000
        self.trove.statuses_of_new = ['BUILD', 'BUILD', 'ACTIVE']
        self.time.after = [self.interrupt]
        self.assertRaises(Interrupted, self.create)
        self.assertIn(f'force delete {NAME}', log.output)

    def test_it_is_gone_when_the_creation_itself_is_interrupted(self):
        made = self.trove.create_instance

        def interrupted(wanted):
            made(wanted)
            raise Interrupted

        self.trove.create_instance = interrupted
        self.trove.statuses_of_new = ['ACTIVE']
        self.assertRaises(Interrupted, self.create)
        self.assertEqual([], self.left())

    def test_a_listener_that_fails_does_not_keep_it_there(self):
        def broken(message):
            raise ValueError(message)

        test = SmokeTest(
            service=self.trove,
            clock=self.time,
            pause=self.time,
            tell=broken,
            limits=self.test.limits,
        )
        self.assertRaises(ValueError, test.create, RUN, 'v2', SHAPE)
        self.assertEqual([], self.left())
