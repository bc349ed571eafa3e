# SPDX-License-Identifier: Apache-2.0
"""Trove's own policy, where it is stricter about upgrades than ours, which is the only one that the
filter asks.

Both rules are asked about callers with each combination of the roles that either of them names.
Nothing of Trove's is imported.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from oslo_config import cfg
from oslo_policy import policy
from oslo_upgradecheck import upgradecheck

from trove_upgrade.api import policies
from trove_upgrade.cmd.status.results import success, warning

#: What Trove asks before an upgrade of its own, by PATCH and PUT alike.  Source:
#: trove/instance/service.py, update (Trove 26).
RULE = 'instance:update'
_IS_ADMIN = 'context_is_admin'
_OF_THE_UNDEFINED = 'default'  # which oslo.policy takes for a rule that is defined nowhere
#: Source: trove/common/policies/base.py and instances.py (Trove 26).
_DEFAULTS = (
    policy.RuleDefault(_IS_ADMIN, 'role:admin'),
    policy.RuleDefault('admin', 'role:admin or is_admin:True'),
    policy.RuleDefault('admin_or_owner', 'rule:admin or project_id:%(tenant)s'),
    policy.RuleDefault(_OF_THE_UNDEFINED, 'rule:admin_or_owner'),
    policy.RuleDefault(RULE, 'rule:admin_or_owner'),
)
_ROLES = ('admin', 'member', 'reader')
#: Of the combinations of roles: with more roles than this in the rules, only small ones are asked
#: about.
_ALL_OF = 8
_SMALL = 2
_SHOWN = 3
_OWN, _OTHER = 'project-of-the-caller', 'another-project'
_USER = 'user-of-the-caller'
#: Checks that a program elsewhere answers: nothing is sent from here.
_ASKS_OTHERS = ('http', 'https')


@dataclasses.dataclass(frozen=True)
class Caller:
    """A user with these roles in one project, before an instance of a project."""

    roles: tuple[str, ...]
    instance_project: str

    def __str__(self) -> str:
        """Describe the caller as a part of a sentence."""
        roles = f'with {" and ".join(self.roles)}' if self.roles else 'without a role'
        return f'a user {roles}' + (
            '' if self.instance_project == _OWN else ' for an instance of another project'
        )


def check(conf: cfg.ConfigOpts) -> upgradecheck.Result:
    """Compare the rules in force.

    :raises PolicyInvalid: ours cannot be used.
    """
    ours = policies.new_enforcer(conf)
    policies.load(ours)
    theirs = policy.Enforcer(conf)
    theirs.register_defaults(_DEFAULTS)
    try:
        theirs.load_rules()
    except Exception as error:  # noqa: BLE001 - oslo.policy raises what a file's form runs into: TypeError, AttributeError, ...
        return warning(
            f"Trove's rule {RULE} could not be compared with ours: its policy file cannot be read "
            f'({type(error).__name__}). Look at [oslo_policy] policy_file and policy_dirs.'
        )
    kinds = {kind for kind, _ in _leaves(theirs.rules, RULE)}
    if kinds & set(_ASKS_OTHERS):
        return warning(
            f"Trove's rule {RULE} asks another program, which was not asked from here; "
            'the filter does not ask it, either. Compare it with '
            f'{policies.instances.UPGRADE} yourself, and give that the same check where it is to '
            'hold for upgrades.'
        )
    return _compare(conf, ours, theirs)


def _compare(
    conf: cfg.ConfigOpts, ours: policy.Enforcer, theirs: policy.Enforcer
) -> upgradecheck.Result:
    refused = [
        caller
        for caller in _callers(conf, ours, theirs)
        if _is_let_in(ours, caller) and not _by_trove(conf, theirs, caller)
    ]
    if not refused:
        return success(
            f"Trove's rule {RULE} lets in every user whom {policies.instances.UPGRADE} lets "
            'upgrade.'
        )
    return warning(
        f"Trove's rule {RULE} is stricter than {policies.instances.UPGRADE}, and the filter asks "
        f'ours alone: it lets {_named(refused)} upgrade, whom Trove would refuse. '
        'Where that is not meant, write the same rule for '
        f'{policies.instances.UPGRADE} into {conf.trove_upgrade.policy_file}; '
        'project_id:%(tenant)s of Trove is project_id:%(project_id)s there.'
    )


def _named(callers: Sequence[Caller]) -> str:
    """Return those with the fewest roles: what holds for them holds for most that have more."""
    fewest: list[Caller] = []
    for caller in callers:
        if not any(
            each.instance_project == caller.instance_project
            and set(each.roles) <= set(caller.roles)
            for each in fewest
        ):
            fewest.append(caller)
    more = f', and {len(fewest) - _SHOWN} other kinds of users' if len(fewest) > _SHOWN else ''
    return ' and '.join(map(str, fewest[:_SHOWN])) + more


def _callers(
    conf: cfg.ConfigOpts, ours: policy.Enforcer, theirs: policy.Enforcer
) -> Iterator[Caller]:
    """Yield callers to try: those of the instance's project first, and with few roles."""
    named = {
        match
        for rules, name in (
            (ours.rules, policies.instances.UPGRADE),
            (ours.rules, policies.ADMIN),
            (theirs.rules, RULE),
        )
        for kind, match in _leaves(rules, name)
        if kind == 'role'
    }
    roles = sorted({*_ROLES, *named, *conf.admin_roles})
    largest = len(roles) if len(roles) <= _ALL_OF else _SMALL
    for project in (_OWN, _OTHER):
        for count in range(largest + 1):
            for chosen in itertools.combinations(roles, count):
                yield Caller(chosen, project)


