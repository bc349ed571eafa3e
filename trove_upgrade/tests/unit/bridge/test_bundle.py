# SPDX-License-Identifier: Apache-2.0
"""Bundle as the bridge checks it before a guest is opened."""

import dataclasses
import io
import lzma
import pathlib
import subprocess
import tarfile

import fixtures
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from hypothesis import given
from hypothesis import strategies as st

from tools.bundle import maker, packing
from trove_upgrade.bridge.bundle import archive
from trove_upgrade.bridge.bundle.manifest import Manifest, ManifestMalformed, is_below
from trove_upgrade.tests.unit import base

MANIFEST = Manifest(
    product_version='9.9',
    python_version='3.11',
    glibc='2.31',
    architecture='x86_64',
    files={'bin/self-test': 'a' * 64},
    links={'bin/python': 'python3.11'},
)
_digests = st.text('0123456789abcdef', min_size=64, max_size=64)
_paths = st.text(min_size=1).filter(is_below)


class TestManifest(base.TestCase):
    @given(st.dictionaries(_paths, _digests), st.dictionaries(_paths, st.text()))
    def test_it_is_read_as_it_was_written(self, files, links):
        written = dataclasses.replace(MANIFEST, files=files, links=links)
        self.assertEqual(written, Manifest.from_bytes(written.to_bytes()))

    @given(st.binary())
    def test_anything_else_is_refused_in_words(self, content):
        self.assertRaises(ManifestMalformed, Manifest.from_bytes, content)

    def test_each_field_that_is_wrong_is_named(self):
        text = MANIFEST.to_bytes().decode()
        for good, bad, found in (
            ('"format_version": 1', '"format_version": 2', 'format version 2'),
            ('"2.31"', '"two"', 'glibc'),
            ('"x86_64"', '""', 'architecture'),
            ('"bin/self-test"', '"../x"', 'outside'),
            ('a' * 64, 'a' * 63, 'files'),
            ('"python3.11"', '3', 'links'),
        ):
            self.assertIn(good, text)
            wrong = text.replace(good, bad).encode()
            error = self.assertRaises(ManifestMalformed, Manifest.from_bytes, wrong)
            self.assertIn(found, str(error))

    def test_a_field_of_a_later_release_is_left_out(self):
        more = MANIFEST.to_bytes().replace(b'{\n', b'{\n "later": [1],\n', 1)
        self.assertEqual(MANIFEST, Manifest.from_bytes(more))


class ArchiveCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.path = self.folder / 'bundle.tar.xz'

    def make(self, key=None):
        """Pack a bundle, and put its digest and signature beside it."""
        content = self.folder / 'content'
        (content / 'bin').mkdir(parents=True)
        (content / 'manifest.json').write_bytes(MANIFEST.to_bytes())
        (content / 'bin' / 'self-test').write_text('#!/bin/sh\n')
        (content / 'bin' / 'python').symlink_to('python3.11')
        packing.pack(content, self.folder / 'packed')
        maker._publish(self.folder / 'packed', self.path, key)

    def public(self, key):
        path = self.folder / f'{id(key)}.pem'
        path.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        return path

    def refused(self, key=None):
        error = self.assertRaises(archive.BundleInvalid, archive.check, self.path, key)
        self.assertEqual('BRIDGE_BUNDLE_INVALID', error.code)
        return error.message


