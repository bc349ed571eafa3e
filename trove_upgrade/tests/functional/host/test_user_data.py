# SPDX-License-Identifier: Apache-2.0
"""User data of a rebuild, judged by the cloud-init of a guest: its processor, its merger, its
decoding.
"""

import base64
import dataclasses
import json
import pathlib

from lab.images import recipes
from trove_upgrade.taskmanager import composed_user_data, user_data
from trove_upgrade.taskmanager.contents import Contents
from trove_upgrade.tests import user_data_forms as forms
from trove_upgrade.tests.functional.host import test_lab_guests

READER = pathlib.Path(__file__).with_name('cloud_init_reader.py')


class UserDataTest(test_lab_guests.GuestTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.with_cloud_init = cls.builder.build(recipes.TRIXIE.with_systemd())

    def read(self, guest, blobs):
        asked = json.dumps([base64.b64encode(blob).decode() for blob in blobs])
        return json.loads(
            guest.exec(['python3', '-c', READER.read_text()], input_text=asked).output
        )

    def test_the_guest_gets_what_it_had_with_the_target_version_and_the_marker(self):
        guest = self.guest(self.with_cloud_init, init='systemd')
        wanted = user_data.Contents(datastore_version='11.8.6', datastore_manager='mariadb')
        sent = [user_data.render(former, 'u:1', wanted) for former in forms.CHANGED.values()]

        before, after = self.read(guest, forms.CHANGED.values()), self.read(guest, sent)

        for name, former, now in zip(forms.CHANGED, before, after, strict=True):
            self.assertIn('upgrade_marker = u:1', now['files'].pop(user_data.MARKER_PATH), name)
            expected = {
                path: text.replace('10.11.14', '11.8.6') for path, text in former['files'].items()
            }
            self.assertEqual({**former, 'files': expected}, now, name)
            self.assertTrue(any('11.8.6' in text for text in expected.values()), name)

    def test_a_guest_gets_the_files_that_are_composed_for_it(self):
        guest = self.guest(self.with_cloud_init, init='systemd')
        settings = composed_user_data.Settings(
            directory='/etc/trove/conf.d',
            owner='ubuntu',
            group='root',
            guest_info='guest_info.conf',
            network_isolation=True,
            insecure_registries=('r:5000',),
        )
        wanted = Contents(
            datastore_version='11.8.6', datastore_manager='mariadb', guest_config='[DEFAULT]\n'
        )
        injected = composed_user_data.files(
            settings, composed_user_data.Guest(instance_id='i', project_id='t'), wanted
        )
        own = '#cloud-config\nruncmd: [a]\nwrite_files: [{path: /own, content: x}]\n'
        composed = composed_user_data.compose(injected, own)
        added = user_data.render(
            own.encode(), 'u:1', dataclasses.replace(wanted, injected=injected)
        )

        read = self.read(guest, [user_data.render(composed, 'u:1', wanted), added])

        expected = {file.path: file.text for file in injected.files} | {'/own': 'x'}
        for found in read:
            self.assertIn('upgrade_marker = u:1', found['files'].pop(user_data.MARKER_PATH))
            self.assertEqual((expected, {'runcmd': ['a']}), (found['files'], found['rest']))
