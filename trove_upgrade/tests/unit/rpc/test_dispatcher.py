# SPDX-License-Identifier: Apache-2.0
"""Messages of other forms: one line of the log each, and nothing begun."""

import types

import fixtures
import oslo_messaging
from oslo_messaging.rpc import dispatcher as oslo_dispatcher

from trove_upgrade.domain import exceptions
from trove_upgrade.rpc import dispatcher, serializer
from trove_upgrade.tests.unit import base


class _Refused(exceptions.TroveUpgradeError):
    code = 'NOT_NOW'
    template = 'Not now.'


class _Forged(exceptions.Dropped):
    code = 'FORGED'
    template = 'Not for belief.'


class _Old(exceptions.Unanswered):
    code = 'OLD'
    template = 'Not in this way.'


class _Endpoint:
    target = oslo_messaging.Target(version='1.1')

    def __init__(self):
        self.calls = []

    def act(self, context, /, **arguments):
        self.calls.append((context, arguments))

    def drop(self, context, /, **arguments):
        raise _Forged

    def ignore(self, context, /, **arguments):
        raise _Old

    def refuse(self, context, /, **arguments):
        raise _Refused


class TestDispatcher(base.TestCase):
    def setUp(self):
        super().setUp()
        self.endpoint = _Endpoint()
        self.dispatcher = dispatcher.Dispatcher(
            [self.endpoint],
            serializer.RequestContextSerializer(),
            oslo_messaging.DefaultRPCAccessPolicy,
        )

    def dispatch(self, message, context=None):
        return self.dispatcher.dispatch(
            types.SimpleNamespace(message=message, ctxt=context or {}, client_timeout=0)
        )

    def test_a_call_reaches_its_method_whatever_its_arguments_are_called(self):
        arguments = {'self': 1, 'context': 2, '_context': 3}
        self.dispatch({'method': 'act', 'version': '1.1', 'args': arguments})
        self.assertEqual(arguments, self.endpoint.calls[0][1])

    def test_a_message_of_another_form_is_one_line_and_no_call(self):
        nested = {}
        for _ in range(50):
            nested = {'a': nested}
        for message in (
            {},
            {'method': None},
            {'method': 7},
            {'method': ['act']},
            {'method': 'act', 'args': []},
            {'method': 'act', 'args': 'x'},
            {'method': 'act', 'args': None},
            {'method': 'act', 'args': {'a b': 1}},
            {'method': 'act', 'version': 'x'},
            {'method': 'act', 'version': 7},
            {'method': 'act', 'version': '9.9'},
            {'method': 'act', 'namespace': ['x']},
            {'method': 'act', 'namespace': 'x'},
            {'method': 'none'},
            {'method': '_hidden'},
            {'method': '__init__', 'args': {}},
            {'method': 'FORGED\n2026 ERROR'},
            {'method': 'act', 'args': {'FORGED\n': 1}},
            {'method': 'refuse'},
            {'method': 'act', 'args': nested},
            [],
            'x',
            None,
        ):
            with fixtures.FakeLogger(name='trove_upgrade') as log:
                self.assertRaises(oslo_dispatcher.ExpectedException, self.dispatch, message)
            lines = log.output.splitlines()
            self.assertEqual(1, len(lines), (message, lines))
            self.assertNotIn('FORGED', lines[0])
        self.assertEqual([], self.endpoint.calls)

    def test_what_is_dropped_by_the_thousand_has_no_line_of_its_own(self):
        with fixtures.FakeLogger(name='trove_upgrade') as log:
            for _ in range(100):
                self.assertRaises(
                    oslo_dispatcher.ExpectedException,
                    self.dispatch,
                    {'method': 'drop', 'version': '1.1'},
                )
        self.assertEqual('', log.output)

    def test_the_sender_of_what_is_dropped_gets_the_error(self):
        try:
            self.dispatch({'method': 'drop', 'version': '1.1'})
        except oslo_dispatcher.ExpectedException as error:
            self.assertIs(_Forged, error.exc_info[0])

    def test_what_is_unanswered_has_no_reply(self):
        """The library replies after the dispatch, to a failure too, by the message's own method."""
        for method, expected in (('ignore', []), ('drop', ['a reply']), ('refuse', ['a reply'])):
            replies = []
            message = types.SimpleNamespace(
                message={'method': method, 'version': '1.1'},
                ctxt={},
                client_timeout=0,
                reply=lambda reply=None, failure=None, sent=replies: sent.append('a reply'),
            )
            self.assertRaises(oslo_dispatcher.ExpectedException, self.dispatcher.dispatch, message)
            message.reply(failure='a failure')
            self.assertEqual(expected, replies)

    def test_the_caller_gets_the_error_as_ever(self):
        try:
            self.dispatch({'method': 'act', 'version': '2.0'})
        except oslo_dispatcher.ExpectedException as error:
            self.assertIs(oslo_dispatcher.UnsupportedVersion, error.exc_info[0])

    def test_a_context_of_another_form_is_left_out(self):
        self.dispatch(
            {'method': 'act'},
            {'request_id': 'req-1\nFORGED', 'roles': 7, 'user_id': {'a': 1}, 'project_id': 'p'},
        )
        context = self.endpoint.calls[0][0]
        self.assertNotIn('FORGED', context.request_id)
        self.assertEqual(([], None, 'p'), (context.roles, context.user_id, context.project_id))
