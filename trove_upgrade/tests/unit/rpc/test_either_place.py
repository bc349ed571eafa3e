# SPDX-License-Identifier: Apache-2.0
"""A guest that listens at one of two places, and changes from one to the other."""

import datetime

import oslo_messaging

from trove_upgrade.domain import exceptions, guests
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.rpc import guestagent
from trove_upgrade.rpc.either_place import Caller, EitherPlace
from trove_upgrade.tests.unit import base

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
ANSWER = guests.GuestAnswer(
    state=guests.JobState.DONE,
    message='done',
    boot_id='boot',
    server_state=guests.ServerState.RUNNING,
    agent_version='1.0',
).to_wire()
#: What the broker does with a call, by what it has of the guest there.
LISTENS, LEFT_BEHIND, NO_QUEUE = 'listens', 'left behind', 'no queue'


class NamedByAnAnswer(oslo_messaging.MessageUndeliverable):
    """The library makes such a class of an exception that an answer names."""

    def __init__(self):
        Exception.__init__(self, 'forged')


class Place:
    """Stands in for oslo.messaging's client of one virtual host."""

    def __init__(self, name, asked):
        self.name, self.asked = name, asked
        self.has = NO_QUEUE
        self.error = None

    def prepare(self, *, transport_options=None, **_target):
        self.mandatory = transport_options is not None and transport_options.at_least_once
        return self

    def call(self, _context, _method, **_arguments):
        self.asked.append(self.name)
        if self.error is not None:
            raise self.error
        if self.has == LISTENS:
            return ANSWER
        if self.has == NO_QUEUE and self.mandatory:
            raise oslo_messaging.MessageUndeliverable('e', 'x', 'k', 'm')
        raise oslo_messaging.MessagingTimeout('no answer')


class TestEitherPlace(base.TestCase):
    def setUp(self):
        super().setUp()
        self.asked = []
        self.guests, self.services = Place('guests', self.asked), Place('services', self.asked)
        self.looked = []
        self.either = EitherPlace(
            *(
                Caller(one, lambda one=one: self.looked.append(one.name))
                for one in (self.guests, self.services)
            )
        )
        self.api = guestagent.GuestAgentAPI(
            self.either, topic_prefix='guestagent.', timeout_seconds=1
        )

    def ask(self, instance='i1'):
        """Places that were asked for one call, and whether it was answered."""
        del self.asked[:]
        call = guests.GuestCall(
            instance_id=instance,
            upgrade_id='u1',
            attempt=1,
            generation=2,
            deadline=NOW,
            target=TargetFacts(),
        )
        try:
            answered = self.api.check_upgrade(call).state is guests.JobState.DONE
        except exceptions.GuestUnavailable:
            answered = False
        return list(self.asked), answered

    def test_a_guest_of_the_guests_place_is_asked_there_alone(self):
        self.guests.has = LISTENS
        self.services.has = LISTENS  # of one that declares the queue of another
        for _ in range(3):
            self.assertEqual((['guests'], True), self.ask())

    def test_a_guest_that_has_not_changed_over_is_asked_in_the_same_call_and_then_at_once(self):
        self.services.has = LISTENS
        self.assertEqual((['guests', 'services'], True), self.ask())
        self.assertEqual((['services'], True), self.ask())
        self.assertEqual((['guests', 'services'], True), self.ask('i2'))

    def test_a_guest_that_changes_over_is_found_whether_its_queue_has_gone_or_not(self):
        for left, asked in ((NO_QUEUE, ['services', 'guests']), (LEFT_BEHIND, ['services'])):
            self.services.has, self.guests.has = LISTENS, NO_QUEUE
            self.assertEqual('services', self.ask()[0][-1])
            self.services.has, self.guests.has = left, LISTENS
            self.assertEqual(asked, self.ask()[0])
            self.assertEqual((['guests'], True), self.ask())

    def test_a_guest_that_went_back_costs_one_time_out(self):
        self.guests.has, self.services.has = LEFT_BEHIND, LISTENS
        self.assertEqual((['guests'], False), self.ask())
        for _ in range(2):
            self.assertEqual((['services'], True), self.ask())

    def test_a_silent_guest_is_sought_at_both_and_each_call_waits_once(self):
        self.guests.has = self.services.has = LEFT_BEHIND
        self.assertEqual(
            [(['guests'], False), (['services'], False), (['guests'], False)],
            [self.ask() for _ in range(3)],
        )
        self.services.has = NO_QUEUE
        self.assertEqual((['services', 'guests'], False), self.ask())
        self.guests.has = LISTENS
        self.assertEqual((['services', 'guests'], True), self.ask())
        self.assertEqual((['guests'], True), self.ask())

    def test_a_guest_without_any_queue_is_unavailable(self):
        self.assertEqual((['guests', 'services'], False), self.ask())

    def test_an_error_of_the_guest_is_an_answer(self):
        self.services.has = LISTENS
        self.services.error = oslo_messaging.RemoteError('RuntimeError', 'boom')
        self.assertEqual((['guests', 'services'], False), self.ask())
        self.assertEqual((['services'], False), self.ask())

    def test_an_answer_that_names_the_brokers_no_is_no_reason_to_ask_elsewhere(self):
        self.guests.error = NamedByAnAnswer()
        self.services.has = LISTENS
        self.assertEqual((['guests'], False), self.ask())

    def test_garbage_of_another_account_holds_no_call_back(self):
        """It answers in the place where the guest is not, after one time-out where it is."""
        self.guests.has = LEFT_BEHIND
        self.assertEqual((['guests'], False), self.ask())
        self.guests.has = self.services.has = LISTENS
        self.assertEqual((['services'], True), self.ask())
        for _ in range(2):  # two false answers at once lead to one place
            self.either.doubt('guestagent.i1')
        self.assertEqual((['guests'], True), self.ask())
        self.assertEqual((['guests'], True), self.ask())
        self.either.doubt('guestagent.i1')
        self.assertEqual((['services'], True), self.ask(), 'it may be there')

    def test_each_broker_is_looked_for_until_it_has_answered_once(self):
        self.services.has = LISTENS
        for _ in range(2):
            self.ask()
        self.assertEqual(['guests', 'services'], self.looked)

    def test_a_broker_that_is_away_is_no_silent_guest(self):
        self.guests.error = oslo_messaging.MessageDeliveryFailure('away')
        self.services.has = LISTENS
        call = guests.GuestCall(
            instance_id='i1',
            upgrade_id='u1',
            attempt=1,
            generation=2,
            deadline=NOW,
            target=TargetFacts(),
        )
        self.assertRaises(exceptions.GuestNotAsked, self.api.check_upgrade, call)
        self.assertEqual(['guests'], self.asked)
