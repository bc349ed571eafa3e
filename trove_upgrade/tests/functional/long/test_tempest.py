# SPDX-License-Identifier: Apache-2.0
"""trove-tempest-plugin's own test of an upgrade, as released and unmodified, run by real tempest.

Its last question is `SELECT @@GLOBAL.innodb_version`, a variable that MariaDB 11 no longer has: no upgrade to it can pass,
whoever does it.  So it is asked where the variable exists: MariaDB 10.11 of Debian's last point release on one guest image, to the one of
Debian's security team on the next guest image, with the next operating system and Python.  When both have the same number the
upgrade is the same, and only that number is.  Our own scenario, which asks VERSION(), covers the way to 11.8.
"""
from trove_upgrade.lab.containers import recipes, registry
from trove_upgrade.lab.containers.builder import ContainerBuilder
from trove_upgrade.lab.hypervisor.commands import HostCommands
from trove_upgrade.lab.tempest import acceptance
from trove_upgrade.lab.trove.stage import DATASTORE
from trove_upgrade.tests.functional.trove import base

UPGRADE_OF_MARIADB = r'^trove_tempest_plugin\.tests\.scenario\.test_instance_actions\.TestInstanceActionsMariaDB\.test_instance_upgrade\b'


class TestTempest(base.TroveGuestTestCase):

    def newer(self):
        """The version to upgrade to: its container in the registry, itself registered with the next guest image."""
        settings = self.side.settings
        image = ContainerBuilder(settings.layout.images_cache, HostCommands(), print).build(recipes.MARIADB_10_11_SECURITY)
        if image.version != self.former.number:
            registry.client(settings).push(image)
        return self.stage.datastores.register(DATASTORE, f'{image.version}-security', image.version, self.target.image_id)

    def test_its_own_test_of_an_upgrade_of_mariadb_passes(self):
        newer = self.newer()

        outcome = acceptance.run(self.stage, acceptance.Versions(self.former.name, newer.name), UPGRADE_OF_MARIADB, self.work_dir)

        print(f'{self.former.number} on {self.former.image_id} -> {newer.number} on {newer.image_id}\n{outcome.summary}')
        self.assertEqual((1, 0, 0), (outcome.passed, outcome.failed, outcome.skipped), outcome.output)
        self.assertIn('TestInstanceActionsMariaDB.test_instance_upgrade', outcome.output)
        self.assertNotIn('FAILED', outcome.output)
