# SPDX-License-Identifier: Apache-2.0
"""The operator's choices that a guest's datastore driver acts on: which option of ours becomes
which of its own.

Guests have no configuration file of the operator's; what holds for all of them
travels with every call.
"""

from oslo_config import cfg

from trove_upgrade.domain.guest_options import GuestOptions


def from_conf(options: cfg.ConfigOpts.GroupAttr) -> GuestOptions:
    """Options of calls, from our group of the configuration."""
    return GuestOptions(
        allow_replication=options.allow_replication,
        keep_changed_defaults=options.keep_changed_defaults,
        lock_seconds=options.database_lock_seconds,
        fingerprint_seconds=options.fingerprint_budget_seconds,
        shutdown_seconds=options.database_shutdown_seconds,
        min_free_bytes=options.database_min_free_mb << 20,
        carry_image=options.carry_container_image,
    )
