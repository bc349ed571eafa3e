# SPDX-License-Identifier: Apache-2.0
"""Messages keep their form on the way, and another form is refused."""

import json

from trove_upgrade.sealing import messages
from trove_upgrade.sealing.envelope import NotAuthentic
from trove_upgrade.tests.unit import base

SESSION, DIGEST = 'a' * 32, 'b' * 64
REQUEST = messages.Request(
    method='pre_upgrade',
    session=SESSION,
    number=7,
    latest=20_000,
    arguments={'upgrade_id': 'u1', 'target': {'options': ['x']}},
)
DONE = messages.Answer(
    request=DIGEST, session=SESSION, highest=7, moment=5_000, content={'state': 'DONE'}
)
REFUSED = messages.Answer(
    request=DIGEST, session=SESSION, highest=9, moment=5_000, refused=messages.Refusal.NUMBER
)
REPORT = messages.Report(SESSION, 1, {'instance_id': 'i1'})


class TestMessages(base.TestCase):
    def test_each_is_read_as_it_was_written(self):
        for message in (REQUEST, DONE, REFUSED, REPORT):
            self.assertEqual(message, type(message).from_bytes(message.to_bytes()))

    def test_fields_of_a_newer_release_are_left_out(self):
        newer = {**json.loads(REQUEST.to_bytes()), 'colour': 'blue'}
        self.assertEqual(REQUEST, messages.Request.from_bytes(json.dumps(newer).encode()))

    def test_each_field_has_its_form(self):
        for message in (REQUEST, DONE, REFUSED, REPORT):
            good = json.loads(message.to_bytes())
            for name in good:
                self.assert_refused(
                    type(message), {key: value for key, value in good.items() if key != name}
                )
                self.assert_refused(type(message), {**good, name: 1.5})
                self.assert_refused(type(message), {**good, name: [1]})

    def test_what_is_no_message_is_refused(self):
        for content in (b'', b'\xff', b'null', b'[]', b'7', b'[' * 100_000, b' ' * 8_000_001):
            self.assertRaises(NotAuthentic, messages.Request.from_bytes, content)

    def test_numbers_are_what_a_column_holds(self):
        for message, name in (
            (REQUEST, 'number'),
            (REQUEST, 'latest'),
            (DONE, 'highest'),
            (DONE, 'moment'),
            (REPORT, 'number'),
        ):
            for number in (-1, True, 2**63, '7', None):
                self.assert_refused(type(message), {**json.loads(message.to_bytes()), name: number})

    def test_an_answer_has_content_or_a_refusal(self):
        good = json.loads(DONE.to_bytes())
        for refused, content in ((None, None), ('SESSION', {}), ('OTHER', None)):
            self.assert_refused(messages.Answer, {**good, 'refused': refused, 'content': content})

    def test_no_agent_draws_the_session_of_the_unknown(self):
        self.assertTrue(messages.is_session(messages.NO_SESSION))
        self.assertNotEqual(
            messages.NO_SESSION, messages.new_session(lambda count: b'\x01' * count)
        )

    def assert_refused(self, cls, document):
        self.assertRaises(NotAuthentic, cls.from_bytes, json.dumps(document).encode())
