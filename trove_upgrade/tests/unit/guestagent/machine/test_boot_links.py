# SPDX-License-Identifier: Apache-2.0
"""Links that start a service at boot, put back one by one."""

import pathlib

import fixtures

from trove_upgrade.guestagent.machine import boot_links
from trove_upgrade.guestagent.machine.boot_links import BootLinks
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes

UNIT = '/lib/systemd/system/mariadb.service'
WANTS = 'systemd/system/multi-user.target.wants'


class TestBootLinks(base.TestCase):
    def setUp(self):
        super().setUp()
        self.etc = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)

    def link(self, **links):
        for path, target in links.items():
            (self.etc / path).parent.mkdir(parents=True, exist_ok=True)
            (self.etc / path).symlink_to(target)

    def links(self):
        return {
            str(path.relative_to(self.etc)): str(path.readlink())
            for path in self.etc.rglob('*')
            if path.is_symlink()
        }

    def remembered(self):
        """As it is read after a restart of the agent."""
        return BootLinks.from_json(boot_links.find(self.etc, 'mariadb').to_json())

    def test_a_units_other_names_and_all_that_pull_it_in_are_its_own(self):
        own = {
            'systemd/system/mysql.service': UNIT,
            f'{WANTS}/mariadb.service': UNIT,
            'systemd/system/other.target.requires/mariadb.service': '../mariadb.service',
        }
        self.link(**own, **{f'{WANTS}/cron.service': '/lib/systemd/system/cron.service'})
        (self.etc / WANTS / 'README').write_text('no link')
        self.assertEqual(own, boot_links.find(self.etc, 'mariadb').targets)

    def test_each_runlevel_is_put_back_as_it_was(self):
        before = {
            'rc0.d/K01mariadb': '../init.d/mariadb',
            'rc2.d/S03mariadb': '../init.d/mariadb',
            'rc3.d/S03mariadb': '../init.d/mariadb',
            'rc4.d/K01mariadb': '../init.d/mariadb',
        }
        self.link(**before, **{'rc2.d/S03mariadb-backup': '../init.d/mariadb-backup'})
        remembered = self.remembered()
        for level in (2, 3):
            (self.etc / f'rc{level}.d/S03mariadb').rename(self.etc / f'rc{level}.d/K01mariadb')
        for _ in range(2):
            boot_links.put_back(self.etc, 'mariadb', remembered)
            self.assertEqual(
                {**before, 'rc2.d/S03mariadb-backup': '../init.d/mariadb-backup'}, self.links()
            )

    def test_the_directory_that_systemd_has_removed_with_its_last_link_comes_back(self):
        before = {f'{WANTS}/mariadb.service': UNIT, 'systemd/system/mysql.service': UNIT}
        self.link(**before)
        remembered = self.remembered()
        (self.etc / WANTS / 'mariadb.service').unlink()
        (self.etc / WANTS).rmdir()
        (self.etc / 'systemd/system/mysql.service').unlink()
        boot_links.put_back(self.etc, 'mariadb', remembered)
        self.assertEqual(before, self.links())

    def test_one_that_was_masked_is_masked_again(self):
        mask = {'systemd/system/mariadb.service': '/dev/null'}
        self.link(**mask)
        remembered = self.remembered()
        (self.etc / 'systemd/system/mariadb.service').unlink()
        self.link(**{f'{WANTS}/mariadb.service': UNIT})
        boot_links.put_back(self.etc, 'mariadb', remembered)
        self.assertEqual(mask, self.links())

    def test_one_that_nothing_started_is_started_by_nothing(self):
        remembered = self.remembered()
        self.link(**{f'{WANTS}/mariadb.service': UNIT, 'rc2.d/S01mariadb': '../init.d/mariadb'})
        boot_links.put_back(self.etc, 'mariadb', remembered)
        self.assertEqual({}, self.links())

    def test_what_a_death_has_left_beside_a_link_is_in_nothings_way(self):
        before = {f'{WANTS}/mariadb.service': UNIT}
        self.link(**before)
        remembered = self.remembered()
        (self.etc / WANTS / 'mariadb.service').rename(self.etc / WANTS / '.mariadb.service.new')
        boot_links.put_back(self.etc, 'mariadb', remembered)
        self.assertEqual(before, self.links())