class TestArchive(ArchiveCase):
    def test_a_bundle_that_is_whole_is_taken(self):
        self.make()
        found = archive.check(self.path, None)
        self.assertEqual((MANIFEST, False), (found.manifest, found.is_signed))
        self.assertEqual(archive.sha256_of(self.path), found.sha256)

    def test_one_that_the_operators_key_has_signed_is(self):
        key = ed25519.Ed25519PrivateKey.generate()
        self.make(key)
        self.assertTrue(archive.check(self.path, self.public(key)).is_signed)

    def test_openssl_and_sha256sum_find_the_same(self):
        key = ed25519.Ed25519PrivateKey.generate()
        self.make(key)
        sum_file, signature = (f'{self.path}{suffix}' for suffix in ('.sha256', '.sig'))
        subprocess.run(
            ['sha256sum', '--check', sum_file], cwd=self.folder, check=True, capture_output=True
        )
        options = ['-pubin', '-inkey', str(self.public(key)), '-rawin', '-in', sum_file]
        subprocess.run(
            ['openssl', 'pkeyutl', '-verify', *options, '-sigfile', signature],
            check=True,
            capture_output=True,
        )

    def test_another_key_is_not_the_operators(self):
        self.make(ed25519.Ed25519PrivateKey.generate())
        other = self.public(ed25519.Ed25519PrivateKey.generate())
        self.assertIn('no signature', self.refused(other))

    def test_a_key_that_is_none_of_ed25519_is_refused(self):
        self.make()
        self.assertIn(
            'no key of Ed25519', self.refused(self.public(x25519.X25519PrivateKey.generate()))
        )
        broken = self.folder / 'broken.pem'
        broken.write_text('none')
        self.assertIn('no public key', self.refused(broken))

    def test_a_digest_without_its_signature_is_not_enough_where_a_key_is_given(self):
        self.make()
        found = self.refused(self.public(ed25519.Ed25519PrivateKey.generate()))
        self.assertIn('bundle.tar.xz.sig is not there', found)

    def test_damage_is_found(self):
        self.make()
        with self.path.open('ab') as stream:
            stream.write(b'x')
        self.assertIn('its SHA-256 is', self.refused())

    def test_what_is_missing_is_named(self):
        self.assertIn('bundle.tar.xz.sha256 is not there', self.refused())

    def test_the_digest_of_another_file_is_refused(self):
        self.make()
        line = f'{archive.sha256_of(self.path)}  other\n'
        (self.folder / 'bundle.tar.xz.sha256').write_text(line)
        self.assertIn('no line of sha256sum', self.refused())

    def test_an_archive_of_something_else_is_refused(self):
        self.make()
        for content, found in ((b'none', 'no tar archive'), (self.other_tar(), 'does not begin')):
            self.path.write_bytes(content)
            line = f'{archive.sha256_of(self.path)}  {self.path.name}\n'
            (self.folder / 'bundle.tar.xz.sha256').write_text(line)
            self.assertIn(found, self.refused())

    def other_tar(self):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode='w:xz') as other:
            other.addfile(tarfile.TarInfo('x'))
        return stream.getvalue()

    def test_two_packings_are_the_same_bytes(self):
        self.make()
        first = self.path.read_bytes()
        content = self.folder / 'content'
        (content / 'bin' / 'self-test').touch()
        packing.pack(content, self.folder / 'again')
        self.assertEqual(first, (self.folder / 'again').read_bytes())

    def test_a_guest_without_xz_gets_the_same_for_gzip(self):
        self.make()
        bundle = archive.check(self.path, None)
        sent = bundle.for_guest(self.folder, has_xz=False)
        with tarfile.open(sent.path, 'r:gz') as plain:
            self.assertEqual('manifest.json', plain.getnames()[0])
        self.assertEqual(archive.sha256_of(sent.path), sent.sha256)
        again = bundle.for_guest(self.folder, has_xz=False)
        self.assertEqual(sent, again)
        self.assertEqual(self.path, bundle.for_guest(self.folder, has_xz=True).path)

    def test_one_that_is_another_since_it_was_checked_is_repacked_for_no_guest(self):
        self.make()
        bundle = archive.check(self.path, None)
        content = self.path.read_bytes()
        for changed in (content[:-40], lzma.compress(b'another archive'), content + b'more'):
            self.path.write_bytes(changed)
            found = self.assertRaises(
                archive.BundleChanged, bundle.for_guest, self.folder, has_xz=False
            )
            self.assertIn(str(self.path), found.message)

    def test_an_archive_that_ends_early_is_refused(self):
        self.make()
        self.path.write_bytes(lzma.compress(b'x' * 100)[:-20])
        line = f'{archive.sha256_of(self.path)}  {self.path.name}\n'
        (self.folder / 'bundle.tar.xz.sha256').write_text(line)
        self.assertIn('no tar archive', self.refused())
