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


def advice(wish: str, name: str, check: str) -> str:
    """Return how an operator gets what many wish for: by a line of the policy file.

    The line is a paragraph of its own, so that it stands in one line of the sample, where
    oslo.policy wraps paragraphs: what is copied from there can be read as YAML.
    """
    return f'{wish}, put this into the policy file:\n\n"{name}": "rule:{check}"'
