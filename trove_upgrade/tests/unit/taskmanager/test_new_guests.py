# SPDX-License-Identifier: Apache-2.0
"""A server without user data: what its rebuilt guest is told, what refuses its upgrade before
anything is changed, and whether a failed one has a way back.
"""

import dataclasses
import email
import email.mime.multipart
import email.mime.text

import yaml

from trove_upgrade.domain import exceptions, network, states, troves_keys, user_nics
from trove_upgrade.domain.cloud_init import documents
from trove_upgrade.domain.outcomes import Done
from trove_upgrade.taskmanager import user_data
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.taskmanager import fakes, test_rollback

INFO = '/etc/trove/conf.d/guest_info.conf'
CONFIG = '/etc/trove/conf.d/trove-guestagent.conf'
TEMPLATE = '[DEFAULT]\ntransport_url = t\n'
SEALING = {'guest_rpc': '1.2'}
NIC = user_nics.UserNic('fa:16:3e:00:00:01', ())


class FakeNics:
    """Implements user_nics.UserNics: one answer."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def user_nic(self, server, name):
        self.asked.append((server.id, name))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class FakeKeys:
    """Implements troves_keys.TrovesKeys; None: it cannot be read."""

    def __init__(self, key):
        self.key = key

    def rpc_key(self, instance_id):
        if self.key is None:
            raise troves_keys.TrovesKeyUnreadable(instance_id=instance_id)
        return self.key


class Directory:
    """The files of a taskmanager's host, by path."""

    def __init__(self, **cloudinit):
        self.texts = {'/x': TEMPLATE} | {
            f'/cloudinit/{name}.cloudinit': text for name, text in cloudinit.items()
        }

    def read(self, path):
        found = self.texts.get(path)
        if found is None:
            raise FileNotFoundError(path)
        if isinstance(found, Exception):
            raise found
        return found


def set_stage(stage, former=None, directory=None, template='/x', **changes):
    """The server has `former` as user data, and the operator these files and options."""
    directory = directory or Directory()
    stage.nova.change(user_data=former)
    new_guests = dataclasses.replace(
        stage.files.new_guests, cloudinit_directory='/cloudinit', read=directory.read, **changes
    )
    stage.files = dataclasses.replace(
        stage.files, guest_config_file=template, read=directory.read, new_guests=new_guests
    )
    stage.preflight = dataclasses.replace(stage.preflight, files=stage.files, nova=stage.nova)
    stage.precheck = dataclasses.replace(stage.precheck, preflight=stage.preflight)
    stage.rebuild = dataclasses.replace(stage.rebuild, files=stage.files)


class NewGuestCase(base.TestCase):
    with_keys = False

    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage(with_keys=self.with_keys))
        self.row = self.stage.row()

    def set_stage(self, *former, **changes):
        set_stage(self.stage, *former, **changes)

    def rendered(self):
        version = self.stage.repos.datastores.version_by_id(database.MARIADB_11_8)
        return self.stage.files.render(self.stage.nova.state, database.INSTANCE, version, 'u:1')

    def files(self):
        return {
            path: content.decode() for path, content in documents.files(self.rendered()).items()
        }

    def refusal(self):
        """The code, before the guest was told anything."""
        error = self.assertRaises(exceptions.StepRefused, self.stage.precheck.run, self.row)
        self.assertEqual([], self.stage.guest.asked('pre_upgrade'))
        return error.code


class TestComposed(NewGuestCase):
    def test_the_guest_is_told_who_it_is_from_the_rows(self):
        for former in (None, b'', b' \n'):
            self.set_stage(former)
            files = self.files()
            for line in (
                f'guest_id={database.INSTANCE}',
                'datastore_version=11.8.6',
                f'tenant_id={database.PROJECT}',
                'ssl_mode=None',
                'network_isolation=True',
            ):
                self.assertIn(f'{line}\n', files[INFO])
            self.assertEqual(TEMPLATE, files[CONFIG])
            self.assertIn('upgrade_marker = u:1', files[user_data.MARKER_PATH])
            self.assertNotIn('instance_rpc_encr_key', files[INFO])

    def test_the_upgrade_goes_through_and_its_rebuild_brings_the_files(self):
        self.set_stage()
        for _ in range(2):
            self.stage.run_on(self.row.id)
        [(_, image_id, marker, sent)] = self.stage.nova.rebuilds
        files = documents.files(sent)
        self.assertEqual(database.IMAGE_11_8, image_id)
        self.assertIn(f'guest_id={database.INSTANCE}'.encode(), files[INFO])
        self.assertIn(marker.encode(), files[user_data.MARKER_PATH])

    def test_troves_key_of_the_instance_goes_along(self):
        self.set_stage(keys=FakeKeys('S3cret'))
        self.assertIn('instance_rpc_encr_key=S3cret\n', self.files()[INFO])

    def test_the_operators_cloud_config_of_the_manager_goes_along(self):
        self.set_stage(directory=Directory(mariadb='runcmd: [a]\n', mysql='runcmd: [b]\n'))
        self.assertEqual(['a'], yaml.safe_load(self.rendered())['runcmd'])

    def test_neutron_is_asked_for_the_users_nic_where_there_can_be_one(self):
        for count, isolated, asked in ((2, True, 1), (None, True, 1), (1, True, 0), (2, False, 0)):
            nics = FakeNics(NIC)
            self.stage.nova.change(nic_count=count)
            options = dataclasses.replace(
                self.stage.files.new_guests.settings, network_isolation=isolated
            )
            self.set_stage(nics=nics, settings=options)
            self.assertEqual(bool(asked), user_data.ETH1_PATH in self.files())
            name = f'trove-{database.INSTANCE}'
            self.assertEqual([(database.SERVER, name)] * asked, nics.asked, count)


