# SPDX-License-Identifier: Apache-2.0
import json
import logging
import os
import pathlib
import re
import textwrap

import fixtures
import webtest
from oslo_config import cfg
from oslo_context import context
from oslo_policy import generator, policy
from oslo_upgradecheck import upgradecheck

import trove_upgrade
from trove_upgrade import conf as our_conf
from trove_upgrade.api import application, policies
from trove_upgrade.api.filter import UpgradeFilter
from trove_upgrade.cmd import status
from trove_upgrade.domain import actions
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import stage
from trove_upgrade.tests.unit.cmd.status import rows

UPGRADE = policies.instances.UPGRADE

_ETC = pathlib.Path(trove_upgrade.__file__).parents[1] / 'etc' / 'trove-upgrade'

#: Overrides of Trove's rules, which refer to what only Trove's process defines.
_TROVES = """
"instance:create": "rule:admin_or_owner"
"instance:delete": "not rule:admin_or_owner"
"instance:show": [["rule:admin"], ["project_id:%(tenant)s"]]
"instance:list": []
"instance:update":
"a": "rule:b"
"b": "rule:a"
"instance:module_apply": "role:x and ("
"default": "!"
"""


class TestFilesOfTrove(stage.ApiTestCase):
    """Directories of configuration as Trove's, with files that hold rules of Trove."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (self.folder / 'policy.d').mkdir()

    def conf_of_folder(self):
        main = self.folder / 'trove.conf'
        main.write_text('[DEFAULT]\n')
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf(['--config-file', str(main)], project='trove')
        return conf

    def loaded(self):
        enforcer = policies.new_enforcer(self.conf_of_folder())
        policies.load(enforcer)
        return enforcer

    def through_filter(self):
        ours = application.Application(lambda: self.new_services(enforcer=self.loaded()))
        return webtest.TestApp(stage.FakeAuth(UpgradeFilter(None, ours, lambda: 65536)), lint=False)

    def alone(self):
        ours = application.Application(lambda: self.new_services(enforcer=self.loaded()))
        return webtest.TestApp(stage.FakeAuth(ours), lint=False)

    def assert_served(self):
        for made in (self.through_filter, self.alone):
            self.app = made()
            self.assertEqual(200, self.ask('GET', '/upgrades').status_int)
            self.assertEqual(
                202, self.patch('11.8.6', instance_id=self.db.add_instance()).status_int
            )
        found = rows.run(status.Checks(self.conf_of_folder()), 'policy')
        self.assertEqual(upgradecheck.Code.SUCCESS, found.code, found.details)
        return found.details

    def test_overrides_in_a_directory_that_both_read(self):
        (self.folder / 'policy.d' / 'trove.yaml').write_text(_TROVES)
        self.assertIn('The default rules hold', self.assert_served())

    def test_overrides_as_json(self):
        (self.folder / 'policy.d' / 'trove.json').write_text(
            json.dumps(policy.parse_file_contents(_TROVES))
        )
        self.assert_served()

    def test_one_file_for_both(self):
        (self.folder / 'trove-upgrade-policy.yaml').write_text(
            _TROVES + '"trove_upgrade:upgrades:list": "role:reader"'
        )
        self.assertIn('trove_upgrade:upgrades:list', self.assert_served())

    def test_directories_that_are_empty_or_missing(self):
        self.assert_served()
        (self.folder / 'policy.d' / 'empty.yaml').write_text('')
        self.assert_served()
        (self.folder / 'policy.d' / 'empty.yaml').unlink()
        (self.folder / 'policy.d').rmdir()
        self.assert_served()

    def test_rules_of_ours_beside_those_of_trove_are_in_force(self):
        (self.folder / 'policy.d' / 'trove.yaml').write_text(
            _TROVES + '"our_admin": "role:dba"\n"trove_upgrade:upgrades:list": "rule:our_admin"'
        )
        self.app = self.through_filter()
        self.assert_refused(self.ask('GET', '/upgrades'), 403, 'FORBIDDEN')
        self.assertEqual(200, self.ask('GET', '/upgrades', roles='dba').status_int)
        self.assertIn(
            'trove_upgrade:upgrades:list',
            rows.run(status.Checks(self.conf_of_folder()), 'policy').details,
        )

    def test_a_rule_of_ours_that_refers_to_a_default_of_trove_is_refused_in_words_that_need_no_log(
        self,
    ):
        (self.folder / 'policy.d' / 'trove.yaml').write_text(
            '"trove_upgrade:upgrades:list": "rule:admin_or_owner"'
        )
        self.assertRaises(policies.PolicyInvalid, self.loaded)
        found = rows.run(status.Checks(self.conf_of_folder()), 'policy')
        self.assertEqual(upgradecheck.Code.FAILURE, found.code)
        self.assertIn(
            'trove_upgrade:upgrades:list refers to admin_or_owner, which is defined nowhere',
            found.details,
        )
        self.assertNotIn('logs', found.details)

    def test_the_log_names_rules_of_ours_alone(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.WARNING))
        (self.folder / 'policy.d' / 'trove.yaml').write_text(
            _TROVES.replace('"role:x and ("', '"role:x"')
        )
        enforcer = self.loaded()
        self.assertEqual('', log.output)
        (self.folder / 'policy.d' / 'zz.yaml').write_text(
            '"trove_upgrade:upgrades:list": "rule:nowhere"'
        )
        enforcer.load_rules(force_reload=True)
        enforcer.check_rules()
        self.assertIn('trove_upgrade:upgrades:list refers to nowhere', log.output)
        self.assertNotIn('instance:', log.output)
        self.assertRaises(
            policy.InvalidDefinitionError, enforcer.check_rules, raise_on_violation=True
        )


class TestRules(stage.ApiTestCase):
    def test_every_name_is_our_own_so_that_no_rule_of_trove_is_changed(self):
        self.assertEqual(
            [],
            [
                rule.name
                for rule in policies.list_rules()
                if not rule.name.startswith('trove_upgrade:')
            ],
        )

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

    def advised_lines(self):
        """Lines that the sample advises for the policy file, as they are without their "# "."""
        sample = (_ETC / 'trove-upgrade-policy.yaml.sample').read_text()
        lines = re.findall(r'^# (".*)$', sample, re.MULTILINE)
        advice = ' '.join(sample.replace('#', ' ').split())
        self.assertEqual(advice.count('put this into the policy file'), len(lines))
        return lines

    def test_each_line_that_the_sample_advises_is_one_that_a_policy_file_may_hold(self):
        lines = self.advised_lines()
        self.assertEqual(
            [
                UPGRADE,
                policies.upgrades.OF_ACTION[actions.Action.RETRY],
                policies.upgrades.OF_ACTION[actions.Action.ROLLBACK],
            ],
            sorted(self.in_force(line)[0] for line in lines),
        )
        self.in_force(*lines)

    def test_each_line_of_the_pages_is_one_that_a_policy_file_may_hold(self):
        pages = pathlib.Path(trove_upgrade.__file__).parents[1] / 'doc' / 'source'
        found = 0
        for page in pages.rglob('*.rst'):
            lines = re.findall(r'^ +"trove_upgrade:.*$', page.read_text(), re.MULTILINE)
            found += len(self.in_force(*map(textwrap.dedent, lines)))
        self.assertLess(0, found)

    def in_force(self, *lines):
        """Load a file with these lines, and return the rules of it that are other than shipped."""
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        path.write_text('\n'.join(lines))
        enforcer = policies.new_enforcer(stage.private_conf(policy_file=str(path)))
        policies.load(enforcer)
        changed = policies.changed(enforcer)
        for name in changed:
            self.assertNotEqual(
                str(enforcer.registered_rules[name].check), str(enforcer.rules[name])
            )
        self.assertEqual(len(lines), len(changed))
        return changed

    def test_the_lines_of_the_sample_let_members_retry_and_roll_back_in_their_own_project(self):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        path.write_text('\n'.join(line for line in self.advised_lines() if UPGRADE not in line))
        enforcer = policies.new_enforcer(stage.private_conf(policy_file=str(path)))
        for action in (actions.Action.RETRY, actions.Action.ROLLBACK):
            rule = policies.upgrades.OF_ACTION[action]
            for role, project_id, expected in (
                ('member', 'one', True),
                ('admin', 'another', True),
                ('reader', 'one', False),
                ('member', 'another', False),
            ):
                caller = context.RequestContext(project_id=project_id, roles=[role])
                self.assertEqual(expected, enforcer.authorize(rule, {'project_id': 'one'}, caller))

    def test_a_file_that_has_changed_counts_with_the_next_request(self):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        path.write_text('"trove_upgrade:instances:upgrade": "rule:trove_upgrade:admin"')
        self.conf = stage.private_conf(policy_file=str(path))
        self.app = self.new_app()
        for _ in range(2):
            self.assert_refused(self.patch('11.8.6'), 403, 'FORBIDDEN')
        path.write_text('"trove_upgrade:instances:upgrade": "role:member"')
        os.utime(path, (0, path.stat().st_mtime + 10))
        self.assertEqual(202, self.patch('11.8.6').status_int)

    def test_a_rule_whose_last_file_has_gone_counts_no_more(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (folder / 'policy.d').mkdir()
        (folder / 'trove-upgrade.conf').write_text('[DEFAULT]\n')
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf(['--config-file', str(folder / 'trove-upgrade.conf')], project='trove-upgrade')
        rule = folder / 'policy.d' / 'guests.yaml'
        rule.write_text(f'"{UPGRADE}": "role:guest"')
        enforcer = policies.new_enforcer(conf)
        caller = context.RequestContext(project_id='one', roles=['guest'])
        for _ in range(2):
            self.assertTrue(enforcer.authorize(UPGRADE, {'project_id': 'one'}, caller))
        rule.unlink()
        os.utime(folder / 'policy.d', (0, (folder / 'policy.d').stat().st_mtime + 10))
        self.assertFalse(enforcer.authorize(UPGRADE, {'project_id': 'one'}, caller))

    def test_the_verdict_on_one_caller_is_no_verdict_on_another(self):
        enforcer = policies.new_enforcer(self.conf)
        for _ in range(2):
            for project_id in ('one', 'another'):
                for role, expected in (('member', True), ('reader', False)):
                    caller = context.RequestContext(project_id='one', roles=[role])
                    self.assertEqual(
                        expected and project_id == 'one',
                        enforcer.authorize(UPGRADE, {'project_id': project_id}, caller),
                    )

    def test_a_check_that_may_ask_elsewhere_is_made_each_time(self):
        enforcer = policies.new_enforcer(self.conf)
        answers = iter([True, False, True])

        class Elsewhere(policy.Check):
            def __call__(self, target, creds, enforcer, current_rule=None):
                return next(answers)

        enforcer.load_rules()
        named = {**enforcer.rules, 'of_the_operator': Elsewhere('elsewhere', 'x')}
        enforcer.set_rules({**named, UPGRADE: policy.RuleCheck('rule', 'of_the_operator')})
        caller = context.RequestContext(project_id='one')
        found = [enforcer.authorize(UPGRADE, {'project_id': 'one'}, caller) for _ in range(3)]
        self.assertEqual([True, False, True], found)

    def test_a_file_that_lets_nobody_in_by_a_fault_is_refused(self):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        for text in (
            '[',
            '[1]',
            '"trove_upgrade:instances:upgrade": 5',
            '"trove_upgrade:instances:upgrade": "role:admin and ("',
            '"trove_upgrade:instances:upgrade": "rule:nowhere"',
            '"trove_upgrade:instances:upgrade": "not rule:nowhere"',
            (
                '"trove_upgrade:instances:upgrade": "rule:b"\n"b": '
                '"rule:trove_upgrade:instances:upgrade"'
            ),
            '"trove_upgrade:instances:upgrade": "role:a or rule:b"\n"b": "role:admin and ("',
            '"trove_upgrade:instances:upgrade": [["x"]]',
            '"trove_upgrade:instances:upgrade": "rule:trove_upgrade:instances:upgrade"',
            '"trove_upgrade:instances:upgrade": [[]]',
        ):
            path.write_text(text)
            enforcer = policies.new_enforcer(stage.private_conf(policy_file=str(path)))
            self.assertRaises(policies.PolicyInvalid, policies.load, enforcer)
        for text in (
            '',
            '"!"',
            '[["!"]]',
            '"(!)"',
            '[]',
            '[["role:admin"], ["role:member", "role:reader"]]',
        ):
            path.write_text(f'"trove_upgrade:instances:upgrade": {text}')
            policies.load(policies.new_enforcer(stage.private_conf(policy_file=str(path))))

    def test_the_sample_says_what_the_code_says(self):
        fresh = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'sample.yaml')
        generator.generate_sample(
            ['--namespace', 'trove-upgrade', '--output-file', str(fresh)], conf=cfg.ConfigOpts()
        )
        self.assertEqual(fresh.read_text(), (_ETC / 'trove-upgrade-policy.yaml.sample').read_text())

    def test_an_auditor_may_look_at_the_own_project_only(self):
        self.assertEqual(
            200, self.ask('GET', f'/instances/{database.INSTANCE}', roles=stage.READER).status_int
        )
        self.assert_refused(
            self.ask('GET', f'/instances/{database.OTHER_INSTANCE}', roles=stage.READER),
            404,
            'INSTANCE_NOT_FOUND',
        )
