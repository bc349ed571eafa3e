# SPDX-License-Identifier: Apache-2.0
"""What is the operator's is not shown to members and readers: versions that are switched off,
images, servers, and who the admin is.
"""

import dataclasses

from trove_upgrade.domain import concealment, states
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.domain.upgrades import StepRun
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.api import stage

TENANTS = (stage.MEMBER, stage.READER, 'member')
ADMINS_ID = 'admin-7'
TARGETS = f'/instances/{database.INSTANCE}/upgrade-targets'
FAULT = (
    f'Nova could not rebuild server {database.SERVER} with image {database.IMAGE_11_8}: no host at '
    'http://nova-int:8774/. Mend it and retry.'
)


class TestVersionsThatAreSwitchedOff(stage.ApiTestCase):
    def targets(self, roles):
        return [
            each['id'] for each in self.ask('GET', TARGETS, roles=roles).json['upgrade_targets']
        ]

    def test_they_are_no_targets_of_members(self):
        for roles in TENANTS:
            self.assertEqual([database.MARIADB_10_11, database.MARIADB_11_8], self.targets(roles))
            self.assertNotIn('11.8.0', self.ask('GET', TARGETS, roles=roles).text)
        self.assertIn(database.MARIADB_INACTIVE, self.targets(stage.ADMIN))

    def test_the_version_that_an_instance_has_is_always_shown(self):
        self.db.update_instance(datastore_version_id=database.MARIADB_INACTIVE)
        for roles in (*TENANTS, stage.ADMIN):
            self.assertIn(database.MARIADB_INACTIVE, self.targets(roles))

    def test_an_id_tells_a_member_no_name(self):
        refused = self.patch(database.MARIADB_INACTIVE)
        self.assert_refused(refused, 400, 'DATASTORE_VERSION_INACTIVE')
        self.assertNotIn('11.8.0', refused.text)
        self.assertIn('11.8.0', self.patch(database.MARIADB_INACTIVE, roles=stage.ADMIN).text)
        other = self.db.add_version(name='9.8.0', datastore_id=database.MYSQL, active=False)
        self.assert_refused(self.patch(other), 404, 'DATASTORE_VERSION_NOT_FOUND')
        self.assert_refused(
            self.patch(other, roles=stage.ADMIN), 400, 'DATASTORE_VERSION_OF_OTHER_DATASTORE'
        )

    def test_a_name_that_only_one_shown_version_has_is_that_one(self):
        shown = self.db.add_version(name='11.8', number='11.8.7')
        hidden = self.db.add_version(name='11.8', number='11.8.6', active=False)
        path = '/datastores/mariadb/versions/11.8'
        for roles in TENANTS:
            self.assertEqual(shown, self.ask('GET', path, roles=roles).json['version']['id'])
        self.assertIn(hidden, self.ask('GET', path, roles=stage.ADMIN).text)
        self.assertEqual(202, self.patch('11.8').status_int)

    def test_a_name_of_several_names_those_that_are_shown(self):
        shown = {self.db.add_version(name='11.8', number=f'11.8.{patch}') for patch in (6, 7)}
        hidden = self.db.add_version(name='11.8', number='11.8.8', active=False)
        for refused in (self.ask('GET', '/datastores/mariadb/versions/11.8'), self.patch('11.8')):
            self.assert_refused(refused, 400, 'DATASTORE_VERSION_AMBIGUOUS')
            self.assertEqual([], [each for each in shown if each not in refused.text])
            self.assertNotIn(hidden, refused.text)
        for each in range(2):
            self.db.add_version(name='off', number=f'1.{each}', active=False)
        self.assert_refused(self.patch('off'), 404, 'DATASTORE_VERSION_NOT_FOUND')


