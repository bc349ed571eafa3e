# SPDX-License-Identifier: Apache-2.0
"""The scenario of users on an installation alone; `make test` has it on real Trove."""

from trove_upgrade.tests.functional import scenario_run
from trove_upgrade.tests.functional.cloud import base


class TestScenario(base.CloudTestCase):
    def test_a_scenario_that_knows_nothing_of_the_product_passes(self):
        instance = self.create_instance('scenario')
        application = instance.credentials.application

        done = scenario_run.run(
            self.handle,
            self.stage.host.fabric,
            instance,
            self.target.name,
            user=application.name,
            password=application.password,
            database=instance.credentials.database,
        )

        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertIn('Ran 1 test', done.stderr)
