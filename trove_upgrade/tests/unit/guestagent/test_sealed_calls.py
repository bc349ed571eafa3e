# SPDX-License-Identifier: Apache-2.0
"""Sealed calls at the guest's endpoint: what is carried out, what is answered, and what is
dropped.
"""

import json
import pathlib
import threading

import fixtures
import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st

from trove_upgrade.domain import guests
from trove_upgrade.guestagent.sealing.seal import GuestSealed, NotSealed, Reason
from trove_upgrade.sealing import envelope, messages
from trove_upgrade.sealing.keys import GuestKey, MessageDirection
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes, sealed_calls

METHODS = (
    'check_upgrade',
    'pre_upgrade',
    'abort_upgrade',
    'post_upgrade',
    'verify_upgrade',
    'finish_upgrade',
)
TROVES = 'troves-own-key-of-the-guest'
DERIVED = GuestKey.of_trove(fakes.INSTANCE, TROVES)


class SealedCase(base.TestCase):
    def setUp(self):
        super().setUp()
        directory = self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path
        self.machine = fakes.Machine(pathlib.Path(directory))
        self.key = GuestKey.new(fakes.INSTANCE)
        self.notes = sealed_calls.Notes()
        self.log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))

    def keyed(self, troves_key=None):
        """An agent with a key file."""
        self.machine.put_key(self.key)
        return self.agent(troves_key)

    def agent(self, troves_key=None):
        return sealed_calls.agent(self.machine, self.notes, troves_key)

    def sender(self, key=None):
        return sealed_calls.Sender(self.machine, key or self.key)

    def greeted(self, endpoint):
        """A taskmanager that has met this start of the agent."""
        sender = self.sender()
        sender.call(endpoint, 'greet')
        return sender

    def unsealed_calls(self, endpoint):
        """Every call of RPC 1.0 and 1.1."""
        wire = self.machine.call().to_wire()
        calls = [lambda name=name: getattr(endpoint, name)(None, **wire) for name in METHODS]
        calls.append(lambda: endpoint.pre_upgrade(None))
        calls.append(lambda: endpoint.post_upgrade(None, upgrade_info={}))
        return calls


class NewKeyTest(SealedCase):
    def test_numbers_that_a_thief_of_the_former_key_has_used_up_do_not_count_under_a_new_one(self):
        endpoint = self.keyed()
        thief = self.greeted(endpoint)
        thief.number = messages.LARGEST_NUMBER - 1
        self.assertIsNone(thief.call(endpoint, 'check_upgrade', thief.arguments()).refused)
        self.machine.layout.guest_key.unlink()
        self.key = GuestKey.new(fakes.INSTANCE)
        self.machine.put_key(self.key)
        sender = self.greeted(endpoint)
        self.assertIsNone(sender.call(endpoint, 'check_upgrade', sender.arguments()).refused)
        self.assertLess(sender.number, 10)


