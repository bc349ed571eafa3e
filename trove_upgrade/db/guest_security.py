# SPDX-License-Identifier: Apache-2.0
"""Demands of the options of guests' keys on a taskmanager and the database, before anything is
spoken to a guest.
"""

from typing import Protocol

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.conf import guest_keys as options
from trove_upgrade.db import errors
from trove_upgrade.db.guest_key_overview import GuestKeyOverview
from trove_upgrade.sealing.at_rest import Wrapping


class Repositories(Protocol):
    """The one of all repositories that is looked at here."""

    @property
    def guest_key_overview(self) -> GuestKeyOverview:
        """Overview of all guests' keys."""


def wrapping_of(conf: cfg.ConfigOpts) -> Wrapping | None:
    """Return what encrypts guests' keys; None: security is off, or the list is empty.

    :raises EncryptionKeysInvalid: an entry is no key.
    """
    section = conf[our_conf.GROUP]
    entries = section.guest_key_encryption_keys
    if section.guest_rpc_security == options.OFF or not entries:
        return None
    return Wrapping(entries)


def require_list(conf: cfg.ConfigOpts, service: str = 'A taskmanager') -> Wrapping | None:
    """Return what encrypts guests' keys, as a taskmanager needs it; None: security is off.  The
    database is not asked.

    :raises GuestKeysUnset: there is no list, and security is not off.
    :raises EncryptionKeysInvalid: an entry of the list is no key.
    """
    wrapping = wrapping_of(conf)
    if wrapping is None and conf[our_conf.GROUP].guest_rpc_security != options.OFF:
        raise errors.GuestKeysUnset(service=service)
    return wrapping


def require_guest_keys(
    conf: cfg.ConfigOpts,
    repositories: Repositories,
    service: str = 'A taskmanager',
) -> None:
    """Refuse a taskmanager that could not speak to guests; where the list is set, one key is opened
    as a sample.

    :raises GuestKeysUnset: there is no list, and security is not off.
    :raises EncryptionKeysInvalid: an entry of the list is no key.
    :raises KeyUnreadable: the list does not open the newest current key, and security is required.
    :raises GuestKeysInUse: security is off, and a guest has a key.
    """
    wrapping = require_list(conf, service)
    if wrapping is None:
        keyed = repositories.guest_key_overview.first_with_key()
        if keyed is not None:
            raise errors.GuestKeysInUse(service=service, found=f'instance {keyed} has a key')
    elif conf[our_conf.GROUP].guest_rpc_security == options.REQUIRED:
        sample = repositories.guest_key_overview.newest_current()
        if sample is not None:
            wrapping.unwrap(sample.key_id, sample.instance_id, sample.wrapped)
