# SPDX-License-Identifier: Apache-2.0
"""Every command of the client on a real instance, where we run alone: by the openstack command of
the newest release and by one that is a year older.
"""

from trove_upgrade.tests.functional.client_walk import ClientWalk
from trove_upgrade.tests.functional.cloud.nova_case import NovaCase
from trove_upgrade.tests.functional.host.openstack_client import YEAR_OLDER


class TestNewest(ClientWalk, NovaCase):
    def shown(self, instance):
        return self.show(instance)

    def test_each_command_prints_json_of_its_form_on_the_way_of_one_instance(self):
        self.walk(self.create_instance(f'walked-{self.pins}'), self.project_id)

    def test_each_command_has_a_help_and_is_completed(self):
        self.assert_described(self.environment('demo'))


class TestYearOlder(TestNewest):
    pins = YEAR_OLDER