class SealedCallTest(SealedCase):
    def test_each_method_is_carried_out_and_answered_under_the_key(self):
        endpoint, sender = self.keyed(), self.sender()
        for number, method in enumerate(METHODS, start=1):
            answer = sender.call(endpoint, method, sender.arguments())
            content = guests.GuestAnswer.from_wire(answer.content)
            self.assertEqual((guests.JobState.RUNNING, 'Noted.'), (content.state, content.message))
            self.assertEqual((method, f'upgrade-{number}'), self.notes.carried_out[-1])
        self.assertEqual(len(METHODS), len(self.notes.carried_out))

    def test_a_greeting_tells_the_session_and_does_nothing(self):
        endpoint, sender = self.keyed(), self.sender()
        refused = sender.send(endpoint, sender.seal('greet'))
        self.assertEqual((messages.Refusal.SESSION, 0), (refused.refused, refused.highest))
        sender.session = refused.session
        answer = sender.send(endpoint, sender.seal('greet'))
        self.assertEqual(
            ({}, None, refused.session), (answer.content, answer.refused, answer.session)
        )
        self.assertEqual([], self.notes.carried_out)

    def test_a_method_that_is_none_is_answered_under_the_key(self):
        endpoint = self.keyed()
        sender = self.greeted(endpoint)
        for method in ('open_the_gates', '_answer', 'sealed', 'target', '__init__', 'Greet'):
            content = sender.call(endpoint, method, sender.arguments()).content
            self.assertEqual(
                ('FAILED', 'GUEST_METHOD_UNKNOWN'), (content['state'], content['code'])
            )
        self.assertEqual([], self.notes.carried_out)

    def test_errors_of_a_method_are_answers_too(self):
        endpoint = self.keyed()
        sender = self.greeted(endpoint)
        for arguments, code in (
            ({}, 'CALL_INVALID'),
            ({'upgrade_info': {}}, 'CALL_INVALID'),
            ({'x': [1]}, 'CALL_INVALID'),
            (sender.arguments(instance_id='another'), 'WRONG_GUEST'),
        ):
            content = sender.call(endpoint, 'post_upgrade', arguments).content
            self.assertEqual(('FAILED', code), (content['state'], content['code']))
        self.assertEqual([], self.notes.carried_out)

    def test_an_error_that_was_not_foreseen_is_an_answer(self):
        self.notes.ask = lambda *_: {}['nothing']
        endpoint = self.keyed()
        sender = self.greeted(endpoint)
        content = sender.call(endpoint, 'pre_upgrade', sender.arguments()).content
        self.assertEqual('INTERNAL_ERROR', content['code'])

    def test_a_request_is_carried_out_once_however_often_it_comes(self):
        endpoint = self.keyed()
        sender = self.greeted(endpoint)
        sealed = sender.seal('pre_upgrade', sender.arguments())
        self.assertIsNone(sender.send(endpoint, sealed).refused)
        for _ in range(3):
            answer = sender.send(endpoint, sealed)
            self.assertEqual(
                (messages.Refusal.NUMBER, sender.number, None),
                (answer.refused, answer.highest, answer.content),
            )
        self.assertEqual(1, len(self.notes.carried_out))
        self.assertEqual(3, self.machine.drops.counted[Reason.NUMBER])

    def test_copies_that_come_at_once_are_carried_out_once(self):
        endpoint = self.keyed()
        sender = self.greeted(endpoint)
        wire = sender.seal('pre_upgrade', sender.arguments()).to_wire()
        together, answers = threading.Barrier(8), []

        def send():
            together.wait()
            answers.append(endpoint.sealed(None, envelope=wire))

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((1, 8), (len(self.notes.carried_out), len(answers)))

    def test_an_older_request_that_comes_after_a_newer_one_is_not_carried_out(self):
        endpoint = self.keyed()
        sender = self.greeted(endpoint)
        older = sender.seal('abort_upgrade', sender.arguments())
        sender.send(endpoint, sender.seal('pre_upgrade', sender.arguments()))
        self.assertEqual(messages.Refusal.NUMBER, sender.send(endpoint, older).refused)
        self.assertEqual(['pre_upgrade'], [method for method, _ in self.notes.carried_out])

    def test_after_a_restart_an_old_request_is_refused_even_if_the_numbers_are_lost(self):
        for lose in (lambda: None, self.machine.layout.sequence(self.key.id).unlink):
            endpoint = self.keyed()
            sender = self.greeted(endpoint)
            sealed = sender.seal('pre_upgrade', sender.arguments())
            lose()
            answer = sender.send(self.agent(), sealed)
            self.assertEqual(messages.Refusal.SESSION, answer.refused)
            self.assertNotEqual(sender.session, answer.session)
        self.assertEqual([], self.notes.carried_out)

    def test_a_restarted_agent_is_asked_once_more_and_goes_on(self):
        sender = self.greeted(self.keyed())
        answer = sender.call(self.agent(), 'pre_upgrade', sender.arguments())
        self.assertEqual('RUNNING', answer.content['state'])

    def test_a_taskmanager_that_has_lost_its_count_is_told_the_highest(self):
        endpoint = self.keyed()
        self.greeted(endpoint)
        sender = self.sender()
        sender.session = self.greeted(endpoint).session
        self.assertEqual(
            'RUNNING', sender.call(endpoint, 'check_upgrade', sender.arguments()).content['state']
        )

    def test_the_time_of_day_matters_nothing(self):
        endpoint = self.keyed()
        sender = self.greeted(endpoint)
        moment = sender.call(endpoint, 'greet').moment
        for seconds in (-10_000_000, 20_000_000):
            self.machine.clock.set(seconds)
            answer = sender.send(endpoint, sender.seal('greet', latest=moment))
            self.assertEqual((None, moment), (answer.refused, answer.moment))

    def test_a_disk_that_takes_nothing_is_an_answer_and_nothing_is_carried_out(self):
        endpoint = self.keyed()
        sender = self.greeted(endpoint)
        self.machine.layout.sequence(self.key.id).unlink()
        self.machine.layout.sequence(self.key.id).symlink_to('nowhere')
        content = sender.call(endpoint, 'pre_upgrade', sender.arguments()).content
        self.assertEqual(('FAILED', 'MARK_NOT_WRITTEN'), (content['state'], content['code']))
        self.assertEqual([], self.notes.carried_out)


