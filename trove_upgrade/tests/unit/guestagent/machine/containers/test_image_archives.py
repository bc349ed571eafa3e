# SPDX-License-Identifier: Apache-2.0
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.machine.containers import image_archives
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import archives

IMAGE = archives.id_of()
DIGEST = f'sha256:{"d" * 64}'


def index(*manifests):
    return ('index.json', json.dumps({'manifests': list(manifests)}).encode())


class ImageArchivesTest(base.TestCase):
    def refused(self, content, image_id=IMAGE):
        return str(
            self.assertRaises(
                image_archives.NotOneImage, image_archives.require, io.BytesIO(content), image_id
            )
        )

    def test_an_archive_of_the_image_alone_is_taken(self):
        image_archives.require(io.BytesIO(archives.archive()), archives.id_of())
        image_archives.require(io.BytesIO(archives.archive(names=[])), archives.id_of())

    def test_an_image_that_is_known_by_the_digest_of_its_manifest_is_taken(self):
        content = archives.archive(more=[index({'digest': DIGEST})])
        image_archives.require(io.BytesIO(content), DIGEST)

    def test_a_name_in_the_archive_is_refused_wherever_it_stands(self):
        name = 'mariadb:10.11'
        for content in (
            archives.archive(names=[name]),
            archives.archive(more=[('repositories', json.dumps({'mariadb': {}}).encode())]),
            *(
                archives.archive(more=[index({'digest': DIGEST, 'annotations': {key: name}})])
                for key in ('io.containerd.image.name', 'org.opencontainers.image.ref.name')
            ),
        ):
            self.assertIn('names', self.refused(content))

    def test_another_image_beside_it_is_refused(self):
        self.assertIn(
            'several',
            self.refused(archives.archive(more=[index({'digest': 'a'}, {'digest': 'b'})])),
        )

    def test_another_image_in_its_place_is_refused(self):
        self.assertIn('another image', self.refused(archives.archive(b'another layer')))

    def test_an_archive_that_lacks_a_part_is_refused(self):
        self.assertIn('lacks', self.refused(archives.archive(without=[archives.layer_of()])))
        self.assertIn('cannot be read', self.refused(archives.archive(without=['manifest.json'])))

    def test_what_another_reader_takes_for_another_member_is_refused(self):
        second = json.dumps([{'Config': 'x', 'RepoTags': ['mariadb:11.8'], 'Layers': []}]).encode()
        for name in ('./manifest.json', 'a/../manifest.json', '/manifest.json', 'MANIFEST.JSON'):
            content = archives.archive(more=[(name, second)])
            self.assertIn('do not write', self.refused(content), name)
        self.assertIn('do not write', self.refused(archives.packed({'\x1f\x8b': b''})))
        twice = archives.archive()[:-1024].rstrip(b'\0')
        whole = twice + b'\0' * (-len(twice) % 512)
        self.refused(whole + archives.packed({'manifest.json': second}))

    def test_a_size_that_readers_read_differently_is_refused(self):
        content = bytearray(archives.archive())
        content[124:136] = b'\0' + bytes(content[124:134]) + b'\0'
        header = bytes(content[:148]) + b' ' * 8 + bytes(content[156:512])
        content[148:156] = b'%06o\0 ' % sum(header)
        self.assertIn('usual form', self.refused(bytes(content)))

    def test_an_archive_that_was_cut_is_refused(self):
        content = archives.archive(b'x' * 100_000)
        self.refused(content[: len(content) // 2], archives.id_of(b'x' * 100_000))

    @given(st.binary(max_size=2000))
    def test_what_is_no_archive_is_refused(self, content):
        self.refused(content)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
        )
    )
    def test_a_manifest_of_another_form_is_refused(self, document):
        self.refused(archives.packed({'manifest.json': json.dumps(document).encode()}))
