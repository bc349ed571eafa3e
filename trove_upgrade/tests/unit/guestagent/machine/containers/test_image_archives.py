# SPDX-License-Identifier: Apache-2.0
import ctypes
import gzip
import io
import itertools
import json
import mmap
import pathlib
import tarfile

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.machine import durable
from trove_upgrade.guestagent.machine.containers import image_archives, image_documents
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import archives

IMAGE = archives.id_of()
LAYERS = b'the lower layer' * 100, b'the upper layer'
OWN = archives.id_of(*LAYERS)
OTHER = b'a layer of others', b'and one more'


def place(content):
    return f'blobs/{archives.digest_of(content).replace(":", "/")}'


def wanted(*layers):
    """What an engine has to be given of an image with these layers."""
    config = archives.config_of(*layers)
    manifest = {
        'Config': place(config),
        'RepoTags': None,
        'Layers': [place(layer) for layer in layers],
    }
    return {
        **{place(part): part for part in (*layers, config)},
        'manifest.json': json.dumps([manifest]).encode(),
    }


def entry(name, kind=tarfile.REGTYPE, link='', pax=None):
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.pax_headers = kind, link, pax or {}
    return made


def tar(*members, form=tarfile.PAX_FORMAT):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode='w', format=form) as written:
        for member, content in members:
            if content is None:
                written.addfile(member)
            else:
                member.size = len(content)
                written.addfile(member, io.BytesIO(content))
    return made.getvalue()


_KEYS = 'rootfs', 'diff_ids', 'manifests', 'layers', 'config', 'Config', 'Layers'
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just('config.json'),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_KEYS) | st.text(), inner, max_size=3)
    ),
)


