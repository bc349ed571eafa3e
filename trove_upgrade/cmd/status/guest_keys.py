# SPDX-License-Identifier: Apache-2.0
"""The check of guests' keys: which guests are spoken to unsealed, and what keeps keys from being
made or read.
"""

from collections.abc import Sequence

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from trove_upgrade import conf as our_conf
from trove_upgrade.cmd.status.results import failure, success, warning
from trove_upgrade.conf import guest_keys as options
from trove_upgrade.db import errors, guest_security
from trove_upgrade.db.migrations import gate
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.db.services import TASKMANAGER
from trove_upgrade.domain import exceptions
from trove_upgrade.sealing.at_rest import Wrapping

#: Ids that the check names.
_NAMED = 20


def check(
    conf: cfg.ConfigOpts, repositories: Repositories, releases: Sequence[str], release: str
) -> upgradecheck.Result:
    """Raises as the database does."""
    try:
        guest_security.require_guest_keys(conf, repositories)
    except errors.GuestKeysUnset as error:
        return warning(
            f'{error.message} Where this is the configuration of an API alone, it needs none.'
        )
    except exceptions.TroveUpgradeError as error:
        return failure(error.message)
    security = conf[our_conf.GROUP].guest_rpc_security
    if security == options.OFF:
        return warning(
            '[trove_upgrade] guest_rpc_security is off: no message to or from a guest is sealed. '
            'Set it to required.'
        )
    sealed, unsealed, dropped = 0, [], 0
    for one in repositories.guest_key_overview.instances():
        sealed += one.sealed
        dropped += one.dropped
        if not one.sealed:
            unsealed.append(one.instance_id)
    found = [f'Guests that are spoken to sealed: {sealed}, unsealed: {len(unsealed)}']
    if unsealed:
        more = f' and {len(unsealed) - _NAMED} more' if len(unsealed) > _NAMED else ''
        found.append(
            'unsealed until their next upgrade, or "trove-upgrade-manage guest-key mint": '
            f'{", ".join(unsealed[:_NAMED])}{more}'
        )
    if dropped:
        found.append(f'messages that were dropped so far: {dropped}')
    remedies = _remedies(conf, repositories, releases, release)
    text = f'{"; ".join(found)}.'
    return warning(' '.join([text, *remedies])) if remedies else success(text)


def _remedies(
    conf: cfg.ConfigOpts, repositories: Repositories, releases: Sequence[str], release: str
) -> list[str]:
    found = []
    if conf[our_conf.GROUP].guest_rpc_security == options.PREFERRED:
        found.append(
            '[trove_upgrade] guest_rpc_security is preferred, which lets a message that is not '
            'sealed count: set it to required when no guest needs this.'
        )
    if not repositories.guest_keys.mints():
        found.append(
            f"No key can be made: the tables of guests' keys are missing. {errors.EXPAND_TABLES}."
        )
    wrapping = guest_security.wrapping_of(conf)
    if wrapping is not None:
        found += _remedies_of_stored_keys(wrapping, repositories)
    at_work = [one for one in repositories.services.list() if one.binary == TASKMANAGER]
    older_ones = gate.older_services(at_work, release, releases)
    hosts = sorted({one.service.host for one in older_ones})
    if hosts:
        found.append(
            f'Taskmanagers of an earlier release run on {", ".join(hosts)}: no key is made until '
            'they are gone.'
        )
    return found


def _remedies_of_stored_keys(wrapping: Wrapping, repositories: Repositories) -> list[str]:
    found = []
    older, unreadable = 0, []
    for one in repositories.guest_key_overview.stored():
        if wrapping.opens(one.key_id, one.instance_id, one.wrapped):
            older += not wrapping.is_newest(one.wrapped)
        else:
            unreadable.append(one.instance_id)
    if unreadable:
        found.append(
            'Keys that no entry of guest_key_encryption_keys of this host opens: '
            f'{len(unreadable)}, the first of instance {min(unreadable)}. Compare the list '
            'with that of the other taskmanagers.'
        )
    if older:
        found.append(
            f'Keys that are not under the first entry of guest_key_encryption_keys: {older}. '
            'Run "trove-upgrade-manage guest-key rotate" before an entry is taken away.'
        )
    return found
