# SPDX-License-Identifier: Apache-2.0
"""Options of the guest agent.

`IDENTITY_OPTS` are Trove's own names in `[DEFAULT]` of guest_info.conf.  Only the agent registers
them: in Trove's process they are Trove's.
"""

from oslo_config import cfg

IDENTITY_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'guest_id',
        help=(
            'Id of the instance that this guest is; Trove writes it. '
            'Without it the agent does not start.'
        ),
    ),
    cfg.StrOpt(
        'datastore_manager',
        help='Which driver the agent uses, e.g. mariadb. An unknown one refuses every upgrade.',
    ),
    cfg.StrOpt(
        'datastore_version',
        help='Number of the datastore version; Trove writes it. In a guest that an upgrade has '
        'booted, the container image of that number is brought here at once.',
    ),
    cfg.StrOpt(
        'instance_rpc_encr_key',
        secret=True,
        help="Trove's own key of this guest; Trove writes it. Without a key file of trove-upgrade, "
        'the key for sealed messages is derived from it.',
    ),
    cfg.StrOpt(
        'tenant_id',
        help='Project of the instance; Trove writes it, and the agent only reads past it.',
    ),
]

#: Trove's own names in the group of the datastore manager, and in `[guest_agent]`: which container
#: images there are, and how to get them.
IMAGE_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'docker_image',
        help=(
            'Repository of the container images of the database; the tag is the number of the '
            'datastore version.'
        ),
    ),
    cfg.StrOpt(
        'backup_docker_image',
        help="Repository of the container images that Trove's agent makes backups with; the checks "
        'look for the one of the target.',
    ),
]
REGISTRY_GROUP = 'guest_agent'
REGISTRY_OPTS: list[cfg.Opt] = [
    cfg.StrOpt('container_registry', help='Address of the registry to log in to.'),
    cfg.StrOpt('container_registry_username', help='User there.'),
    cfg.StrOpt('container_registry_password', secret=True, help='Password there.'),
]

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'upgrade_marker',
        default=None,
        help='Marker of the upgrade that booted this guest, "<upgrade id>:<rebuild attempt>". User '
        'data writes it; never set it by hand: the taskmanager would take this guest for '
        'one that it has rebuilt.',
    ),
    cfg.StrOpt(
        'upgrade_volume_uuid',
        default=None,
        help='UUID of the file system that the guest had before its rebuild. User data writes it '
        'beside the marker, so that nothing takes another disk for the volume of the database; '
        'never set it by hand.',
    ),
    cfg.StrOpt(
        'upgrade_image_archive',
        default=None,
        help='Container image that the former guest has put onto the volume: sha256 and size of '
        'its archive, and the id of the image. User data writes it beside the marker; never set it '
        'by hand.',
    ),
    cfg.ListOpt(
        'container_repositories',
        default=[],
        help='Repositories of container images that this guest runs its database from besides '
        'docker_image, such as registry.example/team/mariadb; without tags. One that is missing '
        'here refuses the upgrades to versions whose fact container_image names it. An image of '
        'each of them gets the data: name only your own.',
    ),
    cfg.ListOpt(
        'upgrade_container_repositories',
        default=[],
        help='Those of the datastore versions of the upgrade that booted this guest. User data '
        'writes it beside the marker; never set it by hand: the next rebuild writes it anew.',
    ),
    cfg.FloatOpt(
        'guest_join_seconds',
        default=2.0,
        min=0.0,
        max=10.0,
        help='Seconds that a call waits for its job in the guest before it answers RUNNING. Must '
        'be well below guest_call_timeout of the taskmanagers, or their calls time out; '
        '0 makes more calls.',
    ),
    cfg.IntOpt(
        'stash_keep_hours',
        default=72,
        min=0,
        max=8760,
        help='Hours after a completed upgrade until the guest removes the stash from the volume. '
        'Until then a guest whose root disk is lost again can be restored; the stash holds secrets '
        'and takes a few megabytes. 0 removes it at once.',
    ),
    cfg.IntOpt(
        'volume_wait_seconds',
        default=60,
        min=0,
        max=3600,
        help='Seconds to wait for the volume to be attached to a rebuilt guest. Too low: an '
        'upgrade fails where a retry would have succeeded. '
        'Too high: a missing volume is found late.',
    ),
    cfg.FloatOpt(
        'processors_awake_seconds',
        default=60.0,
        min=0.0,
        max=600.0,
        help="Longest time, in seconds, of a request to the guest's kernel that no processor "
        'sleeps. The agent makes one from the fingerprint before the stop to the unmount; on a new '
        'root disk one each for the load of the image, the pull and the restore; and one for the '
        'start of a former server. Waking a processor up takes long in a virtual machine. The '
        'guest looks busy to its host meanwhile. A kernel that cannot idle awake is as before. '
        '0: no request.',
    ),
    cfg.StrOpt(
        'volume_mount_options',
        default='noatime,nodev,nosuid',
        help='Mount options of the volume, also written to fstab (with nofail). Wrong ones make '
        'the guest lose its volume at the next boot.',
    ),
    cfg.IntOpt(
        'volume_margin_mb',
        default=64,
        min=0,
        max=1048576,
        help='Megabytes that must be free on the volume beyond what the stash needs; what the '
        "upgrade of the data needs is the datastore driver's own check. Too low: an upgrade fails "
        'half way for want of space. Too high: full volumes cannot be upgraded.',
    ),
    cfg.StrOpt(
        'database_runtime',
        default='auto',
        choices=[
            (
                'auto',
                (
                    'As the guest image says; else a container where an engine is installed and no '
                    'database as a service.'
                ),
            ),
            ('service', 'A service of the guest runs the database server.'),
            ('container', 'Trove\'s container "database" is the database server.'),
        ],
        help=(
            'Where the database server of this guest runs. A wrong value makes every upgrade be '
            'refused: the server is not found.'
        ),
    ),
    cfg.ListOpt(
        'trove_agent_services',
        default=['guest-agent', 'trove-guestagent', 'trove-guest'],
        help="Names that the service of Trove's own agent can have in this guest; those that exist "
        'are stopped while an upgrade has the database in hand, and not started by a boot. If its '
        'name is missing here, the two agents fight over the database. The bridge writes the names '
        'that it has found in an old guest.',
    ),
    cfg.StrOpt(
        'trove_agent_topic_prefix',
        default='guestagent.',
        help="Topic of Trove's own agent, before the instance's id. What is sent there during an "
        "upgrade is refused, so that Trove's agent does not do it later. Not used where it equals "
        'guest_topic_prefix: then there is no other agent.',
    ),
    cfg.StrOpt(
        'trove_agent_program',
        default='/opt/guest-agent-venv/bin/trove-guestagent',
        help="Trove's own agent in this guest; its interpreter tells Trove's conductor at the end "
        'of an upgrade that the database is healthy. If it is not there, Trove hears of it from '
        'its agent, up to two minutes later.',
    ),
    cfg.FloatOpt(
        'heartbeat_interval',
        default=1.0,
        min=0.1,
        max=60.0,
        help='Seconds between heartbeats right after boot and at the start of an upgrade; they '
        'become rarer by themselves, and end when there is no upgrade. Too high: an upgrade waits '
        'for them. Too low: traffic.',
    ),
]
