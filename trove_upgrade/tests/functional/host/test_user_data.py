# SPDX-License-Identifier: Apache-2.0
"""User data of a rebuild, judged by the cloud-init of a guest: its processor, its merger, its
decoding.
"""

import base64
import json
import pathlib

from lab.images import recipes
from trove_upgrade.taskmanager import user_data
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