def _is_let_in(ours: policy.Enforcer, caller: Caller) -> bool:
    """Ask our policy as the API does: the route's, and whether the caller is an admin where the
    instance is another project's.
    """
    known = _credentials(caller.roles)
    is_let_in = ours.enforce(policies.instances.UPGRADE, {'project_id': _OWN}, dict(known))
    return bool(
        is_let_in
        and (caller.instance_project == _OWN or ours.enforce(policies.ADMIN, {}, dict(known)))
    )


def _by_trove(conf: cfg.ConfigOpts, theirs: policy.Enforcer, caller: Caller) -> bool:
    """Source: trove/common/wsgi.py, ContextMiddleware, and trove/common/policy.py (Trove 26)."""
    known = _credentials(caller.roles)
    if conf.admin_roles:
        is_admin = any(role in conf.admin_roles for role in caller.roles)
    else:
        is_admin = bool(theirs.enforce(_IS_ADMIN, {'tenant': _OWN}, {**known, 'is_admin': False}))
    return bool(
        theirs.enforce(RULE, {'tenant': caller.instance_project}, {**known, 'is_admin': is_admin})
    )


def _credentials(roles: Sequence[str]) -> dict[str, Any]:
    return {
        'roles': list(roles),
        'project_id': _OWN,
        'tenant': _OWN,
        'user_id': _USER,
        'user': _USER,
    }


def _leaves(rules: policy.Rules, name: str) -> Iterator[tuple[str, str]]:
    """Kind and match of every check that a rule comes to."""
    waiting, seen = [rules.get(name)], {name}
    while waiting:
        found = waiting.pop()
        if isinstance(found, policy.RuleCheck):
            if found.match not in seen:
                seen.add(found.match)
                waiting.append(rules.get(found.match, rules.get(_OF_THE_UNDEFINED)))
        elif isinstance(found, policy.NotCheck):
            waiting.append(found.rule)
        elif isinstance(found, policy.AndCheck | policy.OrCheck):
            waiting.extend(found.rules)
        elif isinstance(found, policy.Check):
            yield found.kind, found.match
