# SPDX-License-Identifier: Apache-2.0
import logging
import os
import pathlib

import fixtures
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.api import policies
from trove_upgrade.tests.unit.api import stage

UPGRADE = policies.instances.UPGRADE


class TestFilesThatChangeUnderTheApi(stage.ApiTestCase):
    """Policy files of an API that runs, the first of which lets only admins upgrade."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (self.folder / 'policy.d').mkdir()
        (self.folder / 'trove-upgrade.conf').write_text('[DEFAULT]\n')
        self.changes = 0
        self.write('policy.yaml', f'"{UPGRADE}": "rule:trove_upgrade:admin"')
        self.conf = cfg.ConfigOpts()
        our_conf.register_opts(self.conf)
        self.conf(
            ['--config-file', str(self.folder / 'trove-upgrade.conf')], project='trove-upgrade'
        )
        self.conf.set_override(
            'policy_file', str(self.folder / 'policy.yaml'), group='trove_upgrade'
        )
        enforcer = policies.new_enforcer(self.conf)
        policies.load(enforcer)
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.ERROR))
        self.app = self.new_app(enforcer=enforcer)

    def write(self, name, content):
        """Write a file later than all that were written before."""
        self.changes += 1
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        later = path.stat().st_mtime + 10 * self.changes
        os.utime(path, (0, later))
        os.utime(path.parent, (0, later))

    def assert_in_force_are_the_former_rules(self):
        for _ in range(3):
            self.assert_refused(self.patch('11.8.6'), 403, 'FORBIDDEN')
            self.assertEqual(200, self.ask('GET', '/upgrades').status_int)

    def test_former_rules_stay_in_force_while_a_file_cannot_be_read(self):
        for content in (
            f'"{UPGRADE}":\n"rule:trove_upgrade:admin"',
            '[',
            '[1]',
            b'"\xff\xfe": "!"',
        ):
            self.write('policy.yaml', content)
            self.assert_in_force_are_the_former_rules()
        self.assertEqual(4, self.log.output.count('POLICY_INVALID'), self.log.output)
        self.assertIn('the rules from before the change are in force', self.log.output)
        self.write('policy.yaml', f'"{UPGRADE}": "role:member"')
        self.assertEqual(202, self.patch('11.8.6').status_int)

    def test_no_part_of_a_change_is_in_force_while_another_part_cannot_be_read(self):
        self.write('policy.d/broken.yaml', '[')
        self.assert_in_force_are_the_former_rules()
        self.write('policy.yaml', f'"{UPGRADE}": "role:member"')
        self.assert_in_force_are_the_former_rules()
        self.write('policy.d/another.yaml', f'"{UPGRADE}": "role:member"')
        self.assert_in_force_are_the_former_rules()
        self.write('policy.d/broken.yaml', '')
        self.assertEqual(202, self.patch('11.8.6').status_int)

    def test_what_each_request_meets_again_is_logged_once(self):
        (self.folder / 'policy.d').rmdir()
        self.write('policy.d', 'a file, where a directory is expected')
        self.assert_in_force_are_the_former_rules()
        self.assertEqual(1, self.log.output.count('POLICY_INVALID'), self.log.output)
        (self.folder / 'policy.d').unlink()
        (self.folder / 'policy.d').mkdir()
        self.write('policy.d/members.yaml', f'"{UPGRADE}": "role:member"')
        self.assertEqual(202, self.patch('11.8.6').status_int)
