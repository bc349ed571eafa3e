# SPDX-License-Identifier: Apache-2.0
"""Directories of the database's user that become links, at each moment while root looks over
them.
"""

import os
import pathlib

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.machine import untrusted_files
from trove_upgrade.guestagent.storage.stash import publish, tree
from trove_upgrade.guestagent.storage.stash.accounts import SystemAccounts
from trove_upgrade.guestagent.storage.stash.restore import Stash
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes, seam

_TENANT = 4242
_SECRET = 'the private key of root'
_MOMENTS = 60


class DirectoriesOfTheTenant(base.TestCase):
    def setUp(self):
        super().setUp()
        self.top = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        self.new()

    def new(self):
        self.root = self.top / f'root{len(list(self.top.iterdir()))}'
        for name in (
            'private/deep/a',
            'private/a',
            'private/deep/only',
            'mysql/keys/deep/a',
            'mysql/keys/a',
        ):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_SECRET if name.startswith('private') else 'own')
        for directory in ('mysql/keys', 'mysql/keys/deep'):
            os.chown(self.root / directory, _TENANT, _TENANT)

    def swap(self, name, target):
        """As the owner of the directory above does it: the name leads elsewhere from now on."""
        place = self.root / name
        place.rename(f'{place}.was')
        place.symlink_to(self.root / target)
        os.chown(place, _TENANT, _TENANT, follow_symlinks=False)

    def at_moment(self, moment, action):
        events = []

        def act(_event, _what):
            events.append(1)
            if len(events) == moment:
                action()

        return seam.before(act)

    def assert_nothing_of_root_s(self, stash):
        for entry in stash.manifest.entries:
            if entry.piece is not None:
                self.assertEqual(b'own', stash.file(entry.path), entry.path)


class LedAstrayTest(DirectoriesOfTheTenant):
    def test_no_rename_at_any_moment_brings_a_file_from_elsewhere_into_the_stash(self):
        changes = (
            ('mysql/keys', 'private'),
            ('mysql/keys/deep', 'private/deep'),
            ('mysql/keys/a', 'private/a'),
        )
        for moment in range(1, _MOMENTS):
            for name, target in changes:
                self.new()
                roots = [self.root / 'mysql', self.root / 'mysql/keys/deep/a']
                with self.at_moment(
                    moment, lambda name=name, target=target: self.swap(name, target)
                ):
                    published = publish.publish(
                        roots, self.root / 'volume', 'u', 1, {}, SystemAccounts()
                    )
                with Stash.open(self.root / 'volume', published.name, published.digest) as stash:
                    self.assert_nothing_of_root_s(stash)

    def test_a_link_of_his_above_what_is_kept_is_not_followed_and_one_of_root_s_is(self):
        self.swap('mysql/keys/deep', 'private/deep')
        path = self.root / 'mysql/keys/deep/a'
        self.assertEqual([], list(tree.walk([path])))
        os.chown(path.parent, 0, 0, follow_symlinks=False)
        self.assertEqual([str(path)], [seen.path for seen in tree.walk([path])])

    def test_a_walk_goes_on_where_it_is_when_what_it_is_in_is_moved(self):
        found = []
        for seen in tree.walk([self.root / 'mysql']):
            found.append(seen.path.removeprefix(f'{self.root}/'))
            if seen.path.endswith('keys/deep'):
                self.swap('mysql/keys', 'private')
        self.assertEqual(
            ['mysql', 'mysql/keys', 'mysql/keys/a', 'mysql/keys/deep', 'mysql/keys/deep/a'], found
        )

    def test_a_file_that_grows_while_it_is_read_is_kept_as_long_as_it_was(self):
        path = self.root / 'mysql/keys/a'
        accounts = Growing(path)
        published = publish.publish([path], self.root / 'volume', 'u', 1, {}, accounts)
        with Stash.open(self.root / 'volume', published.name, published.digest) as stash:
            self.assertEqual(b'own', stash.file(str(path)))

    def test_owner_and_mode_are_those_of_the_file_that_was_read(self):
        path = self.root / 'mysql/keys/a'

        def replace():
            path.unlink()
            path.write_text('own')
            os.chown(path, 54321, 54321)

        with seam.once_before('open', 'a', replace):
            published = publish.publish([path], self.root / 'volume', 'u', 1, {}, SystemAccounts())
        with Stash.open(self.root / 'volume', published.name, published.digest) as stash:
            self.assertEqual([54321], [entry.uid for entry in stash.manifest.entries])


class Growing(SystemAccounts):
    """Asked for an owner's name, it makes the file longer: that is between the look at the file and
    its reading.
    """

    def __init__(self, path):
        self.path = path

    def user_name(self, uid):
        with self.path.open('a') as stream:
            stream.write(' more' * 1000)
        return super().user_name(uid)


class BoundsTest(DirectoriesOfTheTenant):
    def assert_too_large(self, limits):
        error = self.assertRaises(
            exceptions.StepFailed, list, tree.walk([self.root / 'mysql'], limits)
        )
        self.assertEqual('STASH_TOO_LARGE', error.code)

    def test_more_entries_than_any_configuration_has_are_refused(self):
        self.assertEqual(5, len(list(tree.walk([self.root / 'mysql'], tree.Limits(entries=5)))))
        self.assert_too_large(tree.Limits(entries=4))
        for number in range(100):
            (self.root / f'mysql/keys/{number}').touch()
        self.assert_too_large(tree.Limits(entries=50))

    def test_a_walk_that_takes_too_long_is_refused(self):
        times = iter(range(100))
        self.assertEqual(
            5,
            len(
                list(
                    tree.walk(
                        [self.root / 'mysql'],
                        tree.Limits(seconds=60, monotonic=lambda: next(times)),
                    )
                )
            ),
        )
        self.assert_too_large(tree.Limits(seconds=3, monotonic=lambda: next(times)))

    def test_a_data_directory_with_more_entries_than_root_walks_is_seen_by_the_check(self):
        self.assertFalse(untrusted_files.too_many(self.root / 'mysql', 4))
        self.assertTrue(untrusted_files.too_many(self.root / 'mysql', 3))
