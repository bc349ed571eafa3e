# SPDX-License-Identifier: Apache-2.0
import errno
import hashlib
import os
import pathlib

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.machine import untrusted_files
from trove_upgrade.guestagent.storage import unnamed
from trove_upgrade.tests.unit import base


class UnnamedTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.place = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def link(self, stream, name='it'):
        with untrusted_files.directory(self.place) as directory:
            unnamed.link(stream, name, directory)

    def test_a_file_has_no_name_until_it_is_given_one(self):
        with unnamed.file(self.place) as stream:
            unnamed.write(stream, [b'content'], 7)
            self.assertEqual([], list(self.place.iterdir()))
            self.link(stream)
        self.assertEqual(b'content', (self.place / 'it').read_bytes())
        self.assertEqual(0o600, (self.place / 'it').stat().st_mode & 0o777)

    def test_nothing_stays_of_one_that_is_given_up(self):
        with unnamed.file(self.place) as stream:
            stream.write(b'content')
        self.assertEqual([], list(self.place.iterdir()))

    def test_what_has_the_name_goes_and_a_link_is_not_followed(self):
        (self.place / 'other').write_text('other')
        (self.place / 'it').symlink_to(self.place / 'other')
        with unnamed.file(self.place) as stream:
            unnamed.write(stream, [b'new'], 3)
            self.link(stream)
        self.assertFalse((self.place / 'it').is_symlink())
        self.assertEqual('other', (self.place / 'other').read_text())

    @given(st.lists(st.binary(max_size=50)))
    def test_the_digest_is_that_of_what_is_written(self, chunks):
        content = b''.join(chunks)
        with unnamed.file(self.place) as stream:
            found = unnamed.write(stream, chunks, len(content))
            stream.seek(0)
            self.assertEqual(content, stream.read())
        self.assertEqual((hashlib.sha256(content).hexdigest(), len(content)), found)

    def test_what_does_not_end_is_not_written_to_its_end(self):
        def endless():
            while True:
                yield b'x' * 100

        with unnamed.file(self.place) as stream:
            self.assertRaises(unnamed.TooLong, unnamed.write, stream, endless(), 1000)
            self.assertLessEqual(os.fstat(stream.fileno()).st_size, 1000)

    def test_a_large_one_comes_to_the_disk_in_parts_and_each_can_be_the_last(self):
        sizes = []
        with unnamed.file(self.place) as stream:
            unnamed.write(
                stream,
                [bytes(1 << 20)] * 20,
                1 << 30,
                lambda: sizes.append(os.fstat(stream.fileno()).st_size),
            )
        self.assertEqual([8 << 20, 16 << 20], sizes)

        def full():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with unnamed.file(self.place) as stream:
            self.assertRaises(OSError, unnamed.write, stream, [bytes(1 << 20)] * 20, 1 << 30, full)
