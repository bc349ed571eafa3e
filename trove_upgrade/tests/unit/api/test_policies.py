# SPDX-License-Identifier: Apache-2.0
import pathlib

import fixtures
from oslo_config import cfg
from oslo_policy import generator

import trove_upgrade
from trove_upgrade.api import policies
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import stage

_ETC = pathlib.Path(trove_upgrade.__file__).parents[1] / 'etc' / 'trove-upgrade'


class TestRules(stage.ApiTestCase):

    def test_every_name_is_our_own_so_that_no_rule_of_trove_is_changed(self):
        self.assertEqual([], [rule.name for rule in policies.list_rules() if not rule.name.startswith('trove_upgrade:')])

    def test_an_operator_can_keep_upgrades_to_admins_with_the_line_of_the_sample(self):
        sample = (_ETC / 'trove-upgrade-policy.yaml.sample').read_text()
        line = '"trove_upgrade:instances:upgrade": "rule:trove_upgrade:admin"'
        self.assertIn(f'# {line}', sample)
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        path.write_text(line)
        self.conf = stage.private_conf(policy_file=str(path))
        self.app = self.new_app()
        self.assert_refused(self.patch('11.8.6'), 403, 'FORBIDDEN')
        self.assertEqual(202, self.patch('11.8.6', roles=stage.ADMIN).status_int)

    def test_a_file_that_lets_nobody_in_by_a_fault_is_refused(self):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        for text in ('[', '[1]', '"trove_upgrade:instances:upgrade": 5', '"trove_upgrade:instances:upgrade": "role:admin and ("',
                     '"trove_upgrade:instances:upgrade": "rule:nowhere"', '"a": "rule:b"\n"b": "rule:a"'):
            path.write_text(text)
            enforcer = policies.new_enforcer(stage.private_conf(policy_file=str(path)))
            self.assertRaises(policies.PolicyInvalid, policies.load, enforcer)
        path.write_text('"trove_upgrade:instances:upgrade": "!"')
        policies.load(policies.new_enforcer(stage.private_conf(policy_file=str(path))))

    def test_the_sample_says_what_the_code_says(self):
        fresh = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'sample.yaml')
        generator.generate_sample(['--namespace', 'trove-upgrade', '--output-file', str(fresh)], conf=cfg.ConfigOpts())
        self.assertEqual(fresh.read_text(), (_ETC / 'trove-upgrade-policy.yaml.sample').read_text())

    def test_an_auditor_may_look_at_the_own_project_only(self):
        self.assertEqual(200, self.ask('GET', f'/instances/{database.INSTANCE}', roles=stage.READER).status_int)
        self.assert_refused(self.ask('GET', f'/instances/{database.OTHER_INSTANCE}', roles=stage.READER), 404, 'INSTANCE_NOT_FOUND')
