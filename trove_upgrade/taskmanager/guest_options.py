# SPDX-License-Identifier: Apache-2.0
"""The operator's choices that a guest's datastore driver acts on: which option of ours becomes
which of its own.

Guests have no configuration file of the operator's; what holds for all of them
travels with every call.
"""

from collections.abc import Mapping
from typing import Any

from oslo_config import cfg

#: The driver's name -> ours, where the value travels as it is.
_SAME_VALUE: Mapping[str, str] = {
    'fingerprint_seconds': 'fingerprint_budget_seconds',
    'lock_seconds': 'database_lock_seconds',
    'shutdown_seconds': 'database_shutdown_seconds',
    'allow_replication': 'allow_replication',
    'keep_changed_defaults': 'keep_changed_defaults',
}


def from_conf(options: cfg.ConfigOpts.GroupAttr) -> dict[str, Any]:
    """`GuestCall.options`, from our group of the configuration."""
    chosen = {theirs: options[ours] for theirs, ours in _SAME_VALUE.items()}
    return {**chosen, 'min_free_bytes': options.database_min_free_mb << 20}
