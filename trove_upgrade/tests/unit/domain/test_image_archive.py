# SPDX-License-Identifier: Apache-2.0
"""Facts of a container image on the volume: from a guest into a file of the next root disk."""

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain import image_archive
from trove_upgrade.domain.image_archive import LARGEST_BYTES, ImageArchive
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.domain.test_upgrade_info import HOSTILE

_HEX = st.text('0123456789abcdef', min_size=64, max_size=64)
ARCHIVES = st.builds(
    ImageArchive,
    sha256=_HEX,
    size_bytes=st.integers(1, LARGEST_BYTES),
    image_id=_HEX.map(lambda one: f'sha256:{one}'),
)


class TestImageArchive(base.TestCase):
    @given(ARCHIVES)
    def test_what_is_written_is_read(self, archive):
        self.assertEqual(archive, ImageArchive.from_wire(archive.to_wire()))
        self.assertEqual(archive, ImageArchive.from_option(archive.to_option()))
        self.assertTrue(archive.to_option().isprintable())

    @given(ARCHIVES)
    def test_fields_of_a_later_release_are_left_out(self, archive):
        self.assertEqual(archive, ImageArchive.from_wire({**archive.to_wire(), 'form': 'oci'}))

    @given(ARCHIVES, st.sampled_from(HOSTILE), st.integers(0, 160))
    def test_an_option_with_a_character_that_ends_a_line_is_refused(self, archive, character, at):
        text = archive.to_option()
        self.assertRaises(
            image_archive.Invalid,
            ImageArchive.from_option,
            text[:at] + character + text[at:],
        )

    @given(st.text() | st.integers() | st.none() | st.lists(st.text()))
    def test_what_is_no_archive_is_refused(self, value):
        self.assertFalse(image_archive.is_archive(value))
        self.assertRaises(image_archive.Invalid, ImageArchive.from_option, str(value))
