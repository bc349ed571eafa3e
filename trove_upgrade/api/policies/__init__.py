# SPDX-License-Identifier: Apache-2.0
"""Default policies, which an operator's policy file overrides.

Every name begins with `trove_upgrade:`, so that neither file changes the other's meaning where the
filter runs in Trove's process. The target of every rule is `project_id`, the project of the
address; which is the token's, or the request ends before.
"""

import itertools
import pathlib
from collections.abc import Sequence

from oslo_config import cfg
from oslo_policy import policy

from trove_upgrade.api.policies import (
    base,
    datastores,
    drift,
    instances,
    openapi,
    upgrade_checks,
    upgrades,
)
from trove_upgrade.api.policies.enforcer import PREFIX, Enforcer, PolicyInvalid
from trove_upgrade.conf import fault

ADMIN = base.ADMIN


def list_rules() -> Sequence[policy.RuleDefault]:
    """Every rule; for oslopolicy-sample-generator, too."""
    return list(
        itertools.chain(
            base.RULES,
            instances.RULES,
            datastores.RULES,
            upgrades.RULES,
            upgrade_checks.RULES,
            openapi.RULES,
            drift.RULES,
        )
    )


def new_enforcer(conf: cfg.ConfigOpts) -> Enforcer:
    """An enforcer of our own rules and file, beside whichever one the process has."""
    enforcer = Enforcer(conf, policy_file=conf.trove_upgrade.policy_file)
    enforcer.register_defaults(list_rules())
    return enforcer


def changed(enforcer: Enforcer) -> list[str]:
    """Names of ours that a file defines, also those that no rule has.  The
    files must have been read.
    """
    return sorted(name for name in enforcer.file_rules if name.startswith(PREFIX))


def load(enforcer: Enforcer) -> None:
    """Read the files now; each request would meet their faults otherwise.

    :raises PolicyInvalid: one cannot be read, or a rule of ours cannot be understood: oslo.policy
        would let no user in there.
    """
    path = enforcer.conf.find_file(enforcer.policy_file)
    try:
        if path is not None:
            # oslo.policy takes what it cannot read for a file that is not there
            pathlib.Path(path).read_text(encoding='utf-8')
        enforcer.load_rules()
    except cfg.Error as error:
        raise fault.ConfigurationInvalid(found=f'[oslo_policy], {fault.describe(error)}') from error
    except Exception as error:
        # oslo.policy raises what a file's form runs into: TypeError, AttributeError, ...
        raise PolicyInvalid.by(error) from error
    found = enforcer.faults()
    if found:
        raise PolicyInvalid(found='; '.join(found))
    enforcer.serves = True


def get_enforcer() -> Enforcer:
    """Make an enforcer for oslopolicy's command line tools, which configure the global object."""
    # The import stands here because importing policies must not register options
    # (conf/__init__.py).
    from trove_upgrade import conf as our_conf

    our_conf.register_opts(cfg.CONF)
    return new_enforcer(cfg.CONF)
