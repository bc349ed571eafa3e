# SPDX-License-Identifier: Apache-2.0
"""Facts that a guest hands on: each account of the broker could have written them, and they become
configuration.
"""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain import upgrade_info
from trove_upgrade.domain.image_archive import LARGEST_BYTES, ImageArchive
from trove_upgrade.domain.upgrade_info import UpgradeInfo
from trove_upgrade.tests.unit import base

INFO = UpgradeInfo(
    upgrade_id='00000000-0000-4000-8000-000000000001',
    attempt=1,
    volume_uuid='6d1b1c5e-5f0e-4a53-9e0e-0d7d6c3b2a10',
    filesystem='ext4',
    stash='stash-1-1',
    stash_digest='a' * 64,
    fingerprint_digest='b' * 64,
    files_digest='c' * 64,
    former_server_version='10.11.14-MariaDB',
    former_agent_version='1.0',
    former_boot_id='boot-1',
    stopped_at='2026-11-21T12:00:00+00:00',
)
#: Of those that are one value.
NAMES = [
    field.name
    for field in dataclasses.fields(UpgradeInfo)
    if not field.name.endswith('image_archive')
]
#: Ends of lines for str.splitlines, for a terminal, for an INI file, and a text that no encoding
#: takes.
HOSTILE = [
    *'\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\x1b\x7f\t\u202e',
    '\ud800',
]
_HEX = st.text('0123456789abcdef', min_size=64, max_size=64)
_WORDS = st.text(st.characters(exclude_categories=['C', 'Zl', 'Zp', 'Zs']), max_size=200)
_ARCHIVES = st.none() | st.builds(
    ImageArchive,
    sha256=_HEX,
    size_bytes=st.integers(1, LARGEST_BYTES),
    image_id=_HEX.map(lambda one: f'sha256:{one}'),
)
INFOS = st.builds(
    UpgradeInfo,
    upgrade_id=st.uuids().map(str),
    attempt=st.integers(1, 2**31 - 1),
    volume_uuid=st.uuids().map(str),
    filesystem=st.sampled_from(['ext3', 'ext4', 'xfs']),
    stash=st.uuids().map(lambda one: f'stash-{one}-1'),
    stash_digest=_HEX,
    fingerprint_digest=_HEX,
    files_digest=_HEX,
    former_server_version=_WORDS,
    former_agent_version=_WORDS,
    former_boot_id=_WORDS,
    stopped_at=st.datetimes(timezones=st.timezones())
    .map(lambda one: one.isoformat())
    .filter(upgrade_info.is_time),
    image_archive=_ARCHIVES,
    former_image_archive=_ARCHIVES,
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def texts(value):
    """Every text in it, names too."""
    if isinstance(value, dict):
        return [one for pair in value.items() for inner in pair for one in texts(inner)]
    if isinstance(value, list | tuple):
        return [one for inner in value for one in texts(inner)]
    return [value] if isinstance(value, str) else []


class TestUpgradeInfo(base.TestCase):
    @given(INFOS)
    def test_what_one_side_hands_on_the_other_reads(self, info):
        self.assertEqual(info, UpgradeInfo.from_wire(info.to_wire()))
        self.assertEqual(info.to_wire(), upgrade_info.carried(info.to_wire()))

    @given(INFOS, st.sampled_from(NAMES), st.sampled_from(HOSTILE), st.integers(0, 300))
    def test_no_field_takes_a_character_that_ends_a_line_wherever_it_stands(
        self, info, name, character, at
    ):
        wire = info.to_wire()
        text = str(wire[name])
        wire[name] = text[:at] + character + text[at:]
        for read in (UpgradeInfo.from_wire, upgrade_info.carried):
            self.assertRaises(upgrade_info.Invalid, read, wire)
        del wire['schema']
        self.assertRaises(upgrade_info.Invalid, upgrade_info.carried, wire)

    def test_facts_of_an_image_that_are_not_of_their_form_are_refused(self):
        good = {'sha256': 'a' * 64, 'size_bytes': 1, 'image_id': f'sha256:{"b" * 64}'}
        self.assertEqual(good, upgrade_info.carried(self.with_image(good))['image_archive'])
        for changed in (
            {'sha256': 'A' * 64},
            {'sha256': 'a' * 64 + '\n'},
            {'size_bytes': 0},
            {'size_bytes': True},
            {'size_bytes': LARGEST_BYTES + 1},
            {'size_bytes': '1'},
            {'image_id': 'b' * 64},
            {'image_id': None},
        ):
            for read in (UpgradeInfo.from_wire, upgrade_info.carried):
                for name in ('image_archive', 'former_image_archive'):
                    self.assertRaises(
                        upgrade_info.Invalid, read, self.with_image({**good, **changed}, name)
                    )
        self.assertRaises(upgrade_info.Invalid, UpgradeInfo.from_wire, self.with_image([good]))

    def with_image(self, archive, name='image_archive'):
        return {**INFO.to_wire(), name: archive}

    def test_facts_of_both_images_are_read_as_they_were_written(self):
        target, former = (
            ImageArchive(sha256='a' * 64, size_bytes=1, image_id=f'sha256:{digit * 64}')
            for digit in 'bc'
        )
        info = dataclasses.replace(INFO, image_archive=target, former_image_archive=former)
        self.assertEqual(info, UpgradeInfo.from_wire(info.to_wire()))
        stored = upgrade_info.StoredInfo(info.to_wire())
        self.assertEqual([target, former], stored.image_archives())

    def test_a_guest_without_an_image_on_its_volume_returns_what_the_release_before_returns(self):
        self.assertNotIn('image_archive', INFO.to_wire())
        self.assertNotIn('former_image_archive', INFO.to_wire())
        self.assertEqual([], upgrade_info.StoredInfo(INFO.to_wire()).image_archives())

    @given(ANYTHING)
    def test_whatever_comes_is_kept_with_plain_texts_or_refused(self, value):
        for wire in (
            value,
            {'other': value},
            {**INFO.to_wire(), 'volume_uuid': value},
            {**INFO.to_wire(), 'other': value},
        ):
            try:
                kept = upgrade_info.carried(wire)
            except upgrade_info.Invalid:
                continue
            self.assertEqual([], [text for text in texts(kept) if not text.isprintable()])
            uuid = kept.get('volume_uuid', INFO.volume_uuid)
            self.assertTrue(upgrade_info.is_volume_uuid(uuid), uuid)

    def test_options_of_a_file_are_no_uuid(self):
        for value in (
            'x\ntransport_url = rabbit://e@e/',
            '$transport_url',
            '../x',
            '',
            7,
            True,
            ['x'],
            {},
            'uuid-1',
            '0' * 36,
            f'{INFO.volume_uuid}\n',
            f' {INFO.volume_uuid}',
            INFO.volume_uuid[:-1],
            INFO.volume_uuid.replace('6', '\uff16'),
        ):
            self.assertRaises(
                upgrade_info.Invalid, upgrade_info.StoredInfo({'volume_uuid': value}).volume_uuid
            )

    def test_a_field_of_a_newer_agent_travels_and_is_no_way_around(self):
        wire = {**INFO.to_wire(), 'novelty': {'a': [1, 'b']}}
        self.assertEqual(wire, upgrade_info.carried(wire))
        self.assertEqual(INFO, UpgradeInfo.from_wire(wire))
        nested = []
        for _ in range(5000):
            nested = [nested]
        for value in (
            'a\nb',
            ['a\x85b'],
            {'a\u2028': 1},
            nested,
            'x' * 70000,
            ['x'] * 70000,
            float('nan'),
            10**30,
            b'x',
        ):
            self.assertRaises(
                upgrade_info.Invalid, upgrade_info.carried, {**INFO.to_wire(), 'novelty': value}
            )
        for name in ('a b', 'a=b', '[x]', '', 7, 'x' * 65):
            self.assertRaises(
                upgrade_info.Invalid, upgrade_info.carried, {**INFO.to_wire(), name: 1}
            )

    def test_an_agent_of_1_0_with_a_schema_of_its_own_gets_its_facts_back(self):
        for wire in ({'save_dir': '/var/lib/x', 'size': 3}, {'stash': 'stash-s'}, {}):
            self.assertEqual(wire, upgrade_info.carried(wire))
        self.assertEqual({}, upgrade_info.carried(None))
        for wire in ('x', [], 7, [['volume_uuid', 'x']], {'save_dir': 'x\ny'}):
            self.assertRaises(upgrade_info.Invalid, upgrade_info.carried, wire)

    def test_a_schema_that_is_not_ours_is_refused(self):
        for schema in (2, '1', None, True, 1.5):
            self.assertRaises(
                upgrade_info.Invalid, upgrade_info.carried, {**INFO.to_wire(), 'schema': schema}
            )

    def test_the_refusal_repeats_nothing_of_what_came(self):
        error = self.assertRaises(
            upgrade_info.Invalid, upgrade_info.carried, {**INFO.to_wire(), 'stash': 'FORGED\x1b'}
        )
        self.assertEqual('see stash', str(error))
