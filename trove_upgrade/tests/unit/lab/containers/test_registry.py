# SPDX-License-Identifier: Apache-2.0
import json
import pathlib
import tempfile

from lab.containers import registry
from lab.containers.registry_client import RegistryClient
from trove_upgrade.tests.unit import base


class RegistryTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_it_listens_on_loopback_and_names_no_address_that_guests_cannot_reach(self):
        said = json.loads(registry.configuration(self.directory, 18505))

        self.assertEqual(
            ('127.0.0.1:18505', True), (said['http']['addr'], said['http']['relativeurls'])
        )

    def test_a_linked_storage_shares_blobs_and_nothing_that_changes(self):
        for name in ('blobs/aa/data', 'tags/1.2/link'):
            (self.directory / 'kept' / name).parent.mkdir(parents=True)
            (self.directory / 'kept' / name).write_text('as it was')

        registry.link(self.directory / 'kept', self.directory / 'used')
        (self.directory / 'used/tags/1.2/link').write_text('another one')

        self.assertTrue(
            (self.directory / 'used/blobs/aa/data').samefile(self.directory / 'kept/blobs/aa/data')
        )
        self.assertEqual('as it was', (self.directory / 'kept/tags/1.2/link').read_text())

    def test_a_registry_that_is_not_there_is_not_ready(self):
        self.assertFalse(RegistryClient('http://127.0.0.1:1').ready())
