# SPDX-License-Identifier: Apache-2.0
"""The three kinds of callers, on which all other rules stand."""

from oslo_policy import policy

ADMIN = 'trove_upgrade:admin'
MEMBER = 'trove_upgrade:project_member_or_admin'
READER = 'trove_upgrade:project_reader_or_admin'

RULES = [
    policy.RuleDefault(
        ADMIN, 'role:admin', description='Sees and upgrades the instances of every project.'
    ),
    policy.RuleDefault(
        MEMBER,
        f'rule:{ADMIN} or (role:member and project_id:%(project_id)s)',
        description=(
            'Upgrades the instances of the own project. Keystone gives an admin the roles member '
            'and reader, too.'
        ),
    ),
    policy.RuleDefault(
        READER,
        f'rule:{ADMIN} or ((role:reader or role:member) and project_id:%(project_id)s)',
        description='Looks at the instances and upgrades of the own project.',
    ),
]


def rule(
    name: str, check: str, description: str, *operations: tuple[str, str]
) -> policy.DocumentedRuleDefault:
    """A documented default; an operation is (method, path)."""
    return policy.DocumentedRuleDefault(
        name,
        f'rule:{check}',
        description,
        [{'method': method, 'path': path} for method, path in operations],
    )