class LateTest(SealedCase):
    """What was withheld is not begun when it comes at last."""

    def request(self, endpoint, **changes):
        sender = self.greeted(endpoint)
        return sender, sender.seal('pre_upgrade', sender.arguments(), **changes)

    def test_a_request_is_begun_up_to_its_latest_moment_and_not_after_it(self):
        for seconds, is_begun in ((0, True), (9, True), (11, False), (3600, False)):
            with self.subTest(seconds=seconds):
                endpoint = self.keyed()
                sender = self.greeted(endpoint)
                moment = sender.call(endpoint, 'greet').moment
                sealed = sender.seal('pre_upgrade', sender.arguments(), latest=moment + 10_000)
                self.notes.carried_out.clear()
                self.machine.clock.move(seconds)
                answer = sender.send(endpoint, sealed)
                self.assertEqual(None if is_begun else messages.Refusal.LATE, answer.refused)
                self.assertEqual(is_begun, bool(self.notes.carried_out))
                self.assertEqual(moment + seconds * 1000, answer.moment)

    def test_a_request_of_a_taskmanager_that_knows_no_moment_begins_nothing_and_is_told_one(self):
        endpoint = self.keyed()
        sender, sealed = self.request(endpoint, latest=0)
        answer = sender.send(endpoint, sealed)
        self.assertEqual(messages.Refusal.LATE, answer.refused)
        self.assertGreater(answer.moment, 0)
        self.assertEqual([], self.notes.carried_out)
        self.assertEqual({Reason.LATE: 1}, {Reason.LATE: self.machine.drops.counted[Reason.LATE]})

    def test_a_late_request_uses_no_number_up(self):
        endpoint = self.keyed()
        sender, sealed = self.request(endpoint, latest=0)
        highest = sender.send(endpoint, sealed).highest
        self.assertLess(highest, sender.number)


