# SPDX-License-Identifier: Apache-2.0
import csv
import dataclasses
import io
import json
import os
import pathlib
import tempfile
import uuid

import fixtures
import paramiko
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.bridge.reach import errors, logins
from trove_upgrade.bridge.reach.accounts import read_accounts
from trove_upgrade.bridge.reach.keys import KeyFiles
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.tests.unit import base

WORDS = st.text(
    alphabet=st.characters(exclude_categories=['Cc', 'Cs', 'Zl', 'Zp']), min_size=1, max_size=40
)
ENTRIES = st.dictionaries(
    st.uuids().map(str),
    st.fixed_dictionaries(
        {'user': WORDS.map(str.strip).filter(bool)}, optional={'key_file': st.just('keys/one')}
    ),
    min_size=1,
    max_size=5,
)
KEY = paramiko.ECDSAKey.generate()
DEFAULT = Login(user='root', keys=(KEY,))


class FolderCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def written(self, name, content, mode=0o600):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path


class TestPasswords(FolderCase):
    @given(WORDS)
    def test_a_password_of_a_file_is_the_one_that_was_written_and_is_shown_nowhere(self, password):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'password')
            path.touch(mode=0o600)
            for end in ('', '\n', '\r\n'):
                path.write_bytes(f'{password}{end}'.encode())
                self.assertEqual(password, logins.read_password(path))
        shown = Login(user='u', password=f'<{password}>')
        self.assertNotIn(f'<{password}>', f'{shown} {shown!r} {dataclasses.replace(shown)}')

    def test_a_file_that_others_may_read_or_write_is_refused(self):
        for mode in (0o640, 0o604, 0o620, 0o601, 0o777):
            path = self.written('password', 'secret', mode)
            found = self.assertRaises(errors.LoginFileRefused, logins.read_password, path)
            self.assertIn(f'{mode:04o}', found.message)
            self.assertNotIn('secret', found.message)
        for mode in (0o600, 0o400):
            self.assertEqual(
                'secret', logins.read_password(self.written('password', 'secret', mode))
            )

    def test_a_file_of_another_account_is_refused(self):
        if os.geteuid() != 0:
            self.skipTest('only root gives files away')
        path = self.written('password', 'secret')
        os.chown(path, 65534, 65534)
        self.assertRaises(errors.LoginFileRefused, logins.read_password, path)

    def test_what_is_no_plain_file_is_refused_and_not_waited_for(self):
        pipe = self.folder / 'pipe'
        os.mkfifo(pipe, 0o600)
        for path in (pipe, self.folder):
            self.assertRaises(errors.LoginFileRefused, logins.read_password, path)

    def test_what_is_no_password_is_refused_without_being_shown(self):
        for content in (b'', b'\n', b'one\ntwo\n', b'a\tb', b'\xff\xfe', b'x' * 2000, b'y' * 70000):
            path = self.written('password', content)
            found = self.assertRaises(errors.LoginUnusable, logins.read_password, path)
            self.assertNotIn('two', found.message)
        self.assertRaises(errors.LoginUnusable, logins.read_password, self.folder / 'none')

    def test_a_prompt_is_asked_for_the_account(self):
        asked = []
        found = logins.ask_password(lambda text: asked.append(text) or 'secret', 'root@node-1')
        self.assertEqual('secret', found)
        self.assertEqual(['Password of root@node-1: '], asked)
        self.assertRaises(errors.LoginUnusable, logins.ask_password, lambda _: '', 'root')


def as_csv(entries):
    text = io.StringIO(newline='')
    writer = csv.DictWriter(text, ['instance_id', 'user', 'key_file'])
    writer.writeheader()
    for key, entry in entries.items():
        writer.writerow({'instance_id': key, **entry})
    return text.getvalue()