class RefusedTest(base.TestCase):
    def refused(self, content, image_id=IMAGE):
        return str(
            self.assertRaises(image_documents.NotOneImage, archives.rewritten, content, image_id)
        )

    def test_another_image_in_its_place_is_refused(self):
        self.assertIn('another image', self.refused(archives.archive(b'another layer')))

    def test_an_archive_that_lacks_a_part_is_refused(self):
        self.assertIn('lacks', self.refused(archives.archive(without=[archives.layer_of()])))

    def test_a_layer_that_is_another_one_or_compressed_is_refused(self):
        for layer in (b'another layer', gzip.compress(b'a layer')):
            content = archives.archive(more=[(archives.layer_of(), layer)])
            self.assertIn('lacks', self.refused(content))

    def test_a_configuration_that_is_not_the_one_of_the_id_is_refused(self):
        name = f'{IMAGE.partition(":")[2]}.json'
        content = archives.archive(more=[(name, archives.config_of(b'a layer') + b' ')])
        self.assertIn('another image', self.refused(content))

    def test_a_link_is_no_layer(self):
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            content = tar(
                (entry('config'), archives.config_of(b'a layer')),
                (entry('layer.tar', kind, '/etc/shadow'), None),
            )
            self.assertIn('lacks', self.refused(content))

    def test_a_size_that_readers_read_differently_is_refused(self):
        large = tar((entry('layer.tar'), b'a layer'), form=tarfile.GNU_FORMAT)
        for size in (b'\x80' + b'\0' * 5 + b'\x7f' + b'\0' * 5, b'\xff' * 12):
            header = bytearray(large[:512])
            header[124:136], header[148:156] = size, b' ' * 8
            header[148:156] = b'%06o\0 ' % sum(header)
            self.assertIn('usual form', self.refused(bytes(header) + large[512:]))

    def test_an_archive_that_was_cut_is_refused(self):
        content = archives.archive(b'x' * 100_000)
        self.refused(content[: len(content) // 2], archives.id_of(b'x' * 100_000))

    def test_an_archive_that_is_longer_than_was_told_is_refused(self):
        content = archives.archive()
        error = self.assertRaises(
            image_documents.NotOneImage,
            image_archives.opened,
            io.BytesIO(content),
            1024,
            lambda _count: None,
        )
        self.assertIn('longer than was told', str(error))

    def test_an_archive_without_end_is_refused(self):
        member = entry('x').tobuf(tarfile.USTAR_FORMAT)
        self.assertIn('too many members', self.refused(member * 5000))

    @given(st.binary(max_size=2000))
    def test_what_is_no_archive_is_refused(self, content):
        self.refused(content)

    @given(_JSON)
    def test_a_document_of_another_form_is_refused(self, document):
        text = json.dumps(document).encode()
        if document != {'rootfs': {'diff_ids': []}}:
            self.refused(archives.layout(text), archives.digest_of(text))

    def test_too_many_layers_are_refused(self):
        layers = [str(number).encode() for number in range(200)]
        content = archives.layout(archives.config_of(*layers), *layers)
        self.assertIn('too many layers', self.refused(content, archives.id_of(*layers)))

    def test_a_document_that_is_too_long_or_unreadable_is_refused(self):
        for text in (b' ' * (5 << 20), b'{', b'[' * 200_000):
            self.assertIn(
                'a document', self.refused(archives.layout(text), archives.digest_of(text))
            )


class RewrittenTest(base.TestCase):
    def assert_given(self, content, *layers):
        self.assertEqual(
            wanted(*layers), archives.read(archives.rewritten(content, archives.id_of(*layers)))
        )

    def test_an_engine_gets_the_image_alone_without_a_name(self):
        for names in (None, [], ['mariadb:10.11']):
            self.assert_given(archives.archive(names=names), b'a layer')
        self.assert_given(archives.layout(*LAYERS, archives.config_of(*LAYERS)), *LAYERS)

    def test_an_archive_that_would_be_taken_passes_the_check(self):
        content = archives.archive()
        counts = []
        image_archives.require(io.BytesIO(content), IMAGE, archives.PLATFORM, counts.append)
        self.assertGreater(sum(counts), 0)
        self.assertRaises(
            image_documents.NotOneImage,
            image_archives.require,
            io.BytesIO(content),
            OWN,
            archives.PLATFORM,
            counts.append,
        )

    def test_a_layer_that_the_image_has_twice_is_given_once(self):
        self.assert_given(
            archives.layout(b'layer', b'upper', archives.config_of(b'layer', b'upper', b'layer')),
            *(b'layer', b'upper', b'layer'),
        )

    def test_what_stands_behind_the_end_is_not_read(self):
        more = tar((entry('manifest.json'), b'[{"RepoTags": ["mariadb:10.11"]}]'))
        self.assert_given(archives.archive() + more, b'a layer')

    def test_what_an_archive_tells_of_itself_is_not_read(self):
        second = json.dumps([{'Config': 'x', 'RepoTags': ['mariadb:11.8'], 'Layers': []}]).encode()
        for name in ('./manifest.json', 'a/../manifest.json', '/manifest.json', 'manifest.json'):
            self.assert_given(archives.archive(more=[(name, second)]), b'a layer')
        self.assert_given(archives.archive(more=[('repositories', b'{"a": {}}')]), b'a layer')


class StoreTest(base.TestCase):
    """An image of an engine with containerd's store, whose id is that of a manifest."""

    def result(self, image_id, *parts):
        return archives.read(archives.rewritten(archives.layout(*parts), image_id))

    def own(self, members):
        described = json.loads(members.pop('index.json'))['manifests']
        self.assertEqual({'imageLayoutVersion': '1.0.0'}, json.loads(members.pop('oci-layout')))
        return described

    def test_the_manifest_and_what_it_names_are_given(self):
        manifest = archives.manifest_of(*LAYERS)
        parts = (*LAYERS, archives.config_of(*LAYERS), manifest)
        members = self.result(archives.digest_of(manifest), *parts, *OTHER)
        self.assertEqual(
            [
                {
                    'mediaType': 'application/vnd.oci.image.manifest.v1+json',
                    'digest': archives.digest_of(manifest),
                    'size': len(manifest),
                }
            ],
            self.own(members),
        )
        self.assertEqual({place(part): part for part in parts}, members)

    def test_of_an_index_the_manifests_that_are_there_are_given(self):
        manifest = archives.manifest_of(*LAYERS)
        index = archives.index_of(archives.digest_of(manifest), archives.digest_of(b'not here'))
        parts = (*LAYERS, archives.config_of(*LAYERS), manifest, index)
        members = self.result(archives.digest_of(index), *parts)
        (described,) = self.own(members)
        self.assertEqual(archives.digest_of(index), described['digest'])
        self.assertEqual({place(part): part for part in parts}, members)

    def test_an_index_without_the_manifest_of_the_own_platform_is_refused(self):
        manifest = archives.manifest_of(*LAYERS)
        others = archives.manifest_of(*OTHER)
        digests = archives.digest_of(others), archives.digest_of(manifest)
        parts = (*LAYERS, archives.config_of(*LAYERS), manifest)
        for platforms, is_taken in (
            ((('linux', 'amd64'), ('unknown', 'unknown')), False),
            ((('linux', 'amd64'), ('linux', 'arm64')), False),
            ((('unknown', 'unknown'), ('linux', 'amd64')), True),
        ):
            index = archives.index_of(*digests, platforms=platforms)
            if is_taken:
                self.assertIn(
                    place(manifest), self.result(archives.digest_of(index), *parts, index)
                )
                continue
            error = self.assertRaises(
                image_documents.NotOneImage,
                self.result,
                archives.digest_of(index),
                *parts,
                index,
            )
            self.assertIn('linux/amd64', str(error))

    def test_what_lacks_a_part_or_is_of_another_kind_is_refused(self):
        manifest = archives.manifest_of(*LAYERS)
        index = archives.index_of(archives.digest_of(manifest))
        of_another_kind = json.dumps({'mediaType': 'x', 'layers': [], 'config': {}}).encode()
        for wanted_part, *parts in (
            (manifest, *LAYERS),
            (manifest, LAYERS[0], archives.config_of(*LAYERS)),
            (index, *LAYERS),
            (index, *LAYERS, manifest),
            (of_another_kind,),
            (archives.index_of(*('a' * 100)),),
        ):
            self.assertRaises(
                image_documents.NotOneImage,
                self.result,
                archives.digest_of(wanted_part),
                wanted_part,
                *parts,
            )


_OWN_PARTS = (*LAYERS, archives.config_of(*LAYERS))
_NAMES = st.sampled_from(
    (
        'manifest.json',
        './manifest.json',
        'repositories',
        'index.json',
        'oci-layout',
        'x' * 150,
        *map(place, _OWN_PARTS),
    )
)
_CONTENTS = st.sampled_from(
    (
        *_OWN_PARTS,
        *OTHER,
        archives.config_of(*OTHER),
        gzip.compress(LAYERS[0]),
        json.dumps([{'Config': 'x', 'RepoTags': ['mariadb:11.8'], 'Layers': []}]).encode(),
        b'',
    )
)
_KINDS = st.sampled_from(
    (
        tarfile.REGTYPE,
        tarfile.AREGTYPE,
        tarfile.CONTTYPE,
        tarfile.LNKTYPE,
        tarfile.SYMTYPE,
        tarfile.DIRTYPE,
        tarfile.FIFOTYPE,
        tarfile.CHRTYPE,
        tarfile.GNUTYPE_SPARSE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
    )
)
_PAX = st.dictionaries(
    st.sampled_from(('path', 'linkpath', 'size', 'GNU.sparse.major', 'GNU.sparse.name', 'mtime')),
    st.sampled_from(('manifest.json', '0', '1', '1000000', 'x')),
    max_size=2,
)
_MEMBERS = st.tuples(st.builds(entry, _NAMES, _KINDS, _NAMES, _PAX), st.none() | _CONTENTS)
_FORMS = st.sampled_from((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
#: Files that are longer are taken for what they are told to be, until they are given.
_HASHED = st.sampled_from((0, 100, 600, image_documents.DOCUMENT_BYTES))


class HostileTest(base.TestCase):
    """Whatever is in an archive, an engine gets the image that is wanted, whole, or nothing."""

    def result(self, content, hashed_bytes=image_documents.DOCUMENT_BYTES):
        try:
            found = archives.rewritten(content, OWN, hashed_bytes)
        except image_documents.NotOneImage:
            return False
        self.assertEqual(wanted(*LAYERS), archives.read(found))
        return True

    @given(st.lists(_MEMBERS, max_size=8), _FORMS, _HASHED)
    def test_of_any_members(self, members, form, hashed_bytes):
        self.result(tar(*members, form=form), hashed_bytes)

    @given(st.lists(_MEMBERS, max_size=5), _FORMS, st.randoms(use_true_random=False), _HASHED)
    def test_a_whole_image_among_them_is_found_or_nothing(self, members, form, order, hashed_bytes):
        own = [(entry(place(part)), part) for part in _OWN_PARTS]
        mixed = [*own, *members]
        order.shuffle(mixed)
        self.result(tar(*mixed, form=form), hashed_bytes)

    @given(st.lists(st.tuples(_NAMES, _CONTENTS), max_size=5), st.permutations(_OWN_PARTS), _HASHED)
    def test_a_file_that_has_the_name_of_another_one_is_not_given(self, others, own, hashed_bytes):
        listing = [{'Config': 'x1', 'Layers': ['x2', 'x3']}]
        members = {f'x{number}': part for number, part in enumerate(own, 1)}
        members |= {'manifest.json': json.dumps(listing).encode()} | dict(others)
        self.result(archives.packed(members), hashed_bytes)

    @given(st.lists(st.tuples(_NAMES, _CONTENTS), max_size=5), st.permutations(_OWN_PARTS), _FORMS)
    def test_files_beside_it_whatever_their_names_change_nothing(self, others, own, form):
        named = [(entry(name), content) for name, content in others]
        parts = [(entry('x' * number), part) for number, part in enumerate(own, 1)]
        mixed = itertools.chain.from_iterable(itertools.zip_longest(named, parts))
        self.assertTrue(self.result(tar(*(one for one in mixed if one is not None), form=form)))

    @given(st.data())
    def test_with_any_byte_changed(self, data):
        content = bytearray(tar(*((entry(place(part)), part) for part in _OWN_PARTS)))
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
        self.result(bytes(content), data.draw(_HASHED))


def in_memory(path):
    """Bytes of a file that the kernel holds; see mincore(2)."""
    with path.open('r+b') as stream, mmap.mmap(stream.fileno(), 0) as mapped:
        held = (ctypes.c_ubyte * -(-len(mapped) // mmap.PAGESIZE))()
        first = ctypes.c_char.from_buffer(mapped)
        result = ctypes.CDLL(None).mincore(
            ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(mapped)), held
        )
        del first  # it keeps the file mapped
        assert result == 0
        return sum(page & 1 for page in held) * mmap.PAGESIZE


class MemoryTest(base.TestCase):
    def test_what_was_given_does_not_stay_in_the_memory_of_the_guest(self):
        layer = bytes(24 << 20)
        content = archives.layout(layer, archives.config_of(layer))
        # on a disk: what is in memory alone stays there
        path = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir='/var/tmp')).path, 'archive')
        durable.write(path, content)
        with path.open('rb') as stream:
            opened = image_archives.opened(stream, len(content), lambda _count: None)
            image = opened.image(archives.id_of(layer), archives.PLATFORM)
            self.assertEqual(image.size_bytes, sum(map(len, image.pieces)))
        self.assertLess(in_memory(path), 8 << 20)


class LargeTest(base.TestCase):
    """Large files are not read twice where the archive tells their digests."""

    LAYERS = b'the lower layer' * 1000, b'the upper layer' * 1000
    IMAGE = archives.id_of(*LAYERS)

    def members(self, *listed):
        """As Docker 20.10 saves them, with a list of these names of layers."""
        config = archives.config_of(*self.LAYERS)
        listing = [{'Config': 'config.json', 'Layers': listed}]
        return {
            'a/layer.tar': self.LAYERS[0],
            'b/layer.tar': self.LAYERS[1],
            'config.json': config,
            'manifest.json': json.dumps(listing).encode(),
        }

    def bytes_read(self, content):
        read = []
        image_archives.opened(io.BytesIO(content), len(content), read.append, 1000)
        return sum(read)

    def test_their_names_tell(self):
        parts = (*self.LAYERS, archives.config_of(*self.LAYERS))
        content = archives.layout(*parts)
        self.assertLess(self.bytes_read(content), 10_000)
        self.assertEqual(
            wanted(*self.LAYERS), archives.read(archives.rewritten(content, self.IMAGE, 1000))
        )

    def test_the_list_of_layers_tells(self):
        content = archives.packed(self.members('a/layer.tar', 'b/layer.tar'))
        self.assertLess(self.bytes_read(content), 10_000)
        self.assertEqual(
            wanted(*self.LAYERS), archives.read(archives.rewritten(content, self.IMAGE, 1000))
        )

    def test_they_are_read_where_nothing_tells(self):
        for listed in ((), ('a/layer.tar',), ('c/layer.tar', 'd/layer.tar')):
            content = archives.packed(self.members(*listed))
            self.assertGreater(self.bytes_read(content), 30_000)
            self.assertEqual(
                wanted(*self.LAYERS), archives.read(archives.rewritten(content, self.IMAGE, 1000))
            )

    @given(_JSON)
    def test_a_list_of_another_form_tells_nothing_and_hinders_nothing(self, listing):
        members = {**self.members(), 'manifest.json': json.dumps(listing).encode()}
        self.assertEqual(
            wanted(*self.LAYERS),
            archives.read(archives.rewritten(archives.packed(members), self.IMAGE, 1000)),
        )

    def test_a_list_that_is_wrong_is_noticed_before_the_end_is_given(self):
        for listed in (('b/layer.tar', 'a/layer.tar'), ('a/layer.tar', 'a/layer.tar')):
            given_pieces = []
            self.assertRaises(
                image_documents.NotOneImage,
                self.give,
                archives.opened(archives.packed(self.members(*listed)), 1000),
                given_pieces,
            )
            self.assertNotIn(bytes(1024), given_pieces)

    def give(self, contents, given_pieces):
        given_pieces.extend(contents.image(self.IMAGE, archives.PLATFORM).pieces)
