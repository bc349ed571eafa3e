# SPDX-License-Identifier: Apache-2.0
"""What a guest may say, and what no service takes from it."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain import guests, wire
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.tests.unit import base

ANSWER = guests.GuestAnswer(
    state=guests.JobState.DONE,
    message='done',
    boot_id='boot',
    server_state=guests.ServerState.RUNNING,
    agent_version='1.0',
    percent=7,
    result={'upgrade_info': {}},
)
BEAT = guests.Heartbeat(
    instance_id='i',
    boot_id='boot',
    marker=None,
    restored=False,
    agent_version='1.0',
    server_version=None,
    server_state=guests.ServerState.STOPPED,
)
CALL = guests.GuestCall(
    instance_id='i',
    upgrade_id='u',
    attempt=1,
    generation=2,
    deadline=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    target=TargetFacts(server_version='11.8'),
)
SOMETHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)


class TestWire(base.TestCase):
    def test_what_was_sent_is_what_comes(self):
        for sent in (ANSWER, BEAT, CALL):
            self.assertEqual(sent, type(sent).from_wire(sent.to_wire()))

    def test_what_a_newer_one_adds_is_dropped(self):
        self.assertEqual(ANSWER, guests.GuestAnswer.from_wire({**ANSWER.to_wire(), 'novelty': [1]}))

    def test_a_value_of_another_type_is_refused_and_never_kept(self):
        for sent, name, value in (
            (ANSWER, 'code', 7),
            (ANSWER, 'code', {}),
            (ANSWER, 'message', None),
            (ANSWER, 'result', []),
            (ANSWER, 'percent', True),
            (ANSWER, 'serving', 'yes'),
            (BEAT, 'restored', 1),
            (BEAT, 'marker', ['x']),
            (CALL, 'generation', '3'),
            (CALL, 'generation', 10**30),
            (CALL, 'target', None),
            (CALL, 'deadline', 5),
            (ANSWER, 'state', ['DONE']),
        ):
            self.assertRaises(
                (TypeError, ValueError), type(sent).from_wire, {**sent.to_wire(), name: value}
            )

    def test_what_is_no_mapping_is_refused(self):
        for value in ('x', [], None, 3):
            self.assertRaises(TypeError, guests.GuestAnswer.from_wire, value)

    def test_what_is_missing_is_named(self):
        said = ANSWER.to_wire()
        del said['boot_id']
        self.assertEqual(
            ('boot_id',), self.assertRaises(KeyError, guests.GuestAnswer.from_wire, said).args
        )

    def test_what_is_too_large_for_a_row_is_refused(self):
        self.assertRaises(
            ValueError,
            guests.GuestAnswer.from_wire,
            {**ANSWER.to_wire(), 'result': {'x': 'x' * wire.LARGEST}},
        )

    @given(
        st.sampled_from(
            [
                'code',
                'message',
                'boot_id',
                'result',
                'percent',
                'serving',
                'state',
                'server_started_on_data',
            ]
        ),
        SOMETHING,
    )
    def test_whatever_comes_is_of_its_type_or_refused(self, name, value):
        try:
            found = guests.GuestAnswer.from_wire({**ANSWER.to_wire(), name: value})
        except (KeyError, TypeError, ValueError):
            return
        self.assertIsInstance(found.message, str)
        self.assertIsInstance(found.code, str | None)
        self.assertIsInstance(found.result, dict)
        self.assertIsInstance(found.percent, int | None)