class DroppedTest(SealedCase):
    def forged(self, sender):
        """What others than the taskmanager can send to this guest."""
        wire = sender.seal('pre_upgrade', sender.arguments()).to_wire()
        own = sender.key
        other = GuestKey.new(fakes.INSTANCE)
        disguised = GuestKey(own.id, fakes.INSTANCE, other.secret)
        message = messages.Request(
            method='pre_upgrade',
            session=sender.session,
            number=99,
            latest=sender.latest,
            arguments=sender.arguments(),
        ).to_bytes()
        yield from (
            {},
            {'envelope': None},
            {'envelope': []},
            {'envelope': {}},
            {'envelope': wire, 'more': 1},
        )
        yield {'box': wire}
        for key in (
            other,
            disguised,
            GuestKey.new('another'),
            GuestKey.of_trove(own.instance_id, ''),
        ):
            yield {'envelope': envelope.seal(key, MessageDirection.TO_GUEST, message).to_wire()}
        yield {'envelope': envelope.seal(own, MessageDirection.TO_TASKMANAGER, message).to_wire()}
        for content in (b'', b'null', b'{}', b'[' * 9999, message[:-1]):
            yield {'envelope': envelope.seal(own, MessageDirection.TO_GUEST, content).to_wire()}
        for name in wire:
            for value in (None, 7, '', 'x' * 40, wire[name][::-1], wire[name][4:]):
                yield {'envelope': {**wire, name: value}}

    def test_what_is_not_authentic_is_dropped_with_one_text(self):
        endpoint = self.keyed()
        texts, number = set(), 0
        for arguments in self.forged(self.greeted(endpoint)):
            texts.add(str(self.assertRaises(NotSealed, endpoint.sealed, None, **arguments)))
            number += 1
        self.assertEqual(1, len(texts))
        self.assertEqual([], self.notes.carried_out)
        self.assertEqual(number, self.machine.drops.counted[Reason.NOT_AUTHENTIC])
        self.assertEqual(1, self.log.output.count(Reason.NOT_AUTHENTIC))

    def test_a_guests_own_answers_and_reports_are_no_requests(self):
        endpoint = self.keyed()
        sender = self.greeted(endpoint)
        answer = endpoint.sealed(None, envelope=sender.seal('greet').to_wire())
        self.assertRaises(NotSealed, endpoint.sealed, None, envelope=answer)

    def test_a_guest_with_a_key_file_takes_nothing_unsealed(self):
        endpoint = self.keyed(TROVES)
        for call in self.unsealed_calls(endpoint):
            self.assertEqual('GUEST_SEALED', self.assertRaises(GuestSealed, call).code)
        self.assertEqual([], self.notes.carried_out)
        self.assertEqual(8, self.machine.drops.counted[Reason.UNSEALED])
        self.assertEqual(1, self.log.output.count(Reason.UNSEALED))

    def test_a_guest_whose_key_file_is_broken_takes_nothing_at_all(self):
        self.machine.put_key(self.key, 0o644)
        endpoint = self.agent(TROVES)
        for call in self.unsealed_calls(endpoint):
            self.assertRaises(GuestSealed, call)
        for key in (self.key, DERIVED):
            wire = self.sender(key).seal('greet').to_wire()
            self.assertRaises(NotSealed, endpoint.sealed, None, envelope=wire)
        self.assertEqual([], self.notes.carried_out)

    def test_a_guest_without_a_key_is_asked_as_before_and_opens_nothing(self):
        endpoint = self.agent()
        self.assertRaises(
            NotSealed, endpoint.sealed, None, envelope=self.sender().seal('greet').to_wire()
        )
        self.assertEqual({Reason.NO_KEY: 1}, self.machine.drops.counted)
        self.assertEqual(
            'RUNNING', endpoint.pre_upgrade(None, **self.machine.call().to_wire())['state']
        )

    def test_a_derived_key_closes_the_other_way_with_the_first_sealed_request_for_good(self):
        endpoint = self.agent(TROVES)
        unsealed = self.machine.call().to_wire()
        self.assertEqual('RUNNING', endpoint.pre_upgrade(None, **unsealed)['state'])
        for arguments in self.forged(self.sender(self.key)):
            self.assertRaises(NotSealed, endpoint.sealed, None, **arguments)
        self.assertEqual('RUNNING', endpoint.pre_upgrade(None, **unsealed)['state'])
        self.sender(DERIVED).call(endpoint, 'greet')
        for agent in (endpoint, self.agent(TROVES)):
            for call in self.unsealed_calls(agent):
                self.assertRaises(GuestSealed, call)

    def test_no_secret_and_nothing_of_a_forger_is_logged_or_kept(self):
        endpoint = self.keyed(TROVES)
        sender = self.greeted(endpoint)
        sender.call(endpoint, 'pre_upgrade', sender.arguments())
        sender.call(endpoint, 'forged_method', {'forged_name': 1})
        for arguments in self.forged(sender):
            self.assertRaises(NotSealed, endpoint.sealed, None, **arguments)
        secret = json.loads(self.key.to_file())['secret']
        kept = [
            path.read_bytes().decode()
            for path in self.machine.layout.state.rglob('*')
            if path.is_file()
        ]
        for text in (self.log.output, *kept):
            for word in (secret, TROVES, 'forged', self.key.id):
                self.assertNotIn(word, text)


