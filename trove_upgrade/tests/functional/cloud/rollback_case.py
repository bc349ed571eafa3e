# SPDX-License-Identifier: Apache-2.0
"""Steps that tests of the way back to the former image share."""

from lab import stage
from lab.knobs import Knobs, KnobStore
from lab.product import TASKMANAGER
from trove_upgrade.tests.functional.cloud import base


class RollbackCase(base.CloudTestCase):
    options = {}

    def setUp(self):
        super().setUp()
        self.knobs = KnobStore(self.stage.layout.faults_dir)
        self.addCleanup(self._control, 'DELETE', '/__requests')
        before = self.product.config_file.read_text()
        self.addCleanup(self.restart, lambda: self.product.config_file.write_text(before))
        self.restart(lambda: self.product.configure({**stage.QUICK, **self.options}))

    def restart(self, configure):
        """Both services read their configuration once; only the taskmanager's part differs here."""
        self.product.stop(TASKMANAGER)
        configure()
        self.product.start_taskmanager()

    def turn(self, instance, **knobs):
        self.knobs.turn(instance.server_id, Knobs(**knobs))
        self.addCleanup(self.knobs.clear, instance.server_id)

    def rebuilds(self, instance):
        return self._control('GET', f'/__requests?method=POST&path={instance.server_id}/action')[
            'count'
        ]

    def assert_rolled_back(self, instance, before, upgrade, code):
        self.assertEqual(('ROLLED_BACK', code), (upgrade['state'], upgrade['error_code']), upgrade)
        after = self.snapshot(instance)
        self.assertEqual(
            (before.server_version, before.image, before.tables, before.users),
            (after.server_version, after.image, after.tables, after.users),
        )
        self.assertNotEqual(before.boot_id, after.boot_id)
        shown = self.show(instance)
        self.assertEqual(
            ('ACTIVE', 'HEALTHY', self.former.name),
            (shown['status'], shown['operating_status'], shown['datastore']['version']),
        )
        self.assert_serves(instance, self.former)
