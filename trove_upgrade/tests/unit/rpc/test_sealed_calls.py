# SPDX-License-Identifier: Apache-2.0
"""A taskmanager's end of sealed calls: only what the guest has sealed for this request is an
answer.
"""

import dataclasses
import itertools

import oslo_messaging

from trove_upgrade.domain import exceptions, guests
from trove_upgrade.domain.drops import Drops
from trove_upgrade.rpc import sealed_calls
from trove_upgrade.rpc.guestagent import GuestAgentAPI
from trove_upgrade.rpc.sealed_calls import Reason
from trove_upgrade.sealing import at_rest, envelope, messages
from trove_upgrade.sealing.keys import GuestKey, MessageDirection
from trove_upgrade.sealing.ports import KnownKey
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.rpc.test_rpc import CALL

INSTANCE = CALL.instance_id
SESSION, LATER = 'a' * 32, 'b' * 32
DONE = guests.GuestAnswer(
    state=guests.JobState.DONE,
    message='done',
    boot_id='boot-1',
    server_state=guests.ServerState.STOPPED,
    agent_version='1.0',
)


class Keys:
    """The few of sealing.ports.GuestKeys that calls take."""

    def __init__(self, known):
        self.known = known
        self.unreadable = False
        self.met_sessions = []
        self.formers = []
        self.numbers = []
        self.drops = 0

    def current(self, instance_id):
        if self.unreadable:
            raise at_rest.KeyUnreadable(instance_id=instance_id)
        return self.known

    def next_number(self, _instance_id, above=0):
        self.numbers.append(max(above, *self.numbers, 0, 0) + 1)
        return self.numbers[-1]

    def met(self, _key, session, former):
        self.formers.append(former)
        self.met_sessions.append(session)
        self.known = dataclasses.replace(self.known, session=session)

    def dropped(self, _instance_id, count):
        self.drops += count


class Guest:
    """The other end: real envelopes, and what an attacker puts in their place."""

    def __init__(self, key):
        self.key = key
        self.session, self.highest, self.moment = SESSION, 0, 1
        self.requests = []
        self.in_place = []  #: functions that make what comes back instead, in turn
        self.before = []

    def prepare(self, **target):
        self.target = target
        return self

    def call(self, _context, method, **arguments):
        if method != 'sealed':
            self.requests.append((self.target['version'], method))
            return DONE.to_wire()
        sealed = envelope.Envelope.from_wire(arguments['envelope'])
        request = messages.Request.from_bytes(
            envelope.unseal(self.key, MessageDirection.TO_GUEST, sealed)
        )
        self.requests.append((self.target['version'], request))
        answer = self.seal(self.answer(sealed.digest, request))
        return self.in_place.pop(0)(answer, sealed.digest) if self.in_place else answer

    def answer(self, digest, request):
        if request.session != self.session:
            return messages.Answer(
                request=digest,
                session=self.session,
                highest=self.highest,
                moment=self.moment,
                refused=messages.Refusal.SESSION,
            )
        if request.number <= self.highest:
            return messages.Answer(
                request=digest,
                session=self.session,
                highest=self.highest,
                moment=self.moment,
                refused=messages.Refusal.NUMBER,
            )
        if request.latest < self.moment:
            return messages.Answer(
                request=digest,
                session=self.session,
                highest=self.highest,
                moment=self.moment,
                refused=messages.Refusal.LATE,
            )
        self.highest = request.number
        return messages.Answer(
            request=digest,
            session=self.session,
            highest=self.highest,
            moment=self.moment,
            content=DONE.to_wire(),
        )

    def seal(self, answer, key=None, direction=MessageDirection.TO_TASKMANAGER):
        return envelope.seal(key or self.key, direction, answer.to_bytes()).to_wire()


def raising(error):
    def forged(_answer, _digest):
        raise error

    return forged


class SealedCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.key = GuestKey.new(INSTANCE)
        self.guest = Guest(self.key)
        self.keys = Keys(KnownKey(self.key, SESSION))
        self.drops = Drops(itertools.count().__next__)

        self.time = 1000.0

    def sealed_calls(self, timeout_seconds=15):
        """By a clock of its own."""

        def call(method, version, instance_id, arguments):
            client = self.guest.prepare(version=version, topic=instance_id)
            return client.call(None, method, **arguments)

        return sealed_calls.SealedCalls(
            call,
            self.keys,
            self.drops,
            timeout_seconds=timeout_seconds,
            monotonic=lambda: self.time,
        )

    def api(self, **options):
        return GuestAgentAPI(
            self.guest,
            topic_prefix='guest.',
            timeout_seconds=15,
            keys=self.keys,
            drops=self.drops,
            **options,
        )


class TestSealedCalls(SealedCase):
    def test_each_method_travels_in_an_envelope(self):
        methods = [
            'check_upgrade',
            'pre_upgrade',
            'abort_upgrade',
            'post_upgrade',
            'verify_upgrade',
            'finish_upgrade',
        ]
        api = self.api()
        api.greet(INSTANCE)
        del self.guest.requests[:]
        for method in methods:
            self.assertEqual(DONE, getattr(api, method)(CALL))
        self.assertEqual({'1.2'}, {version for version, _ in self.guest.requests})
        self.assertEqual(methods, [request.method for _, request in self.guest.requests])
        self.assertEqual(CALL, guests.GuestCall.from_wire(self.guest.requests[0][1].arguments))

    def test_a_guest_without_a_key_is_asked_as_before(self):
        self.keys.known = None
        self.api().check_upgrade(CALL)
        self.assertEqual([('1.1', 'check_upgrade')], self.guest.requests)
        self.api().greet(INSTANCE)
        self.assertEqual(1, len(self.guest.requests))

    def test_an_agent_that_has_started_again_is_asked_once_more(self):
        self.guest.session = LATER
        self.assertEqual(DONE, self.api().check_upgrade(CALL))
        self.assertEqual(([LATER], [SESSION]), (self.keys.met_sessions, self.keys.formers))
        self.assertEqual(2, len(self.guest.requests))

    def test_a_session_that_is_not_known_yet_is_told_by_the_guest(self):
        self.keys.known = KnownKey(self.key, None)
        self.assertEqual(DONE, self.api().check_upgrade(CALL))
        self.assertEqual([SESSION], self.keys.met_sessions)

    def test_a_count_that_has_fallen_behind_catches_up(self):
        """As after a database that was restored from a backup."""
        self.guest.highest = 900
        self.assertEqual(DONE, self.api().check_upgrade(CALL))
        self.assertEqual(901, self.guest.highest)

    def test_a_guest_that_tells_of_a_number_without_measure_uses_up_none(self):
        """It would lock out its own instance, past a rebuild and a new key."""

        def lie(_answer, digest):
            refused = messages.Answer(
                request=digest,
                session=SESSION,
                highest=2**63 - 2,
                moment=1,
                refused=messages.Refusal.NUMBER,
            )
            return self.guest.seal(refused)

        self.guest.in_place = [lie, lie]
        self.assertRaises(exceptions.GuestUnavailable, self.api().check_upgrade, CALL)
        self.assertEqual(DONE, self.api().check_upgrade(CALL))
        self.assertLess(self.keys.numbers[-1], 2**22)

    def test_a_guest_that_refuses_twice_is_asked_later(self):
        def refused(_answer, digest):
            return self.guest.seal(
                messages.Answer(
                    request=digest,
                    session=SESSION,
                    highest=5,
                    moment=1,
                    refused=messages.Refusal.NUMBER,
                )
            )

        self.guest.in_place = [refused, refused]
        self.assertRaises(exceptions.GuestUnavailable, self.api().check_upgrade, CALL)
        self.assertEqual({}, self.drops.counted)

    def test_a_greeting_tells_the_session_and_begins_nothing(self):
        self.guest.session = LATER
        self.api().greet(INSTANCE)
        self.assertEqual(
            [('greet', {}), ('greet', {})],
            [(request.method, request.arguments) for _, request in self.guest.requests],
        )
        self.assertEqual([LATER], self.keys.met_sessions)


