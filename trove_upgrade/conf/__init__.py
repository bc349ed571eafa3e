# SPDX-License-Identifier: Apache-2.0
"""Our options, all in `[trove_upgrade]`.  One module per reader; nothing is read at import."""
from oslo_config import cfg

from trove_upgrade.conf import api, compute, database, guestagent, messaging, taskmanager

GROUP = 'trove_upgrade'
_MODULES = (api, compute, database, guestagent, messaging, taskmanager)


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register every option of ours.  Safe to call twice."""
    for module in _MODULES:
        conf.register_opts(module.OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [(GROUP, [opt for module in _MODULES for opt in module.OPTS]), (compute.CREDENTIALS_GROUP, compute.CREDENTIALS_OPTS)]


def set_defaults() -> None:
    """For oslo-config-generator: we change no other library's defaults."""
