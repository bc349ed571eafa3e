# SPDX-License-Identifier: Apache-2.0
"""The check that each option of ours can be read, and that none of them makes outages long.

oslo.config looks at a value when it is asked for it: a service that needs it ends there, and no
other check may have asked.
"""

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from trove_upgrade import conf as our_conf
from trove_upgrade.cmd.status.results import failure, success, warning
from trove_upgrade.conf import compute, fault

#: The default: another host takes over within 30 s with it.
_LONGEST_LEASE_SECONDS = 15.0


def check(conf: cfg.ConfigOpts) -> upgradecheck.Result:
    """Read them all; each that cannot be read is named, without its value."""
    our_conf.register_opts(conf)
    compute.register_credentials(conf)
    options = [(group, opt) for group, opts in our_conf.list_opts() for opt in opts]
    wrong = [found for group, opt in options if (found := _fault(conf, group, opt)) is not None]
    if wrong:
        return failure(
            f'Of the options of trove-upgrade {len(wrong)} cannot be read: {"; ".join(wrong)}. A '
            'service that needs one does not start, or fails at its first use. The reference of '
            'the configuration has the form of each.'
        )
    lease_seconds = conf[our_conf.GROUP].lease_seconds
    if lease_seconds > _LONGEST_LEASE_SECONDS:
        return warning(
            f'[trove_upgrade] lease_seconds is {lease_seconds:g}: the upgrades of a taskmanager '
            'whose host dies wait that long, with their databases down. Remove the option, unless '
            'the database answers late by nature.'
        )
    return success(f'Each of the {len(options)} options of trove-upgrade can be read.')


def _fault(conf: cfg.ConfigOpts, group: str | None, opt: cfg.Opt) -> str | None:
    try:
        (conf if group is None else conf[group])[opt.dest]
    except cfg.Error as error:
        return f'[{group or "DEFAULT"}] {opt.name} ({fault.describe(error)})'
    return None
