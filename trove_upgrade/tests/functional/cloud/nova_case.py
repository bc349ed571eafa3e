# SPDX-License-Identifier: Apache-2.0
"""A guest whose rebuild Nova refuses, or whose hypervisor fails."""

from lab.knobs import Knobs, KnobStore
from trove_upgrade.tests.functional.cloud import base

REBUILD = {'method': 'POST', 'path': '/action$', 'body': '"rebuild"'}


class NovaCase(base.CloudTestCase):
    def setUp(self):
        super().setUp()
        self.knobs = KnobStore(self.stage.layout.faults_dir)
        self.addCleanup(self._control, 'DELETE', '/__requests')

    def turn(self, instance, **knobs):
        self.knobs.turn(instance.server_id, Knobs(**knobs))
        self.addCleanup(self.knobs.clear, instance.server_id)

    def rebuilds(self, instance):
        found = self._control('GET', f'/__requests?method=POST&path={instance.server_id}/action')
        return found['count']