class TestRefused(NewGuestCase):
    def test_without_the_operators_template_nothing_can_be_composed(self):
        self.set_stage(template=None)
        self.assertEqual('USER_DATA_MISSING', self.refusal())

    def test_of_a_way_back_nothing_is_told_then(self):
        for template, codes in (('/x', ['NO_WAY_BACK']), (None, ['USER_DATA_MISSING'])):
            self.set_stage(template=template)
            report = self.stage.preflight.report(
                self.row, lambda: self.stage.calls.with_facts(self.row)
            )
            self.assertEqual(codes, [one.code for one in report.results if one.code])

    def test_user_data_that_nova_hides_is_not_taken_for_none(self):
        self.set_stage()
        self.stage.nova.change(shows_user_data=False)
        self.assertEqual('USER_DATA_MISSING', self.refusal())

    def test_a_key_that_cannot_be_read_is_not_taken_for_none(self):
        self.set_stage(keys=FakeKeys(None))
        self.assertEqual('TROVES_KEY_UNREADABLE', self.refusal())

    def test_a_cloud_config_that_cannot_be_merged_does(self):
        for text in ('#!/bin/sh\n', '- a', PermissionError('denied')):
            self.set_stage(directory=Directory(mariadb=text))
            self.assertEqual('CLOUDINIT_FILE_UNREADABLE', self.refusal())

    def test_a_subnet_that_is_not_shown_does_and_a_silent_neutron_is_asked_again(self):
        self.set_stage(nics=FakeNics(network.NetworkRefused(what='a', found='b')))
        self.assertEqual('NETWORK_REFUSED', self.refusal())
        self.set_stage(nics=FakeNics(network.NetworkUnavailable(what='a', found='b')))
        self.assertRaises(exceptions.ComputeUnavailable, self.stage.precheck.run, self.row)

    def test_ports_of_which_nova_shows_none_do(self):
        self.set_stage(nics=FakeNics(network.PortsNotShown(server_id='s', found='port-1')))
        self.assertEqual('SERVER_PORTS_NOT_SHOWN', self.refusal())

    def test_more_than_nova_takes_does(self):
        directory = Directory()
        directory.texts['/x'] = '#' * 60000
        self.set_stage(directory=directory)
        self.assertEqual('USER_DATA_TOO_LONG', self.refusal())

    def test_an_instance_that_goes_meanwhile_does(self):
        self.set_stage()
        self.stage.db.update_instance(deleted=True)
        error = self.assertRaises(exceptions.StepRefused, self.rendered)
        self.assertEqual('INSTANCE_NOT_FOUND', error.code)

    def test_user_data_that_cannot_be_read_stays_refused(self):
        for former, code in (
            (b'#cloud-config\na: [\n', 'USER_DATA_UNREADABLE'),
            (b'#!/bin/sh\necho > /etc/trove/conf.d/guest_info.conf\n', 'USER_DATA_UNREADABLE'),
            (b'#!/bin/sh\n', 'USER_DATA_NOT_CLOUD_CONFIG'),
        ):
            for template in ('/x', None):
                self.set_stage(former, template=template)
                self.assertEqual(code, self.refusal())


