# SPDX-License-Identifier: Apache-2.0
"""Warnings, remarks and changed settings as rows of each release hold them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain import notes, states
from trove_upgrade.tests.unit import base

#: Rows' data as each release has written it, and what an answer holds of it.
AURORA = {
    'warnings': [
        'The rows of `shop`.`carts` will be gone after the upgrade, as after every restart.'
    ],
    'remarks': [
        "'etc/mysql/a.cnf' belongs to root now: this image has no user vault",
        "The agent of Trove has not reported it healthy within 75 s; its last word is 'shutdown'.",
        'Trove shows RESTART_REQUIRED, as before: only its own restart takes that away.',
        'An operator has set the task of the instance back to NONE while it was upgraded.',
    ],
    'settings_changed': [
        {'name': 'sql_mode', 'before': 'A', 'after': 'B'},
        {'name': 'max_connections', 'before': '151', 'after': '100'},
    ],
    'downtime_seconds': 7.5,
}
BOREALIS = {
    'warnings': [
        {
            'step': 'precheck',
            'code': 'TABLES_IN_MEMORY',
            'message': 'The rows of `shop`.`carts` will be gone.',
        }
    ],
    'remarks': [
        {'step': 'verify', 'code': 'TROVE_AGENT_SILENT', 'message': 'Silent.'},
        {'step': 'restore', 'code': 'OWNER_NOT_RESTORED', 'message': 'Root.'},
    ],
    'settings_changed': [{'name': 'sql_mode', 'before': 'A', 'after': 'B'}],
}
GOLDEN = (
    (
        AURORA,
        {
            'warnings': [('precheck', 'CHECK_WARNING')],
            'remarks': [
                ('restore', 'OWNER_NOT_RESTORED'),
                ('verify', 'TROVE_AGENT_SILENT'),
                ('verify', 'TROVE_RESTART_REQUIRED'),
                ('verify', 'INSTANCE_RESET'),
            ],
            'settings_changed': [('restore', 'SETTING_CHANGED'), ('restore', 'SETTING_CHANGED')],
        },
    ),
    (
        BOREALIS,
        {
            'warnings': [('precheck', 'TABLES_IN_MEMORY')],
            'remarks': [('restore', 'OWNER_NOT_RESTORED'), ('verify', 'TROVE_AGENT_SILENT')],
            'settings_changed': [('restore', 'SETTING_CHANGED')],
        },
    ),
    ({}, {'warnings': [], 'remarks': [], 'settings_changed': []}),
    (
        {'warnings': None, 'remarks': None, 'settings_changed': None},
        {'warnings': [], 'remarks': [], 'settings_changed': []},
    ),
)

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(['message', 'code', 'step', 'name', 'before', 'after', 'x']),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


class TestNotes(base.TestCase):
    def test_rows_of_each_release_are_read(self):
        for data, wanted in GOLDEN:
            answer = notes.Notes.of(data).to_answer()
            self.assertEqual(
                wanted,
                {
                    key: [(each['step'], each['code']) for each in found]
                    for key, found in answer.items()
                },
            )

    def test_the_sentences_of_old_rows_stay(self):
        found = notes.Notes.of(AURORA)
        self.assertEqual(AURORA['warnings'], [note.message for note in found.warnings])
        self.assertEqual(AURORA['remarks'], [note.message for note in found.remarks])

    def test_settings_are_in_the_order_of_their_names_with_both_values(self):
        first, second = notes.Notes.of(AURORA).to_answer()['settings_changed']
        self.assertEqual(
            {
                'step': 'restore',
                'code': 'SETTING_CHANGED',
                'message': "max_connections was '151' and is '100'.",
                'name': 'max_connections',
                'before': '151',
                'after': '100',
            },
            first,
        )
        self.assertEqual('sql_mode', second['name'])

    def test_of_two_long_lists_the_message_names_what_differs(self):
        def message(before, after):
            return notes.SettingChange(name='optimizer_switch', before=before, after=after).message

        self.assertEqual(
            'optimizer_switch differs: b=on, c=on before; b=off, d=on now.',
            message('a=on,b=on,c=on', 'a=on,b=off,d=on'),
        )
        self.assertEqual('optimizer_switch differs: d now.', message('a,b', 'a,b,d'))
        self.assertEqual("optimizer_switch was 'a,b' and is 'b,a'.", message('a,b', 'b,a'))
        self.assertEqual("optimizer_switch was 'a,b' and is ''.", message('a,b', ''))
        cut = notes.SettingChange.parse(
            {'name': 'x', 'before': 'a,' * 1000, 'after': 'a,b'}
        ).message
        self.assertIn("and is 'a,b'", cut)

    def test_one_more_remark_keeps_those_of_both_forms(self):
        known = {'remarks': ['Plain.', {'step': 'verify', 'code': 'A', 'message': 'Not plain.'}]}
        remark = notes.Note(states.Step.VERIFY, 'B', 'New.')
        more = notes.Notes.of(known).with_remark(remark).to_row()
        self.assertEqual(
            [('restore', 'RESTORE_REMARK'), ('verify', 'A'), ('verify', 'B')],
            [(each['step'], each['code']) for each in more['remarks']],
        )

    def test_a_tenant_sees_no_address_of_the_operators_network(self):
        hidden = (
            'http://nova.internal:8774/v2.1',
            '10.20.30.40',
            '172.24.5.1:5000',
            'registry.internal:5000',
            'fd00:1:2::3',
            'controller:8779',
            'docker-registry:5000',
        )
        for address in hidden:
            note = notes.Note(
                states.Step.PRECHECK,
                'X',
                f'Image {address}/mariadb:10.11 (or {address}), seen at 12:00:05.',
            )
            shown = notes.Notes((note,), (note,)).for_tenant()
            for each in (*shown.warnings, *shown.remarks):
                self.assertNotIn(address, each.message)
                self.assertIn('[address]', each.message)
        plain = (
            'Server 10.11.14 was followed by 11.8.6-MariaDB at 2026-11-27 12:00:05 UTC; '
            'mariadb:10.11 and a::b stay, as does 00000000-0000-4000-8000-00000000aaa1.'
        )
        self.assertEqual(plain, notes.Note(states.Step.VERIFY, 'X', plain).for_tenant().message)

    def test_what_a_guest_sends_is_bounded(self):
        sent = {
            'remarks': ['x' * 100000] * 1000,
            'settings_changed': [{'name': 'n' * 1000, 'before': 'b' * 100000, 'after': None}]
            * 1000,
        }
        found = notes.Notes.of(sent)
        self.assertEqual(
            (notes.MOST, notes.MOST), (len(found.remarks), len(found.settings_changed))
        )
        self.assertEqual(
            (notes.LONGEST, 64, notes.LONGEST, ''),
            (
                len(found.remarks[0].message),
                len(found.settings_changed[0].name),
                len(found.settings_changed[0].before),
                found.settings_changed[0].after,
            ),
        )

    @given(_JSON, _JSON, _JSON)
    def test_whatever_a_row_holds_can_be_shown_and_is_the_same_when_written_and_read_again(
        self, warnings, remarks, settings
    ):
        found = notes.Notes.of(
            {'warnings': warnings, 'remarks': remarks, 'settings_changed': settings}
        )
        json.dumps(found.for_tenant().to_answer())
        self.assertEqual(found, notes.Notes.of(json.loads(json.dumps(found.to_row()))))
