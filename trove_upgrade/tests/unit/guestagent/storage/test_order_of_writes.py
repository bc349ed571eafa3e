# SPDX-License-Identifier: Apache-2.0
"""Order of a restore's writes, and deaths between them."""

import base64
import contextlib
import dataclasses
import pathlib
import shutil

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.machine import durable
from trove_upgrade.guestagent.storage.stash import beside, owners, publish
from trove_upgrade.guestagent.storage.stash.accounts import SystemAccounts
from trove_upgrade.guestagent.storage.stash.placing import Placing
from trove_upgrade.guestagent.storage.stash.restore import Stash
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes, seam

ACCOUNTS = SystemAccounts()


class OrderOfWritesTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.top = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        self.source = self.top / 'etc'
        self.source.mkdir()
        (self.source / 'a.cnf').write_text('[mysqld]\n')
        (self.source / 'b.cnf').write_text('[client]\n')

    def stash(self):
        published = publish.publish([self.source], self.top / 'volume', 'u', 1, {}, ACCOUNTS)
        stash = Stash.open(self.top / 'volume', published.name, published.digest)
        self.addCleanup(stash.close)
        return stash

    def test_an_attribute_that_a_place_cannot_hold_is_told_with_the_name_of_the_place(self):
        stash = self.stash()
        broken = dataclasses.replace(
            stash.manifest.entries[1],
            xattrs={'user.note': base64.b64encode(b'x' * (1 << 17)).decode()},
        )
        stash.manifest = dataclasses.replace(stash.manifest, entries=(broken,))
        error = self.assertRaises(
            exceptions.StepFailed, stash.restore, [broken.path], ACCOUNTS, self.top / 'there'
        )
        self.assertEqual('STASH_NOT_RESTORED', error.code)
        self.assertIn(f'{self.top / "there"}{broken.path}', error.message)

    def test_all_is_synced_once_before_the_first_name_changes_and_once_after_the_last(self):
        (self.source / 'link.cnf').symlink_to('a.cnf')
        stash = self.stash()
        there, order = self.top / 'there', []

        def noted(event, _what):
            if event == 'os.rename':
                order.append('rename')

        with seam.before(noted):
            Placing(
                stash,
                list(enumerate(stash.manifest.entries)),
                owners.Owners(stash.name, ACCOUNTS),
                there,
                lambda _directory: order.append('sync'),
                lambda _descriptor: order.append('content'),
            ).run()
        self.assertEqual(['content'] * 2 + ['sync', *['rename'] * 3, 'sync'], order)

    def test_a_kernel_before_5_8_tells_of_no_lost_write(self):
        for release, tells in (
            ('4.19.0-27-amd64', False),
            ('5.4.0-216-generic', False),
            ('5.7.19', False),
            ('5.8.0', True),
            ('5.10.0-35-amd64', True),
            ('6.1.0-44-cloud-amd64', True),
            ('unknown', False),
        ):
            self.assertEqual(tells, durable.tells_of_lost_writes(release), release)

    def test_what_a_killed_restore_has_left_goes_with_the_next_one(self):
        stash = self.stash()
        there = self.top / 'there'
        inside = pathlib.Path(f'{there}{self.source}')
        own = inside / '.trove-upgrade-of-the-tenant-1'
        inside.mkdir(parents=True)
        own.touch()
        for number in range(2):
            (inside / f'{beside.prefix()}{number}').write_text('left')
        stash.restore(stash.paths(), ACCOUNTS, there)
        self.assertEqual({'a.cnf', 'b.cnf', own.name}, {path.name for path in inside.iterdir()})

    def test_a_directory_that_has_two_names_keeps_what_is_being_brought(self):
        other = self.source / 'other'
        other.mkdir()
        (other / 'c.cnf').write_text('[server]\n')
        stash = self.stash()
        there = self.top / 'there'
        inside = pathlib.Path(f'{there}{self.source}')
        inside.mkdir(parents=True)
        (inside / 'other').symlink_to(inside)
        files = [path for path in stash.files() if path.endswith('.cnf')]
        stash.restore(files, ACCOUNTS, there)
        self.assertEqual(
            {'a.cnf', 'b.cnf', 'c.cnf', 'other'}, {path.name for path in inside.iterdir()}
        )

    def test_what_a_killed_restore_has_left_is_in_no_stash(self):
        (self.source / f'{beside.prefix()}7').write_text('left')
        self.assertEqual(
            ['a.cnf', 'b.cnf'], [pathlib.Path(path).name for path in self.stash().files()]
        )

    def test_a_death_at_any_moment_leaves_each_file_old_or_new_and_a_restore_completes_it(self):
        stash = self.stash()
        there = self.top / 'there'
        inside = pathlib.Path(f'{there}{self.source}')
        for moment in range(1, 40):
            shutil.rmtree(there, ignore_errors=True)
            inside.mkdir(parents=True)
            (inside / 'a.cnf').write_text('of the new image')
            seen = []

            def die(_event, _what, seen=seen, moment=moment):
                seen.append(1)
                if len(seen) == moment:
                    raise fakes.Killed

            with seam.before(die), contextlib.suppress(fakes.Killed):
                stash.restore(stash.paths(), ACCOUNTS, there)
            self.assertIn((inside / 'a.cnf').read_text(), {'of the new image', '[mysqld]\n'})
            if (inside / 'b.cnf').exists():
                self.assertEqual('[client]\n', (inside / 'b.cnf').read_text())
            stash.restore(stash.paths(), ACCOUNTS, there)
            self.assertEqual(
                ['[mysqld]\n', '[client]\n'],
                [(inside / name).read_text() for name in ('a.cnf', 'b.cnf')],
            )
