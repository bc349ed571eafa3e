# SPDX-License-Identifier: Apache-2.0
"""Order of a restore's writes, and deaths between them."""

import base64
import contextlib
import dataclasses
import pathlib
import shutil

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.storage.stash import owners, publish
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
            ).run()
        self.assertEqual(['sync', *['rename'] * 3, 'sync'], order)

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
