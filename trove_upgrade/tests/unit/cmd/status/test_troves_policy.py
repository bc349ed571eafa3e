# SPDX-License-Identifier: Apache-2.0
"""Trove's own rule of updates is not asked by the filter: where it would refuse a user whom ours
lets upgrade, the check warns.
"""

import pathlib

import fixtures
from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from trove_upgrade import conf as our_conf
from trove_upgrade.cmd import status
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.cmd.status import rows

UPGRADE = 'trove_upgrade:instances:upgrade'
_SUCCESS, _WARNING, _FAILURE = (
    upgradecheck.Code.SUCCESS,
    upgradecheck.Code.WARNING,
    upgradecheck.Code.FAILURE,
)
#: As the page on an installation beside Trove has it: any role of a project does everything.
ANY_ROLE = (
    '"trove_upgrade:project_member_or_admin": "rule:trove_upgrade:admin or '
    'project_id:%(project_id)s"'
)


class TestTrovesPolicy(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def found(self, trove='', ours='', *, name='policy.yaml', main='trove.conf', options=''):
        """The row of the program, with these files beside the configuration."""
        for file, text in ((name, trove), ('trove-upgrade-policy.yaml', ours)):
            path = self.folder / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        path = self.folder / main
        path.write_text(f'[DEFAULT]\n{options}\n')
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf(['--config-file', str(path)], project='trove')
        return rows.run(status.Checks(conf), 'troves_policy')

    def assert_found(self, code, *said, **files):
        found = self.found(**files)
        self.assertEqual(code, found.code, found.details)
        self.assertEqual([], [words for words in said if words not in found.details], found.details)
        return found.details

    def test_the_defaults_of_both_agree(self):
        self.assert_found(_SUCCESS, 'instance:update')

    def test_any_role_of_a_project_as_trove_has_it(self):
        self.assert_found(_SUCCESS, ours=ANY_ROLE)
        self.assert_found(_SUCCESS, trove='"instance:update": ""', ours=ANY_ROLE)

    def test_a_rule_of_troves_that_is_overridden_more_strictly(self):
        for rule in (
            'rule:admin', 'role:admin', '!', 'role:dba', ('rule:admin or (role:dba and '
                                                         'project_id:%(tenant)s)'), ('not '
                                                                                   'role:member'),
            'rule:admin_or_owner and role:upgrader', 'user_id:%(owner)s', "'x':%(tenant)s",
        ):  # fmt: skip
            said = self.assert_found(
                _WARNING, 'a user with member', UPGRADE, trove=f'"instance:update": "{rule}"'
            )
            self.assertIn('trove-upgrade-policy.yaml', said)

    def test_a_rule_that_troves_refers_to_counts_too(self):
        for text in (
            '"admin_or_owner": "rule:admin"',
            '"admin": "role:nobody"\n"instance:update": "rule:admin"',
            '"default": "!"\n"instance:update": "rule:nowhere"',
            '"a": "rule:b"\n"b": "role:dba"\n"instance:update": "rule:a"',
        ):
            self.assert_found(_WARNING, 'a user with member', trove=text)

    def test_a_directory_that_both_read_and_the_older_form(self):
        self.assert_found(
            _WARNING,
            'a user with member',
            trove='"instance:update": "rule:admin"',
            name='policy.d/trove.yaml',
        )
        self.assert_found(
            _WARNING, trove='"instance:update": [["role:admin"], ["role:dba", "role:member"]]'
        )

    def test_other_rules_of_troves_change_nothing(self):
        self.assert_found(
            _SUCCESS, trove='"instance:edit": "!"\n"instance:restart": "!"\n"default": "!"'
        )

    def test_one_that_is_as_strict_as_ours_or_less(self):
        for trove, ours in (
            ('rule:admin', 'rule:trove_upgrade:admin'),
            (
                'rule:admin or (role:dba and project_id:%(tenant)s)',
                'rule:trove_upgrade:admin or role:dba',
            ),
            ('rule:admin_or_owner and not role:auditor', 'role:member and not role:auditor'),
            ('@', 'role:member'),
        ):
            self.assert_found(
                _SUCCESS, trove=f'"instance:update": "{trove}"', ours=f'"{UPGRADE}": "{ours}"'
            )

    def test_only_some_of_a_users_roles_may_make_the_difference(self):
        self.assert_found(
            _WARNING,
            'a user with auditor and member',
            trove='"instance:update": "rule:admin_or_owner and not role:auditor"',
        )

    def test_ours_that_lets_in_more_is_named_by_whom(self):
        self.assert_found(
            _WARNING,
            'a user without a role',
            trove='"instance:update": "role:member"',
            ours=ANY_ROLE,
        )
        many = ' or '.join(f'role:r{number}' for number in range(12))
        self.assert_found(
            _WARNING,
            'other kinds of users',
            trove='"instance:update": "rule:admin"',
            ours=f'"{UPGRADE}": "{many}"',
        )

    def test_an_admin_of_ours_who_is_none_of_troves(self):
        """Outside its own project such a user upgrades what Trove would refuse."""
        said = self.assert_found(_WARNING, ours='"trove_upgrade:admin": "role:operator"')
        self.assertIn('a user with operator for an instance of another project', said)
        self.assert_found(
            _SUCCESS,
            ours='"trove_upgrade:admin": "role:operator"',
            options='admin_roles = operator,admin',
        )
        self.assert_found(_WARNING, options='admin_roles = other', trove='"admin": "is_admin:True"')

    def test_one_that_asks_another_program_is_not_asked_from_here(self):
        self.assert_found(
            _WARNING,
            'asks another program',
            trove='"instance:update": "role:member or http://127.0.0.1:1/x"',
        )

    def test_files_that_cannot_be_read(self):
        self.assert_found(_WARNING, 'cannot be read', trove='[1]')
        self.assert_found(
            _FAILURE, 'The policy cannot be used', ours=f'"{UPGRADE}": "rule:nowhere"'
        )

    def test_alone_there_is_nothing_to_look_at(self):
        self.assert_found(
            _SUCCESS, 'alone', trove='"instance:update": "!"', main='trove-upgrade.conf'
        )
