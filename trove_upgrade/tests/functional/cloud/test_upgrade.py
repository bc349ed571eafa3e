# SPDX-License-Identifier: Apache-2.0
"""The main job on the real thing: a guest moves to a new image and keeps every row."""

from lab.demo import proof
from lab.demo.run import Demo
from lab.progress import Progress
from trove_upgrade.tests.functional.cloud import base


class TestUpgrade(base.CloudTestCase):
    def test_openstackclient_moves_a_guest_to_a_newer_server_while_an_application_writes_and_nothing_is_lost(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        demo = Demo(
            self.stage, Progress(), self.work_dir, client='openstack', instance_name='osc-database'
        )
        self.addCleanup(demo.clean)

        table = demo.prove(rows=20_000)

        self.assertEqual([], [line for line in table if not line.holds], proof.render(table))
