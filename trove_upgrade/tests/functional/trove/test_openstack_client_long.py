# SPDX-License-Identifier: Apache-2.0
"""Every command of the client on a real instance of real Trove: by the openstack command of the
newest release and by one that is a year older.
"""

from lab.knobs import Knobs
from trove_upgrade.tests.functional.client_walk import ClientWalk
from trove_upgrade.tests.functional.host.openstack_client import NEWEST, YEAR_OLDER
from trove_upgrade.tests.functional.trove import holding


class TestNewest(ClientWalk, holding.HoldingCase):
    NAMES = (f'walked-{NEWEST}',)

    def turn(self, instance, **knobs):
        self.knobs.turn(instance.server_id, Knobs(**knobs))
        self.addCleanup(self.knobs.clear, instance.server_id)

    def shown(self, instance):
        return self.instances.show(instance.id)

    def test_each_command_prints_json_of_its_form_on_the_way_of_one_instance(self):
        [instance] = self.made.values()
        self.walk(instance, self.instances.project_id)

    def test_each_command_has_a_help_and_is_completed(self):
        self.assert_described(self.environment('demo'))


class TestYearOlder(TestNewest):
    NAMES = (f'walked-{YEAR_OLDER}',)
    pins = YEAR_OLDER