class Wire(stateful.RuleBasedStateMachine):
    """A broker whose accounts do what they like: replay, reorder, change, redirect and make up
    messages, across restarts.
    """

    sent = stateful.Bundle('sent')

    def __init__(self, directory):
        super().__init__()
        self.machine = fakes.Machine(directory)
        self.key, self.other = GuestKey.new(fakes.INSTANCE), GuestKey.new('another-guest')
        self.machine.put_key(self.key)
        self.notes = sealed_calls.Notes()
        self.sender = sealed_calls.Sender(self.machine, self.key)
        self.genuine = []
        self.restart()

    def request(self):
        arguments = self.sender.arguments()
        self.genuine.append(('check_upgrade', arguments['upgrade_id']))
        return arguments

    @stateful.rule(target=sent)
    def a_call_is_carried_out_at_once(self):
        arguments = self.request()
        if self.sender.call(self.endpoint, 'check_upgrade', arguments).refused is None:
            assert self.notes.carried_out[-1] == self.genuine[-1]
        return self.sender.seal('check_upgrade', self.request()).to_wire()

    @stateful.rule(target=sent, ahead=st.integers(0, 3))
    def a_request_is_held_back(self, ahead):
        self.sender.number += ahead
        return self.sender.seal('check_upgrade', self.request()).to_wire()

    @stateful.rule(target=sent)
    def a_call_is_carried_out_and_its_envelope_kept(self):
        arguments = self.request()
        sealed = self.sender.seal('check_upgrade', arguments)
        self.sender.send(self.endpoint, sealed)
        return sealed.to_wire()

    @stateful.rule(wire=sent, times=st.integers(1, 3))
    def an_envelope_comes(self, wire, times):
        for _ in range(times):
            self.endpoint.sealed(None, envelope=wire)

    @stateful.rule(
        wire=sent,
        name=st.sampled_from(['instance_id', 'key_id', 'nonce', 'box']),
        at=st.integers(0),
        bit=st.integers(0, 6),
    )
    def an_envelope_comes_changed(self, wire, name, at, bit):
        text = wire[name]
        at %= len(text)
        changed = text[:at] + chr(ord(text[at]) ^ 1 << bit) + text[at + 1 :]
        if changed != text and not self._means_the_same(changed, text):
            self.dropped({**wire, name: changed})

    @staticmethod
    def _means_the_same(changed, text):
        """Bits of base64 that stand for no byte."""
        return changed.rstrip('=')[:-1] == text.rstrip('=')[:-1]

    @stateful.rule(field=st.sampled_from(['instance_id', 'key_id', None]))
    def another_guests_request_comes(self, field):
        message = messages.Request(
            method='check_upgrade',
            session=self.sender.session,
            number=self.sender.number + 1,
            latest=self.sender.latest,
            arguments=self.sender.arguments(),
        )
        wire = envelope.seal(self.other, MessageDirection.TO_GUEST, message.to_bytes()).to_wire()
        names = {'instance_id': self.key.instance_id, 'key_id': self.key.id}
        self.dropped(
            wire
            if field is None
            else {**wire, **names}
            if field == 'key_id'
            else {**wire, field: names[field]}
        )

    @stateful.rule(wire=sent)
    def an_answer_comes_back(self, wire):
        self.dropped(self.endpoint.sealed(None, envelope=wire))

    @stateful.rule(method=st.sampled_from(METHODS))
    def an_unsealed_call_comes(self, method):
        try:
            getattr(self.endpoint, method)(None, **self.sender.arguments())
        except GuestSealed:
            return
        raise AssertionError('an unsealed call was taken')

    def dropped(self, wire):
        try:
            self.endpoint.sealed(None, envelope=wire)
        except NotSealed:
            return
        raise AssertionError('a forged envelope was answered')

    @stateful.rule()
    def restart(self):
        self.endpoint = sealed_calls.agent(self.machine, self.notes)

    @stateful.rule(content=st.binary(max_size=40))
    def restart_after_a_torn_write(self, content):
        if self.machine.layout.state.exists():
            self.machine.layout.sequence(self.key.id).write_bytes(content)
        self.restart()

    @stateful.invariant()
    def only_genuine_requests_were_carried_out_and_each_once(self):
        assert len(set(self.notes.carried_out)) == len(self.notes.carried_out)
        assert set(self.notes.carried_out) <= set(self.genuine)


class WireTest(base.TestCase):
    def test_whatever_comes_each_genuine_request_is_carried_out_at_most_once_and_nothing_else_ever(
        self,
    ):
        self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        top = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        numbers = iter(range(10**9))
        hypothesis.stateful.run_state_machine_as_test(
            lambda: Wire(top / str(next(numbers))),
            settings=hypothesis.settings(max_examples=40, stateful_step_count=30, deadline=None),
        )
