# SPDX-License-Identifier: Apache-2.0
"""Our options, all in `[trove_upgrade]`, and those of Trove's that we read.  One module per reader;
nothing is read at import.
"""

from oslo_config import cfg

from trove_upgrade.conf import (
    api,
    bridge,
    compute,
    database,
    guest_keys,
    guestagent,
    messaging,
    metrics,
    new_guests,
    taskmanager,
)

GROUP = 'trove_upgrade'
_MODULES = (
    api,
    bridge,
    compute,
    database,
    guest_keys,
    guestagent,
    messaging,
    metrics,
    taskmanager,
)


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register every option of ours.  Safe to call twice."""
    for module in _MODULES:
        conf.register_opts(module.OPTS, group=GROUP)
    guest_keys.register_troves(conf)
    new_guests.register_troves(conf)


def of_same_files(conf: cfg.ConfigOpts) -> cfg.ConfigOpts:
    """Return a configuration of our own from the files that another one was read from.

    For options that must not be registered in that of a program which is not ours.

    :raises oslo_config.cfg.Error: the files cannot be read any more.
    """
    own = cfg.ConfigOpts()
    own(
        [],
        project=conf.project,
        default_config_files=list(conf.config_file or ()),
        default_config_dirs=list(conf.config_dir or ()),
    )
    register_opts(own)
    return own


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return all options by group, as oslo-config-generator wants them."""
    return [
        (GROUP, [opt for module in _MODULES for opt in module.OPTS]),
        (compute.CREDENTIALS_GROUP, compute.CREDENTIALS_OPTS),
        (None, [*guest_keys.TROVES_OPTS, *new_guests.TROVES_OPTS]),
        (new_guests.NETWORK_GROUP, new_guests.NETWORK_OPTS),
    ]


def set_defaults() -> None:
    """Change no other library's defaults; oslo-config-generator looks for this function."""
