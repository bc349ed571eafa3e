# SPDX-License-Identifier: Apache-2.0
"""Templates on several controllers: each is looked at alike, and one that lacks a copy is told."""

import pathlib
import subprocess
from pathlib import PurePosixPath

import fixtures

from trove_upgrade.bridge.preconditions.controller_hosts import RemoteController, ThisController
from trove_upgrade.bridge.preconditions.controllers import (
    Controllers,
    TemplateNotCopied,
    TemplatesUnreadable,
)
from trove_upgrade.bridge.preconditions.templates import Copy
from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.ports import Outcome
from trove_upgrade.domain.instances import DatastoreVersion
from trove_upgrade.tests.unit import base

VERSION = DatastoreVersion(
    id='v1',
    datastore_id='d1',
    datastore_name='mariadb',
    name='10.11.14',
    version=None,
    manager='mariadb',
    image_id=None,
    image_tags=(),
    packages='',
    active=True,
)


class ShellHere:
    """Shell of this host: what is sent is run by its own sh, with no other variables."""

    def __init__(self):
        self.is_open = True
        self.truncates = False

    def run(self, argv, *, input=b'', timeout_seconds, as_root=False):  # noqa: A002 - the port has it
        assert argv[0] == 'sh', argv
        done = subprocess.run(
            ('sh', *argv[1:]),
            input=input,
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
            env={'PATH': '/usr/bin:/bin'},
        )
        return Outcome(
            exit_code=done.returncode,
            stdout=done.stdout,
            stderr=done.stderr,
            truncated=self.truncates,
        )

    def close(self):
        self.is_open = False


class ControllersTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.shells = []

    def remote(self, name='controller-2'):
        def opened():
            self.shells.append(ShellHere())
            return self.shells[-1]

        return RemoteController(name, opened)

    def has(self, *paths):
        for path in paths:
            (self.folder / path).mkdir(parents=True)
            (self.folder / path / 'config.template').write_text(path)

    def below(self, path):
        return PurePosixPath(self.folder / path)


class TestEachHost(ControllersTestCase):
    """A host behind SSH is looked at as this one is."""

    def hosts(self):
        return ThisController(), self.remote()

    def test_templates_of_one_and_two_levels_are_found_in_all_directories_that_are_there(self):
        self.has("own it's/mariadb", "own it's/mariadb/10.11-ga", 'shipped/my sql')
        (self.folder / 'shipped' / 'mariadb' / 'config.template').mkdir(parents=True)
        directories = [self.below("own it's"), self.below('absent'), self.below('shipped')]
        for host in self.hosts():
            with self.subTest(host.place):
                self.assertEqual(
                    {
                        self.below(f'{path}/config.template')
                        for path in (
                            "own it's/mariadb",
                            "own it's/mariadb/10.11-ga",
                            'shipped/my sql',
                        )
                    },
                    host.templates(directories),
                )

    def test_a_copy_is_whole_and_makes_the_directories_above_it(self):
        self.has('shipped/10.11-ga')
        (self.folder / 'shipped/10.11-ga/more').mkdir()
        (self.folder / 'shipped/10.11-ga/more/rules').write_text('text')
        for number, host in enumerate(self.hosts()):
            with self.subTest(host.place):
                target = self.below(f'own {number}/mariadb/10.11.14')
                host.copy(Copy(source=self.below('shipped/10.11-ga'), target=target))
                self.assertEqual('text', (self.folder / target / 'more/rules').read_text())
                self.assertEqual(
                    'shipped/10.11-ga', (self.folder / target / 'config.template').read_text()
                )
                self.assertEqual(['10.11.14'], self.names_in(f'own {number}/mariadb'))

    def test_a_target_that_is_there_stays_as_it_is(self):
        self.has('mariadb/10.11-ga', 'mariadb/10.11.14')
        copy = Copy(source=self.below('mariadb/10.11-ga'), target=self.below('mariadb/10.11.14'))
        for host in self.hosts():
            with self.subTest(host.place):
                found = self.assertRaises(TemplateNotCopied, host.copy, copy)
                self.assertIn('there already', found.message)
                self.assertIn(host.place, found.message)
                kept = self.folder / 'mariadb/10.11.14/config.template'
                self.assertEqual('mariadb/10.11.14', kept.read_text())

    def test_a_copy_that_fails_leaves_nothing(self):
        self.has('mariadb')
        copy = Copy(source=self.below('gone'), target=self.below('mariadb/10.11.14'))
        for host in self.hosts():
            with self.subTest(host.place):
                self.assertRaises(TemplateNotCopied, host.copy, copy)
                self.assertEqual(['config.template'], self.names_in('mariadb'))

    def test_a_part_of_a_copy_that_was_killed_is_no_template(self):
        self.has('mariadb/10.11', 'mariadb/10.11.14.trove-upgrade-part', 'my.trove-upgrade-part/5')
        (self.folder / 'my.trove-upgrade-part/config.template').write_text('cut off')
        for host in self.hosts():
            with self.subTest(host.place):
                self.assertEqual(
                    {self.below('mariadb/10.11/config.template')}, host.templates([self.below('')])
                )

    def test_the_directory_that_is_searched_may_have_any_name(self):
        self.has('own.trove-upgrade-part/x/mariadb')
        directory = self.below('own.trove-upgrade-part/x')
        for host in self.hosts():
            with self.subTest(host.place):
                self.assertEqual(
                    {directory / 'mariadb/config.template'}, host.templates([directory])
                )

    def test_a_part_of_a_copy_that_was_killed_makes_way_for_a_whole_one(self):
        self.has('shipped/10.11')
        for number, host in enumerate(self.hosts()):
            with self.subTest(host.place):
                self.has(f'own {number}/10.11.14.trove-upgrade-part/of-the-former')
                target = self.below(f'own {number}/10.11.14')
                host.copy(Copy(source=self.below('shipped/10.11'), target=target))
                self.assertEqual(['10.11.14'], self.names_in(f'own {number}'))
                self.assertEqual(['config.template'], self.names_in(f'own {number}/10.11.14'))

    def test_a_link_in_the_place_of_a_part_goes_and_not_what_it_leads_to(self):
        self.has('shipped/10.11', 'of-another')
        for number, host in enumerate(self.hosts()):
            with self.subTest(host.place):
                own = self.folder / f'own {number}'
                own.mkdir()
                (own / '10.11.14.trove-upgrade-part').symlink_to(self.folder / 'of-another')
                copy = Copy(
                    source=self.below('shipped/10.11'), target=self.below(f'{own.name}/10.11.14')
                )
                host.copy(copy)
                self.assertEqual(['10.11.14'], self.names_in(own.name))
                self.assertFalse((own / '10.11.14').is_symlink())
                self.assertEqual(['config.template'], self.names_in('of-another'))

    def names_in(self, path):
        return sorted(one.name for one in (self.folder / path).iterdir())


