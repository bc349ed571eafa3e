# SPDX-License-Identifier: Apache-2.0
"""A stash that an intruder on the former root disk has made by hand, with digests that match."""

import base64
import dataclasses
import hashlib
import json
import os
import pathlib
import stat
import struct

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.storage.stash.accounts import SystemAccounts
from trove_upgrade.guestagent.storage.stash.manifest import (
    CONTENT,
    MANIFEST,
    Entry,
    Manifest,
    Piece,
)
from trove_upgrade.guestagent.storage.stash.restore import Stash
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes

_TEXT = b'#!/bin/sh\nid\n'
_PIECE = Piece(0, len(_TEXT), hashlib.sha256(_TEXT).hexdigest())
_FILE = Entry(
    path='/etc/db/f',
    kind='file',
    mode=0o644,
    uid=0,
    gid=0,
    owner='root',
    group='root',
    mtime_ns=0,
    target=None,
    link=1,
    piece=_PIECE,
)
_DIRECTORY = Entry(
    path='/etc/db',
    kind='directory',
    mode=0o755,
    uid=0,
    gid=0,
    owner='root',
    group='root',
    mtime_ns=0,
)
_MAGIC = struct.pack('<I', 2)


def encoded(raw):
    return base64.b64encode(raw).decode()


class HostileStashTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.top = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        self.there = self.top / 'there'
        self.there.mkdir()

    def publish(self, *entries, change=lambda document: None):
        """Write a stash; `change` alters its manifest as JSON."""
        document = json.loads(
            Manifest(upgrade_id='u', attempt=1, entries=entries, documents={}).to_bytes()
        )
        change(document)
        raw = json.dumps(document).encode()
        directory = self.top / 'volume' / 'stash'
        directory.mkdir(parents=True, exist_ok=True)
        (directory / MANIFEST).write_bytes(raw)
        if not os.path.lexists(directory / CONTENT):
            (directory / CONTENT).write_bytes(_TEXT)
        return hashlib.sha256(raw).hexdigest()

    def open(self, *entries, change=lambda document: None):
        digest = self.publish(*entries, change=change)
        stash = Stash.open(self.top / 'volume', 'stash', digest)
        self.addCleanup(stash.close)
        return stash

    def restore(self, *entries):
        stash = self.open(*entries)
        return stash.restore(stash.paths(), SystemAccounts(), self.there)

    def status(self, name):
        return (self.there / name.lstrip('/')).lstat()

    def mode(self, name):
        return stat.S_IMODE(self.status(name).st_mode)

    def changed(self, entry=_FILE, **fields):
        return dataclasses.replace(entry, **fields)


class TestRights(HostileStashTest):
    def test_no_mode_makes_a_program_or_lends_rights(self):
        for mode in (0o4755, 0o2755, 0o6777, 0o7777, 0o4711, 0o1777, 0o111):
            self.restore(self.changed(mode=mode))
            self.assertEqual(mode & 0o666, self.mode('etc/db/f'))

    def test_a_directory_that_all_may_write_to_is_sticky_and_lends_no_group(self):
        for mode, right in ((0o777, 0o1777), (0o2777, 0o1777), (0o4775, 0o775), (0o2750, 0o750)):
            self.restore(self.changed(_DIRECTORY, mode=mode))
            self.assertEqual(right, self.mode('etc/db'))

    def test_directories_on_the_way_are_root_s_whatever_the_umask_is(self):
        self.addCleanup(os.umask, os.umask(0))
        self.restore(self.changed(path='/etc/db/a/b/f', mode=0o666))
        for name in ('etc', 'etc/db', 'etc/db/a', 'etc/db/a/b'):
            self.assertEqual((0o755, 0), (self.mode(name), self.status(name).st_uid))

    def test_extended_attributes_come_back_but_for_those_that_mean_something_to_the_kernel(self):
        capability = struct.pack('<IIIII', 0x02000001, 1 << 21, 0, 0, 0)
        access = _MAGIC + b''.join(
            struct.pack('<HHI', *entry)
            for entry in (
                (1, 6, 0xFFFFFFFF),
                (2, 6, 1000),
                (4, 0, 0xFFFFFFFF),
                (16, 6, 0xFFFFFFFF),
                (32, 0, 0xFFFFFFFF),
            )
        )
        remarks = self.restore(
            self.changed(
                mode=0o660,
                xattrs={
                    'security.capability': encoded(capability),
                    'security.other': encoded(b'x'),
                    'trusted.overlay.redirect': encoded(b'/etc'),
                    'system.posix_acl_access': encoded(access),
                    'system.posix_acl_default': encoded(access),
                    'user.note': encoded(b'kept'),
                },
            )
        )
        self.assertEqual(['user.note'], os.listxattr(self.there / 'etc/db/f'))
        self.assertEqual(
            0o600, self.mode('etc/db/f'), 'the mask of a list is no right of the group'
        )
        self.assertIn('access list', ' '.join(remarks))

    def test_names_with_one_number_of_a_link_are_one_file_only_where_all_else_is_the_same(self):
        same = self.changed(path='/etc/db/same')
        other = self.changed(path='/etc/db/other', uid=54321, owner=None, mode=0o666)
        self.restore(_FILE, same, other)
        self.assertEqual(self.status('etc/db/f').st_ino, self.status('etc/db/same').st_ino)
        self.assertNotEqual(self.status('etc/db/f').st_ino, self.status('etc/db/other').st_ino)
        self.assertEqual((0, 0o644), (self.status('etc/db/f').st_uid, self.mode('etc/db/f')))
        self.assertEqual(
            (54321, 0o666), (self.status('etc/db/other').st_uid, self.mode('etc/db/other'))
        )

    def test_root_s_number_without_root_s_name_is_refused(self):
        for fields in (
            {'owner': None},
            {'owner': 'no-such-user'},
            {'owner': ''},
            {'group': None},
            {'group': '0'},
        ):
            error = self.assertRaises(exceptions.StepFailed, self.restore, self.changed(**fields))
            self.assertEqual('STASH_OWNER_UNKNOWN', error.code)


