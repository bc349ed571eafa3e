# SPDX-License-Identifier: Apache-2.0
"""Options of Trove's own that decide on the files of a new guest.  A taskmanager composes user data
by them for a server that has none.

Source: trove/common/cfg.py (Trove 26).
"""

from oslo_config import cfg

NETWORK_GROUP = 'network'

TROVES_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'injected_config_location',
        default='/etc/trove/conf.d',
        help="Trove's own option: directory of guest_info.conf and trove-guestagent.conf in a "
        'guest. Read for servers without user data.',
    ),
    cfg.StrOpt(
        'injected_config_owner',
        default='ubuntu',
        help="Trove's own option: user in a guest that the files of Trove's agent belong to. Read "
        'for servers without user data. The image must have this user: cloud-init stops at '
        'the first file whose owner it does not know.',
    ),
    cfg.StrOpt(
        'injected_config_group',
        default='root',
        help="Trove's own option: group of the same files.",
    ),
    cfg.StrOpt(
        'guest_info',
        default='guest_info.conf',
        help="Trove's own option: name, or whole path, of guest_info.conf in a guest. Read for "
        'servers without user data.',
    ),
    cfg.StrOpt(
        'cloudinit_location',
        default='/etc/trove/cloudinit',
        help="Trove's own option: directory with a file MANAGER.cloudinit, on each taskmanager. "
        'Its cloud-config is merged into user data that is composed.',
    ),
    cfg.StrOpt(
        'controller_address',
        help="Trove's own option: address in /etc/trove/controller.conf of a guest.",
    ),
    cfg.StrOpt(
        'docker_bridge_network_ip',
        help="Trove's own option: network of Docker's bridge in a guest.",
    ),
    cfg.ListOpt(
        'docker_insecure_registries',
        default=[],
        help="Trove's own option: registries that Docker in a guest speaks to without TLS.",
    ),
]

NETWORK_OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        'network_isolation',
        default=True,
        help="Trove's own option: the NIC of the user's network is given to the database's "
        'container alone. Read for servers without user data; it takes effect where a server '
        'has several NICs, and a port that Trove has made.',
    ),
]


def register_troves(conf: cfg.ConfigOpts) -> None:
    """Register them; where Trove runs in the same process its own ones stand."""
    for group, opts in ((None, TROVES_OPTS), (NETWORK_GROUP, NETWORK_OPTS)):
        for opt in opts:
            try:
                conf.register_opt(opt, group=group)
            except cfg.DuplicateOptError:
                continue