class TestUpgradesOfAnAdmin(stage.ApiTestCase):
    def setUp(self):
        super().setUp()
        begun = self.db.begin(user_id=ADMINS_ID)
        upgrades = self.db.repositories.upgrades
        held = upgrades.claim(begun.id, 'tm', 60).evolve(former_image_id=database.IMAGE_10_11)
        run = StepRun(
            step=states.Step.REBUILD,
            attempt=1,
            started_at=begun.created_at,
            ended_at=begun.created_at,
            runs=1,
            outcome='failed',
            percent=None,
            message=FAULT,
        )
        held = upgrades.save(held.evolve(step=states.Step.REBUILD, steps=(run,)))
        remark = {'step': 'rebuild', 'code': 'X', 'message': FAULT}
        held = stored.adding(held, remarks=[remark])
        upgrades.end(held, states.UpgradeState.FAILED, cause=FAULT, error_code='REBUILD_FAILED')
        self.upgrade_id = begun.id

    def views(self, roles):
        shown = self.ask('GET', f'/upgrades/{self.upgrade_id}', roles=roles).json['upgrade']
        listed = [
            self.ask('GET', path, roles=roles).json['upgrades'][0]
            for path in ('/upgrades', f'/instances/{database.INSTANCE}/upgrades')
        ]
        return [shown, *listed]

    def test_members_see_neither_images_nor_who_the_admin_is(self):
        hidden = (database.IMAGE_10_11, database.IMAGE_11_8, database.SERVER, ADMINS_ID, 'nova-int')
        for roles in TENANTS:
            for view in self.views(roles):
                self.assertEqual([], [each for each in hidden if each in str(view)], view)
                self.assertEqual(
                    set(), {'former_image_id', 'target_image_id', 'user_id'} & view.keys()
                )
                self.assertRegex(
                    view['cause'], r'rebuild server \[id\] with image \[id\]: .* retry\.$'
                )

    def test_an_admin_sees_all(self):
        for view in self.views(stage.ADMIN):
            self.assertEqual(
                (database.IMAGE_10_11, database.IMAGE_11_8, ADMINS_ID, FAULT, FAULT),
                (
                    view['former_image_id'],
                    view['target_image_id'],
                    view['user_id'],
                    view['cause'],
                    view['steps'][0]['message'],
                ),
            )

    def test_the_fault_of_the_instance_is_told_in_the_same_words(self):
        path = f'/instances/{database.INSTANCE}'
        tenants, admins = (
            self.ask('GET', path, roles=roles) for roles in (stage.READER, stage.ADMIN)
        )
        self.assertNotIn(database.IMAGE_11_8, tenants.text)
        self.assertNotIn(database.SERVER, tenants.text)
        self.assertIn(database.IMAGE_11_8, admins.json['instance']['fault']['message'])

    def test_who_has_asked_for_it_himself_sees_so(self):
        mine = self.db.begin(self.db.add_instance(name='mine'), user_id=stage.USER)
        shown = self.ask('GET', f'/upgrades/{mine.id}').json['upgrade']
        self.assertEqual(stage.USER, shown['user_id'])


class TestReports(stage.ApiTestCase):
    def test_a_report_names_images_and_servers_to_admins_only(self):
        path = f'/instances/{database.INSTANCE}/upgrade-checks'
        created = self.ask('POST', path, {'upgrade_check': {'datastore_version': '11.8.6'}})
        check_id = created.json['upgrade_check']['id']
        checks = self.db.repositories.checks
        result = CheckResult(
            name='image_active', outcome='refused', message=FAULT, code='IMAGE_NOT_ACTIVE'
        )
        held = checks.claim(check_id, 'tm', 60)
        checks.finish(
            dataclasses.replace(held, state='FAILED', results=(result,), cause=FAULT), 'tm'
        )
        for roles in TENANTS:
            shown = self.ask('GET', f'{path}/{check_id}', roles=roles)
            for hidden in (database.IMAGE_11_8, database.SERVER, 'nova-int'):
                self.assertNotIn(hidden, shown.text)
        shown = self.ask('GET', f'{path}/{check_id}', roles=stage.ADMIN).json['upgrade_check']
        self.assertEqual((FAULT, FAULT), (shown['cause'], shown['results'][0]['message']))


class TestSentences(base.TestCase):
    def test_ids_behind_a_word_for_what_is_the_operators(self):
        image = database.IMAGE_11_8
        for said in (
            f'Image {image} is away.',
            f'image "{image}"',
            f'at /v2/images/{image}/file',
            f'server: {image}',
            f'user {"0f" * 16}',
            f'images {image.upper()}',
        ):
            self.assertIn(concealment.HIDDEN, concealment.for_tenant(said))
            self.assertNotIn(image, concealment.for_tenant(said).lower())

    def test_what_is_the_tenants_own_stays(self):
        for said in (
            f'Instance {database.INSTANCE} is busy.',
            f'upgrade retry {database.INSTANCE}',
            'The image fits the flavor.',
            'Image mariadb-11.8 is active.',
            '10.11.14 at 12:30:00',
            'a' * 5000,
        ):
            self.assertEqual(said, concealment.for_tenant(said))

    def test_ids_that_are_given(self):
        self.assertEqual(
            '[id] and [id]', concealment.for_tenant('i-1 and i-2', ('i-1', None, '', 'i-2'))
        )