class TestMoments(SealedCase):
    """A request names the latest moment of the guest's session at which it may be begun."""

    def latest(self, calls):
        """What the requests of one call named."""
        del self.guest.requests[:]
        calls.ask(self.keys.known, 'check_upgrade', {})
        return [request.latest for _, request in self.guest.requests]

    def test_a_moment_that_is_not_known_is_asked_for(self):
        self.guest.moment = 70_000
        calls = self.sealed_calls()
        self.assertEqual([0, 85_000], self.latest(calls))
        self.assertEqual([85_000], self.latest(calls))

    def test_a_guest_that_has_answered_is_known_to_have_gone_on(self):
        self.guest.moment = 70_000
        calls = self.sealed_calls()
        self.latest(calls)
        self.time += 20
        self.guest.moment = 90_000
        self.assertEqual([105_000], self.latest(calls))

    def test_another_start_of_the_agent_counts_anew(self):
        self.guest.moment = 70_000
        calls = self.sealed_calls()
        self.latest(calls)
        self.guest.session, self.guest.moment = LATER, 500
        self.assertEqual([85_000, 15_500], self.latest(calls))

    def test_another_key_counts_anew(self):
        self.guest.moment = 70_000
        calls = self.sealed_calls()
        self.latest(calls)
        self.key = self.guest.key = GuestKey.new(INSTANCE)
        self.keys.known = KnownKey(self.key, SESSION)
        self.assertEqual([0, 85_000], self.latest(calls))

    def test_what_was_told_long_ago_is_asked_for_again(self):
        """The clock of a guest that was paused has stood still."""
        self.guest.moment = 70_000
        calls = self.sealed_calls()
        self.latest(calls)
        self.time += 3600
        self.assertEqual([0, 85_000], self.latest(calls))

    def test_a_connection_that_took_long_lets_no_later_call_come_late(self):
        calls = self.sealed_calls()
        self.guest.moment = 70_000

        def after_long(answer, _digest):
            self.time += 200
            return answer

        self.guest.in_place = [after_long]
        self.latest(calls)
        self.guest.moment = 270_000
        self.latest(calls)
        self.guest.in_place = [after_long]
        calls.ask(self.keys.known, 'check_upgrade', {})
        self.assertLessEqual(self.latest(calls)[-1], 270_000 + 2 * 15_000)

    def test_an_answer_that_is_not_the_guests_tells_no_moment(self):
        self.guest.moment = 70_000
        calls = self.sealed_calls()
        self.latest(calls)
        forged = messages.Answer(
            request='f' * 64, session=SESSION, highest=9, moment=10**9, content=DONE.to_wire()
        )
        self.guest.in_place = [lambda _answer, _digest: self.guest.seal(forged)]
        self.assertRaises(
            exceptions.GuestUnavailable, calls.ask, self.keys.known, 'check_upgrade', {}
        )
        self.assertEqual([85_000], self.latest(calls))


class TestOtherPlace(SealedCase):
    def test_an_answer_that_is_not_the_guests_has_its_place_doubted(self):
        doubted = []
        api = self.api(doubt=doubted.append)
        api.check_upgrade(CALL)
        self.assertEqual([], doubted)
        for ask in (lambda: api.check_upgrade(CALL), lambda: api.greet(INSTANCE)):
            self.guest.in_place = [lambda _answer, _digest: 'garbage']
            self.assertRaises(exceptions.GuestUnavailable, ask)
        self.assertEqual([f'guest.{INSTANCE}'] * 2, doubted)


