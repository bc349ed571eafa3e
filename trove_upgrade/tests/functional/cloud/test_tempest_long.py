# SPDX-License-Identifier: Apache-2.0
"""trove-tempest-plugin's own test of an upgrade, as released and unmodified, run by real tempest.

Its last question is `SELECT @@GLOBAL.innodb_version`, a variable that MariaDB 10.5 has and 10.11 no
longer: after an upgrade to 10.11 or 11.8 it cannot pass, whichever service does the upgrade.  So it
is asked where the variable exists: MariaDB 10.5 as Debian 11 was released last on one guest image,
to the one with its security updates on the next guest image, with the next operating system and
Python.  Our own scenario, which asks VERSION(), covers the way to 11.8.
"""

from lab.commands import HostCommands
from lab.containers import recipes, registry
from lab.containers.builder import ContainerBuilder
from lab.tempest import acceptance
from lab.trove import stage as trove_stage
from lab.trove.stage import DATASTORE
from trove_upgrade.tests.functional.trove import base

UPGRADE_OF_MARIADB = (
    r'^trove_tempest_plugin\.tests\.scenario\.test_instance_actions\.TestInstanceActionsMariaDB'
    r'\.test_instance_upgrade\b'
)


class TestTempest(base.TroveGuestTestCase):
    def offer(self, recipe, guest):
        """Its container in the registry, itself registered under a name of its own with the guest
        image of this version, and the facts of that: the guest has a key.
        """
        settings = self.side.settings
        image = ContainerBuilder(settings.layout.images_cache, HostCommands(), print).build(recipe)
        registry.client(settings).push(image)
        version = self.stage.datastores.register(
            DATASTORE, f'{image.version}-{recipe.family}', image.version, guest.image_id
        )
        facts = trove_stage.facts_of(self.stage.layout, guest.number)
        trove_stage.load_facts(self.product, version.name, facts)
        return version

    def test_its_own_test_of_an_upgrade_of_mariadb_passes(self):
        before = self.offer(recipes.MARIADB_10_5, self.former)
        newer = self.offer(recipes.MARIADB_10_5_SECURITY, self.target)

        outcome = acceptance.run(
            self.stage,
            acceptance.Versions(before.name, newer.name),
            UPGRADE_OF_MARIADB,
            self.work_dir,
        )

        print(
            f'{before.number} on {before.image_id} -> {newer.number} on '
            f'{newer.image_id}\n{outcome.summary}'
        )
        self.assertEqual(
            (1, 0, 0), (outcome.passed, outcome.failed, outcome.skipped), outcome.output
        )
        self.assertIn('TestInstanceActionsMariaDB.test_instance_upgrade', outcome.output)