class TestAccounts(FolderCase):
    def read(self, path):
        return read_accounts(path, DEFAULT, KeyFiles())

    @given(ENTRIES)
    def test_one_mapping_is_the_same_in_every_form(self, entries):
        forms = {'json': json.dumps, 'yaml': yaml.safe_dump, 'csv': as_csv}
        with tempfile.TemporaryDirectory() as folder:
            read = []
            pathlib.Path(folder, 'keys').mkdir()
            KEY.write_private_key_file(f'{folder}/keys/one')
            for suffix, write in forms.items():
                path = pathlib.Path(folder, f'accounts.{suffix}')
                path.write_text(write(entries), newline='')
                read.append(self.read(path))
        self.assertEqual(read[0], read[1])
        self.assertEqual(read[0], read[2])
        for instance_id, entry in entries.items():
            login = read[0].login_of(instance_id.upper())
            self.assertEqual(entry['user'], login.user)
            self.assertEqual((KEY,), login.keys)
        self.assertEqual(DEFAULT, read[0].login_of('none of them'))

    def test_an_entry_has_files_beside_it_and_replaces_the_proofs_of_the_default(self):
        self.written('secret', 'password\n')
        other = paramiko.ECDSAKey.generate()
        other.write_private_key_file(str(self.folder / 'k'))
        path = self.written(
            'accounts.yaml',
            'a: {user: trove, password_file: secret}\nb: {user: other}\nc: {key_file: k}\n',
        )
        found = self.read(path)
        self.assertEqual(Login(user='trove', password='password'), found.login_of('a'))
        self.assertEqual(dataclasses.replace(DEFAULT, user='other'), found.login_of('b'))
        self.assertEqual(Login(user='root', keys=(other,)), found.login_of('c'))

    def test_a_password_in_the_file_itself_is_refused_and_not_shown(self):
        for name, content in (
            ('a.json', '{"a": {"user": "root", "password": "hidden"}}'),
            ('a.csv', 'instance_id,user,password\na,root,hidden\n'),
        ):
            found = self.assertRaises(
                errors.LoginUnusable,
                read_accounts,
                self.written(name, content),
                DEFAULT,
                KeyFiles(),
            )
            self.assertIn('write it to a file', found.message)
            self.assertNotIn('hidden', found.message)

    def test_an_open_password_file_is_found_before_anything_is_tried(self):
        self.written('secret', 'password', mode=0o644)
        path = self.written('a.json', '{"a": {"password_file": "secret"}}')
        self.assertRaises(errors.LoginFileRefused, self.read, path)

    def test_a_key_that_is_not_there_open_or_none_is_found_before_anything_is_tried(self):
        self.written('open', 'a key', mode=0o644)
        self.written('other', 'no key')
        for name, error in (
            ('none', errors.LoginUnusable),
            ('open', errors.LoginFileRefused),
            ('other', errors.LoginUnusable),
        ):
            path = self.written('a.json', json.dumps({'a': {'key_file': name}}))
            found = self.assertRaises(error, self.read, path)
            self.assertIn(str(self.folder / name), found.message)

    def test_what_has_no_such_form_is_refused(self):
        for name, content in (
            ('a.txt', 'a: {user: root}'),
            ('a.json', '[]'),
            ('a.json', '{"a": "root"}'),
            ('a.json', '{"a": {"user": 7}}'),
            ('a.json', '{"a": {"user": ""}}'),
            ('a.json', '{"a": {"shell": "sh"}}'),
            ('a.json', '{"a": {}, "a": {}}'),
            ('a.json', '{"a": {}, "A": {}}'),
            ('a.json', '{'),
            ('a.json', '[' * 100_000),
            ('a.yaml', '1: {user: root}'),
            ('a.yaml', '!!python/object:os.system {}'),
            ('a.yaml', ''),
            ('a.csv', 'id,user\na,root\n'),
            ('a.csv', 'instance_id,user\na,root,more\n'),
            ('a.csv', 'instance_id,user,key_file\na,root\n'),
            ('a.csv', 'instance_id,user\na,root\na,root\n'),
            ('a.json', b'\xff'),
        ):
            path = self.written(name, content)
            self.assertRaises(errors.LoginUnusable, self.read, path)
        self.assertRaises(
            errors.LoginUnusable, read_accounts, self.folder / 'no.json', DEFAULT, KeyFiles()
        )

    def test_ids_are_taken_in_either_case(self):
        instance_id = str(uuid.UUID(int=11 << 64))
        path = self.written('a.json', json.dumps({instance_id.upper(): {'user': 'trove'}}))
        self.assertEqual('trove', self.read(path).login_of(instance_id).user)