class TestForgeries(SealedCase):
    def forged(self):
        """(name, what comes in the place of the guest's answer, how it is counted)."""
        content = DONE.to_wire()
        other = GuestKey.new('99999999-2222-3333-4444-555555555555')
        twin = dataclasses.replace(other, id=self.key.id, instance_id=INSTANCE)

        def flipped(answer, _digest):
            box = answer['box']
            return {**answer, 'box': ('B' if box[0] == 'A' else 'A') + box[1:]}

        def of_another_request(_answer, _digest):
            return self.guest.seal(
                messages.Answer(
                    request='f' * 64, session=SESSION, highest=9, moment=1, content=content
                )
            )

        def under(key):
            return lambda _answer, digest: self.guest.seal(
                messages.Answer(
                    request=digest, session=SESSION, highest=9, moment=1, content=content
                ),
                key,
            )

        def sent_back(_answer, digest):
            return self.guest.seal(
                messages.Answer(
                    request=digest, session=SESSION, highest=9, moment=1, content=content
                ),
                direction=MessageDirection.TO_GUEST,
            )

        remote = oslo_messaging.RemoteError
        unsealed = [None, 7, 'DONE', [], {}, content, {'envelope': content}, {'box': 'x'}]
        return [
            *(
                (str(answer), lambda _a, _d, answer=answer: answer, Reason.NOT_AUTHENTIC)
                for answer in unsealed
            ),
            ('flipped', flipped, Reason.NOT_AUTHENTIC),
            ('another request', of_another_request, Reason.NOT_AUTHENTIC),
            ('another guest', under(other), Reason.NOT_AUTHENTIC),
            ('another secret', under(twin), Reason.NOT_AUTHENTIC),
            ('sent back', sent_back, Reason.NOT_AUTHENTIC),
            ('too old', raising(remote('UnsupportedVersion', 'hush', [])), Reason.TOO_OLD),
            ('no method', raising(remote('NoSuchMethod', 'hush', [])), Reason.TOO_OLD),
            ('here', raising(oslo_messaging.UnsupportedVersion('1.2')), Reason.TOO_OLD),
            ('another key', raising(remote('NotSealed', 'hush', [])), Reason.OTHER_KEY),
            ('an error', raising(remote('ValueError', 'hush', [])), Reason.UNSEALED),
            ('an odd error', raising(remote({'a': 1}, 'hush', [])), Reason.UNSEALED),
            ('by name', raising(ZeroDivisionError('hush')), Reason.UNSEALED),
        ]

    def test_nothing_of_it_is_an_answer_and_none_leads_back_to_1_1(self):
        for name, forged, reason in self.forged():
            with self.subTest(name):
                self.drops = Drops(itertools.count().__next__)
                self.guest.in_place = [forged]
                error = self.assertRaises(
                    sealed_calls.AnswerNotAuthentic, self.api().pre_upgrade, CALL
                )
                self.assertNotIn('hush', error.message)
                self.assertIn(INSTANCE, error.message)
                self.assertEqual({str(reason): 1}, self.drops.counted)
        self.assertEqual({'1.2'}, {version for version, _ in self.guest.requests})
        self.assertEqual(len(self.forged()), self.keys.drops)

    def test_the_next_call_gets_its_answer(self):
        self.guest.in_place = [self.forged()[0][1]]
        self.assertRaises(sealed_calls.AnswerNotAuthentic, self.api().pre_upgrade, CALL)
        self.assertEqual(DONE, self.api().pre_upgrade(CALL))

    def test_it_counts_as_a_silent_guest_and_never_as_a_failed_one(self):
        self.assertTrue(issubclass(sealed_calls.AnswerNotAuthentic, exceptions.GuestUnavailable))


class TestSecurity(SealedCase):
    def test_a_key_that_cannot_be_read_stops_the_call(self):
        self.keys.unreadable = True
        error = self.assertRaises(exceptions.GuestNotAsked, self.api().check_upgrade, CALL)
        self.assertIn('guest_key_encryption_keys', error.message)
        self.assertEqual([], self.guest.requests)

    def test_preferred_an_operator_lets_it_be_asked_unsealed(self):
        self.keys.unreadable = True
        self.assertEqual(DONE, self.api(is_required=False).check_upgrade(CALL))
        self.keys.unreadable = False
        self.guest.in_place = [raising(oslo_messaging.RemoteError('UnsupportedVersion', '', []))]
        self.assertEqual(DONE, self.api(is_required=False).check_upgrade(CALL))
        self.assertEqual(['1.1', '1.2', '1.1'], [version for version, _ in self.guest.requests])

    def test_preferred_no_other_forgery_leads_back(self):
        self.guest.in_place = [lambda _answer, _digest: DONE.to_wire()]
        self.assertRaises(
            sealed_calls.AnswerNotAuthentic, self.api(is_required=False).check_upgrade, CALL
        )

    def test_off_nothing_is_sealed(self):
        self.keys = None
        self.assertEqual(DONE, self.api().check_upgrade(CALL))
        self.assertEqual([('1.1', 'check_upgrade')], self.guest.requests)
