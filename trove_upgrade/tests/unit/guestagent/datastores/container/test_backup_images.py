# SPDX-License-Identifier: Apache-2.0
"""The image of Trove's backups after an upgrade: the names that Trove tries, and what the checks
make of the registry's answer.
"""

import pathlib

import fixtures

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores.mysql_family.container import backup_images
from trove_upgrade.guestagent.datastores.mysql_family.engines.mysql import MySQL
from trove_upgrade.guestagent.machine.containers import errors
from trove_upgrade.tests import base
from trove_upgrade.tests.unit.guestagent.datastores.container import fakes

REPOSITORY = 'registry:5000/db-backup-mariadb'
TARGET = TargetFacts(version_number='11.8.6')


class Registry:
    """Of an engine: what it knows, and what it was asked for."""

    def __init__(self, *published, error=None):
        self.published = published
        self.error = error
        self.asked = []

    def is_published(self, reference):
        self.asked.append(reference)
        if self.error is not None:
            raise self.error
        return reference in self.published


def check(registry, repository=REPOSITORY, target=TARGET, names=backup_images.by_tag):
    return backup_images.BackupImages(registry, repository, names).check(target)


class NamesTest(base.TestCase):
    def test_the_number_is_the_tag_and_loses_its_last_part_until_one_is_found(self):
        self.assertEqual(
            tuple(f'{REPOSITORY}:{tag}' for tag in ('11.8.6', '11.8', '11')),
            tuple(backup_images.by_tag(REPOSITORY, '11.8.6')),
        )
        self.assertEqual(('backup:9',), tuple(backup_images.by_tag('backup', '9')))

    def test_a_tag_that_the_operator_has_written_is_the_only_one(self):
        for repository in (
            'backup:1.1.0',
            'registry:5000/team/backup:latest',
            'registry/team/backup:1',
        ):
            self.assertEqual((repository,), tuple(backup_images.by_tag(repository, '11.8.6')))

    def test_a_registry_s_port_is_no_tag(self):
        self.assertEqual(
            'registry:5000/backup:11', backup_images.by_tag('registry:5000/backup', '11.8')[-1]
        )

    def test_mysql_with_a_tag_has_its_release_in_the_name(self):
        names = backup_images.by_name_for_mysql
        self.assertEqual(
            ('r:5000/db-backup-mysql8.4:1.1.0',),
            tuple(names('r:5000/db-backup-mysql:1.1.0', '8.4.9')),
        )
        self.assertEqual(('db-backup-mysql9.0:1',), tuple(names('db-backup-mysql:1', '9')))
        self.assertEqual(
            ('backup:8.4.9', 'backup:8.4', 'backup:8'), tuple(names('backup', '8.4.9'))
        )


class CheckTest(base.TestCase):
    def test_the_image_of_the_very_number_is_there(self):
        result = check(Registry(f'{REPOSITORY}:11.8.6', f'{REPOSITORY}:11.8'))
        self.assertEqual(('backup_image', 'ok', None), (result.name, result.outcome, result.code))
        self.assertIn(f'{REPOSITORY}:11.8.6', result.message)

    def test_the_image_of_a_shorter_number_does_too(self):
        registry = Registry(f'{REPOSITORY}:11.8')
        self.assertEqual('ok', check(registry).outcome)
        self.assertEqual([f'{REPOSITORY}:11.8.6', f'{REPOSITORY}:11.8'], registry.asked)

    def test_an_image_of_the_former_number_alone_is_a_warning_that_names_all_that_trove_tries(self):
        result = check(Registry(f'{REPOSITORY}:10.11', f'{REPOSITORY}:10', f'{REPOSITORY}:latest'))
        self.assertEqual(('warning', 'BACKUP_IMAGE_NOT_FOUND'), (result.outcome, result.code))
        for tag in ('11.8.6', '11.8', '11'):
            self.assertIn(f'{REPOSITORY}:{tag}', result.message)

    def test_a_registry_or_an_engine_that_gives_no_answer_is_another_warning(self):
        for error in (
            errors.EngineRefused('The engine cannot ask: 401, denied.'),
            errors.EngineNotAnswering('No answer.'),
        ):
            registry = Registry(error=error)
            result = check(registry)
            self.assertEqual(('warning', 'BACKUP_IMAGE_UNKNOWN'), (result.outcome, result.code))
            self.assertIn(error.message.rstrip('.'), result.message)
            self.assertEqual(1, len(registry.asked))

    def test_the_number_is_trove_s_or_else_the_server_s(self):
        for target, wanted in (
            (TargetFacts(version_number='11.8', server_version='11.8.6'), '11.8'),
            (TargetFacts(server_version='11.4.2'), '11.4.2'),
            (TargetFacts(version_number='11.8.6', container_image='elsewhere/db:1'), '11.8.6'),
        ):
            registry = Registry()
            check(registry, target=target)
            self.assertEqual(f'{REPOSITORY}:{wanted}', registry.asked[0])
        self.assertEqual('BACKUP_IMAGE_UNKNOWN', check(Registry(), target=TargetFacts()).code)

    def test_where_trove_makes_no_backups_nothing_is_asked(self):
        for repository in (None, ''):
            registry = Registry()
            result = check(registry, repository)
            self.assertEqual(('ok', None, []), (result.outcome, result.code, registry.asked))


class DriverTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.guest = fakes.Guest(pathlib.Path(self.useFixture(fixtures.TempDir()).path))

    def found(self, **changes):
        driver = self.guest.driver(**changes)
        return next(
            result
            for result in driver.checks(TARGET, GuestOptions())
            if result.name == 'backup_image'
        )

    def test_a_missing_backup_image_is_a_warning_among_the_checks_of_a_container(self):
        self.assertEqual(
            'BACKUP_IMAGE_NOT_FOUND', self.found(backup_repository='registry/backup').code
        )
        self.assertEqual('ok', self.found().outcome)

    def test_mysql_s_driver_looks_for_mysql_s_names(self):
        result = self.found(database=MySQL(), backup_repository='registry/backup:1.0')
        self.assertIn('registry/backup11.8:1.0', result.message)
