# SPDX-License-Identifier: Apache-2.0
"""Arguments of a guest's calls: a job acts as root on them."""

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain import guest_call, guests
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.domain.test_upgrade_info import ANYTHING, HOSTILE
from trove_upgrade.tests.unit.domain.test_wire import CALL


class TestGuestCall(base.TestCase):
    def test_what_a_taskmanager_sends_is_read(self):
        target = {
            'server_version': '11.8',
            'options': ['a'],
            'plugin_options': {'a': ['b']},
            'container_image': None,
            'novelty': [{'a': 1}],
        }
        call = guests.GuestCall(
            instance_id='i',
            upgrade_id='u',
            attempt=1,
            generation=0,
            deadline=CALL.deadline,
            target=TargetFacts.from_wire(target),
            options=GuestOptions(lock_seconds=3.5, min_free_bytes=1 << 40, rollback=True),
        )
        self.assertEqual(call, guest_call.read(call.to_wire()))

    def test_each_wrong_argument_is_refused_by_its_name(self):
        for changes in (
            {'surplus': 1},
            {'attempt': -1},
            {'attempt': '1'},
            {'attempt': 1.5},
            {'generation': True},
            {'deadline': '2026-01-01'},
            {'deadline': 7},
            {'seconds': -1},
            {'seconds': '1'},
            {'seconds': 1.5},
            {'seconds': 2**31},
            {'target': []},
            {'options': 'x'},
            {'upgrade_info': None},
            {'upgrade_id': '../x'},
            {'instance_id': 'i\n'},
            {'target': {'server_version': 7}},
            {'target': {'plugins': 'x'}},
            {'target': {'container_image': ['registry/mariadb:11.8']}},
            {'target': {'version_number': ['11.8']}},
            {'target': {'options': [7]}},
            {'target': {'plugin_options': []}},
            {'options': {'rollback': 'yes'}},
            {'options': {'lock_seconds': '7'}},
            {'options': {'min_free_bytes': -1}},
            {'options': {'lock_seconds': float('nan')}},
            {'options': {'allow_replication': 1}},
            {'options': {'former_image_id': 'a' * 64}},
            *({'target': {'container_image': f'x{one}y'}} for one in HOSTILE),
            *({'options': {f'x{one}': 1}} for one in HOSTILE),
        ):
            self.assertRaises(guest_call.Invalid, guest_call.read, {**CALL.to_wire(), **changes})

    def test_a_missing_argument_is_named(self):
        wire = CALL.to_wire()
        del wire['deadline']
        self.assertIn('deadline', str(self.assertRaises(guest_call.Invalid, guest_call.read, wire)))

    @given(st.sampled_from(sorted(CALL.to_wire())), ANYTHING)
    def test_whatever_comes_is_read_or_refused(self, name, value):
        try:
            call = guest_call.read({**CALL.to_wire(), name: value})
        except guest_call.Invalid:
            return
        self.assertIsNotNone(call.deadline.utcoffset())
        self.assertIsInstance(call.attempt, int)