class TestRemote(ControllersTestCase):
    def test_one_connection_serves_all_looks_and_ends_with_the_controller(self):
        host = self.remote()
        host.close()
        self.assertEqual([], self.shells)
        host.templates([])
        host.templates([])
        host.close()
        [shell] = self.shells
        self.assertFalse(shell.is_open)

    def test_a_list_that_is_cut_off_is_no_list(self):
        host = self.remote()
        host.templates([])
        self.shells[0].truncates = True
        found = self.assertRaises(TemplatesUnreadable, host.templates, [self.below('')])
        self.assertIn('too many', found.message)


class Listed:
    """Controller that has these templates."""

    def __init__(self, place, *below, error=None):
        self.place = place
        self.found = frozenset(PurePosixPath('/t', path, 'config.template') for path in below)
        self.error = error
        self.copied = []

    def templates(self, directories):
        if self.error is not None:
            raise self.error
        return self.found

    def copy(self, copy):
        self.copied.append(copy)
        self.found |= {copy.target / 'config.template'}


class TestComparison(base.TestCase):
    def look(self, *controllers, is_fixing=False):
        looked = Controllers(controllers=controllers, directories=(PurePosixPath('/t'),))
        return list(looked.look([VERSION], is_fixing=is_fixing))

    def test_each_finding_names_its_controller(self):
        found = self.look(Listed('on c1', 'mariadb/10.11.14'), Listed('on c2', 'mariadb/10.11.14'))
        self.assertEqual(
            [
                ('ok', 'template of mariadb 10.11.14 on c1'),
                ('ok', 'template of mariadb 10.11.14 on c2'),
            ],
            [(one.outcome, one.name) for one in found],
        )

    def test_a_directory_that_one_of_them_lacks_is_told_although_both_find_a_template(self):
        *_, found = self.look(Listed('on c1', 'mariadb/10.11.14'), Listed('on c2', 'mariadb'))
        self.assertEqual('BRIDGE_TEMPLATE_DIFFERS', found.code)
        self.assertIn('on c1 /t/mariadb/10.11.14/config.template;', found.message)
        self.assertIn('on c2 /t/mariadb/config.template.', found.message)

    def test_the_copy_is_made_where_it_is_missing_and_they_agree_afterwards(self):
        right = Listed('on c1', 'mariadb/10.11-ga', 'mariadb/10.11.14')
        wrong = Listed('on c2', 'mariadb/10.11-ga')
        found = self.look(right, wrong, is_fixing=True)
        self.assertEqual(['ok', 'ok'], [one.outcome for one in found])
        self.assertIn('to /t/mariadb/10.11.14 on c2.', found[1].message)
        self.assertEqual((0, 1), (len(right.copied), len(wrong.copied)))

    def test_one_that_cannot_be_asked_is_unknown_and_the_others_are_looked_at(self):
        lost = errors.LoginRefused(user='root', server_id='c1', route='here', found='no')
        found = self.look(Listed('on c1', error=lost), Listed('on c2', 'mariadb/10.11.14'))
        self.assertEqual(
            [('unknown', 'LOGIN_REFUSED', 'templates on c1'), ('ok', None)],
            [(found[0].outcome, found[0].code, found[0].name), (found[1].outcome, found[1].code)],
        )