class TestAdded(NewGuestCase):
    """User data of an old Trove: the operator's own part, and none of the guest's files."""

    CONFIG = '#cloud-config\nruncmd: [a]\nwrite_files: [{path: /own, content: x}]\n'

    def multipart(self):
        message = email.mime.multipart.MIMEMultipart()
        message.attach(email.mime.text.MIMEText('#!/bin/sh\n', 'x-shellscript'))
        message.attach(email.mime.text.MIMEText(self.CONFIG, 'cloud-config'))
        return message.as_bytes()

    def test_what_it_lacks_is_added_in_each_form_and_once(self):
        archive = yaml.safe_dump([{'type': 'text/cloud-config', 'content': self.CONFIG}])
        for former in (
            self.CONFIG.encode(),
            b'#cloud-config\n',
            self.multipart(),
            b'#cloud-config-archive\n' + archive.encode(),
        ):
            self.set_stage(former)
            files, once = self.files(), self.rendered()
            self.assertIn(f'guest_id={database.INSTANCE}\n', files[INFO])
            self.assertEqual(TEMPLATE, files[CONFIG])
            self.assertEqual(b'own' in former, '/own' in files)
            self.stage.nova.change(user_data=once)
            self.assertEqual(documents.files(once), documents.files(self.rendered()))

    def test_a_file_that_it_writes_stays_as_it_is_there(self):
        self.set_stage(
            b'#cloud-config\nwrite_files: [{path: /etc/docker/daemon.json, content: own}]\n',
            settings=dataclasses.replace(
                self.stage.files.new_guests.settings, insecure_registries=('r:5000',)
            ),
        )
        self.assertEqual('own', self.files()[user_data.DOCKER_PATH])

    def test_what_cannot_be_composed_refuses(self):
        self.set_stage(self.CONFIG.encode(), template=None)
        self.assertEqual('USER_DATA_MISSING', self.refusal())


class TestWayBack(test_rollback.RollbackCase):
    def fails(self):
        set_stage(self.stage)
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        return self.begin()

    def warnings(self, row):
        return [note.code for note in row.progress.notes.warnings]

    def test_an_image_without_an_agent_of_ours_is_not_booted_again(self):
        row = self.fails()
        self.assertEqual(
            (states.UpgradeState.FAILED, 'REBUILD_FAILED'), (row.state, row.error_code)
        )
        self.assertEqual([(database.IMAGE_11_8, '1')], self.rebuilds())
        self.assertEqual(['NO_WAY_BACK'], self.warnings(row))
        error = self.assertRaises(exceptions.RollbackRefused, self.repos.upgrades.rollback, row.id)
        self.assertIn('no agent of ours is recorded', error.message)

    def test_its_retry_completes_with_the_same_files(self):
        row = self.fails()
        self.nova.broken.clear()
        self.guest.says(
            'post_upgrade', fakes.answer(boot_id=fakes.NEW_BOOT, server_started_on_data=True)
        )
        self.guest.says(
            'verify_upgrade',
            fakes.answer(boot_id=fakes.NEW_BOOT, result={'server_version': '11.8.6-MariaDB'}),
        )
        self.nova.change(status='ERROR', user_data=self.nova.rebuilds[0][3])
        self.repos.upgrades.retry(row.id)
        self.assertEqual(states.UpgradeState.COMPLETED, self.go(row.id).state)
        first, second = (documents.files(sent[3]) for sent in self.nova.rebuilds)
        self.assertNotEqual(first.pop(user_data.MARKER_PATH), second.pop(user_data.MARKER_PATH))
        self.assertEqual(first, second)

    def test_an_image_with_an_agent_of_ours_comes_back_and_is_told_the_former_version(self):
        self.repos.datastores.save_target_facts(database.MARIADB_10_11, SEALING)
        row = self.fails()
        self.assert_rolled_back(row, 'REBUILD_FAILED')
        self.assertEqual([], self.warnings(row))
        back = documents.files(self.nova.rebuilds[1][3])
        self.assertIn(b'datastore_version=10.11.14\n', back[INFO])
        self.assertIn(f'guest_id={database.INSTANCE}\n'.encode(), back[INFO])
        self.assertEqual(TEMPLATE.encode(), back[CONFIG])


class TestKeyed(NewGuestCase):
    with_keys = True

    def test_a_guest_whose_agent_was_brought_in_later_may_go_to_an_image_that_knows_its_key(self):
        keys = self.stage.repos.guest_keys
        key = keys.mint(database.INSTANCE, 'bridge:1')
        keys.hear(key, '1' * 32, 1)
        self.stage.repos.datastores.save_target_facts(database.MARIADB_11_8, SEALING)
        for former in (self.stage.nova.state.user_data, None):
            self.set_stage(former)
            done = self.stage.precheck.run(self.row)
            self.assertIsInstance(done, Done)
            self.assertTrue(done.upgrade.progress.former.cannot_return)

    def test_a_guest_that_was_given_its_key_otherwise_is_taken_for_one_with_an_agent_in_its_image(
        self,
    ):
        keys = self.stage.repos.guest_keys
        keys.hear(keys.mint(database.INSTANCE, None), '1' * 32, 1)
        self.stage.repos.datastores.save_target_facts(database.MARIADB_11_8, SEALING)
        self.assertEqual('FORMER_AGENT_UNKNOWN', self.refusal())