class TestForm(HostileStashTest):
    def assert_broken(self, change, *entries):
        error = self.assertRaises(
            exceptions.StepFailed, self.open, *(entries or (_FILE,)), change=change
        )
        self.assertEqual('STASH_BROKEN', error.code)
        self.assertEqual([], list(self.there.iterdir()))

    def test_fields_that_no_agent_writes_are_refused(self):
        fields = [
            *(
                ('path', path)
                for path in (
                    'etc/x',
                    '//etc/x',
                    '/etc/../x',
                    '/etc//x',
                    '/etc/x/',
                    '/etc/\0',
                    '/etc/\ud800',
                    '',
                    None,
                    7,
                )
            ),
            *(
                (name, value)
                for name in ('uid', 'gid')
                for value in (-1, 2**32 - 1, 2**64, '0', 1.5, True, None)
            ),
            *(('mode', mode) for mode in (-1, 0o10000, '0644', None)),
            *(('mtime_ns', time) for time in (10**40, 'now', None)),
            *(('kind', kind) for kind in ('device', 'fifo', 'symlink', 'directory', '', None)),
            *(('owner', name) for name in ('a\0b', '\ud800', 7)),
            *(('xattrs', xattrs) for xattrs in (None, [], {'user.a': 7})),
            ('link', 'x'),
            ('target', '/etc'),
            ('piece', None),
            ('piece', {'offset': -1, 'size': 3, 'sha256': ''}),
            ('piece', {'offset': 0, 'size': 2**63, 'sha256': ''}),
            ('piece', {'offset': 0}),
            ('more', 1),
        ]
        for name, value in fields:
            with self.subTest(name=name, value=repr(value)):
                self.assert_broken(
                    lambda document, n=name, v=value: document['entries'][0].update({n: v})
                )

    def test_a_link_that_leads_nowhere_is_refused(self):
        link = Entry(
            path='/etc/db/l',
            kind='symlink',
            mode=0o777,
            uid=0,
            gid=0,
            owner='root',
            group='root',
            mtime_ns=0,
            target='x',
        )
        for target in (None, 7, 'a\0b', '\ud800'):
            self.assert_broken(
                lambda document, t=target: document['entries'][0].update(target=t), link
            )

    def test_documents_of_another_form_are_refused(self):
        for name, value in (
            ('entries', {}),
            ('entries', [[]]),
            ('documents', []),
            ('schema', 2),
            ('skipped', None),
            ('documents', {'a': {}}),
        ):
            with self.subTest(name=name, value=value):
                self.assert_broken(lambda document, n=name, v=value: document.update({n: v}), _FILE)

    def test_what_leads_one_entry_through_another_is_refused(self):
        link = self.changed(_DIRECTORY, kind='symlink', mode=0o777, target='/etc/ssh')
        for entries, words in (
            ((link, _FILE), 'leads through what is no directory'),
            (
                (self.changed(path='/etc/db', link=None), _FILE),
                'leads through what is no directory',
            ),
            ((_FILE, _FILE), 'one path twice'),
        ):
            error = self.assertRaises(exceptions.StepFailed, self.restore, *entries)
            self.assertEqual('STASH_BROKEN', error.code)
            self.assertIn(words, error.message)
            self.assertEqual([], list(self.there.iterdir()))

    def held(self):
        """Files and directories of the volume that this process has open."""
        links = (
            str(path.readlink())
            for path in pathlib.Path('/proc/self/fd').iterdir()
            if os.path.lexists(path)
        )
        return [link for link in links if link.startswith(str(self.top / 'volume'))]

    def test_a_content_that_is_no_regular_file_is_refused_and_let_go(self):
        content = self.top / 'volume/stash' / CONTENT
        for make in (os.mkfifo, os.mkdir):  # an open of a pipe could hang
            digest = self.publish(_FILE)
            content.unlink()
            make(content)
            error = self.assertRaises(
                exceptions.StepFailed, Stash.open, self.top / 'volume', 'stash', digest
            )
            self.assertEqual('STASH_BROKEN', error.code)
            self.assertIn('its content is not a plain file', error.message)
            self.assertEqual([], self.held())
            content.rmdir() if content.is_dir() else content.unlink()

    def test_an_open_stash_holds_its_content_alone_and_lets_it_go(self):
        with Stash.open(self.top / 'volume', 'stash', self.publish(_FILE)):
            self.assertEqual([str(self.top / 'volume/stash' / CONTENT)], self.held())
        self.assertEqual([], self.held())
