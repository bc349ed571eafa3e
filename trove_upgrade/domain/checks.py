# SPDX-License-Identifier: Apache-2.0
"""Preflight rules: what an instance, its server, an image and Nova itself must be like before an
upgrade may begin.

Pure functions over what Nova, Glance and Trove describe; what the guest checks by itself is not
here.  A message says what could not be done, what was found, and what to do next; codes are stable.
"""

from collections.abc import Sequence

from trove_upgrade.domain import compute, instances, versions
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.compute import ServerStatus
from trove_upgrade.domain.upgrade_checks import CheckResult

#: From here on Nova re-images a root disk that is a volume.  Source: Nova api-ref,
#: microversion 2.93.
VOLUME_BACKED_SINCE = (2, 93)

_GB = 1 << 30

Results = list[CheckResult]


def ok(name: str, message: str) -> CheckResult:
    """Make the result of a check that holds."""
    return CheckResult.ok(name, message)


def refused(name: str, message: str, code: str) -> CheckResult:
    """A check that forbids the upgrade."""
    return CheckResult.refused(name, message, code)


def unknown(name: str, message: str, code: str) -> CheckResult:
    """A check that could not be made."""
    return CheckResult.unknown(name, message, code)


def check_instance(instance: instances.Instance, expected: instances.Task) -> Results:
    """The instance's own row.  `expected` is NONE before an upgrade, UPGRADING inside one."""
    cannot = f'Instance {instance.id} cannot be upgraded'
    results: Results = [_task_of_instance(instance, expected, cannot)]
    if instance.server_id is None:
        results.append(
            refused(
                'instance_server',
                f'{cannot}: it has no server. Restore it from a backup.',
                Code.SERVER_NOT_FOUND,
            )
        )
    if instance.cluster_id is not None:
        results.append(
            refused(
                'instance_cluster',
                f'{cannot}: it is a member of cluster {instance.cluster_id}, and members of a '
                'cluster are not upgraded one by one. Upgrade the cluster.',
                'INSTANCE_IN_CLUSTER',
            )
        )
    if instance.backup_running:
        results.append(
            refused(
                'backup',
                f'{cannot}: a backup of it is running. Wait until it has ended.',
                Code.BACKUP_RUNNING,
            )
        )
    else:
        results.append(ok('backup', 'No backup is running.'))
    return results


def _task_of_instance(
    instance: instances.Instance, expected: instances.Task, cannot: str
) -> CheckResult:
    if instance.task is expected:
        return ok('instance_task', 'No other task holds the instance.')
    return refused(
        'instance_task',
        f'{cannot}: its task is {instance.task.name}, expected {expected.name}. '
        'Wait until it has ended.',
        Code.INSTANCE_BUSY,
    )


def check_version(
    former: instances.DatastoreVersion, target: instances.DatastoreVersion, rules: versions.Rules
) -> Results:
    """Check that the target may follow, by the API's rules again."""
    verdict = rules.between(former, target)
    if verdict.allowed:
        return [ok('version', f'{target.name} may follow {former.name}: {verdict.reason}.')]
    return [
        refused(
            'version',
            f'{former.datastore_name} {former.name} cannot be upgraded to {target.name}: '
            f'{verdict.reason}. Choose one of the upgrade targets of the instance.',
            str(verdict.code),
        )
    ]


def check_configuration_group(
    instance: instances.Instance,
    configured: Sequence[str],
    target: instances.DatastoreVersion,
    known: Sequence[str],
) -> Results:
    """Check that all that the instance's configuration group sets is among the target's parameters,
    as Trove has them loaded.

    `configured` and `known` are names; dashes and underscores mean the same to every server.  An
    instance without a group has no such check, and a target without loaded parameters can say
    nothing: the guest still compares with the facts of its image.
    """
    name = 'configuration_group'
    if instance.configuration_id is None:
        return []
    if not known:
        message = (
            f'Configuration group {instance.configuration_id} of instance {instance.id} cannot be '
            f'compared with {target.name}: no configuration parameters are loaded for that '
            'version. Load them with trove-upgrade-manage db_load_datastore_config_parameters.'
        )
        return [CheckResult.warning(name, message, 'CONFIGURATION_PARAMETERS_NOT_LOADED')]
    missing = _unknown_parameters(configured, known)
    if missing:
        return [
            refused(
                name,
                f'Instance {instance.id} cannot be upgraded to {target.name}: its configuration '
                f'group {instance.configuration_id} sets {", ".join(missing)}, which {target.name} '
                'does not have. Take them out of the group, or detach it, and upgrade again.',
                'CONFIGURATION_PARAMETER_UNKNOWN',
            )
        ]
    return [
        ok(name, f'{target.name} has all {len(configured)} parameters of the configuration group.')
    ]


def _unknown_parameters(configured: Sequence[str], known: Sequence[str]) -> list[str]:
    there = {_plain(parameter) for parameter in known}
    return sorted(parameter for parameter in configured if _plain(parameter) not in there)


def check_server(description: compute.ServerDescription) -> Results:
    """Check for what Nova refuses to rebuild: a server that is not ACTIVE, is locked or busy, or is
    on a host that is down.
    """
    server = description.server
    cannot = f'Server {server.id} cannot be rebuilt'
    results = [_status_of(server, cannot)]
    if server.task_state is not None:
        results.append(
            refused(
                'server_task',
                f'{cannot}: its task is {server.task_state}. Wait until it has ended.',
                Code.SERVER_BUSY,
            )
        )
    if server.locked:
        results.append(
            refused(
                'server_unlocked', f'{cannot}: it is locked. Unlock it in Nova.', 'SERVER_LOCKED'
            )
        )
    results.append(_compute_of_server(description, cannot))
    return results


def _status_of(server: compute.Server, cannot: str) -> CheckResult:
    name, is_now = 'server_active', f'{cannot}: its status is {server.status}'
    if server.status == ServerStatus.ACTIVE:
        return ok(name, 'The server is ACTIVE.')
    if server.status in compute.PASSING:
        return refused(name, f'{is_now}. Wait until it is ACTIVE.', Code.SERVER_BUSY)
    return refused(name, f'{is_now}. Bring it to ACTIVE first.', 'SERVER_NOT_ACTIVE')


def _compute_of_server(description: compute.ServerDescription, cannot: str) -> CheckResult:
    server = description.server
    if description.compute_up is None:
        return CheckResult.warning(
            'compute_up',
            f'Whether the host of server {server.id} is up cannot be asked: Nova does not show it '
            'to the service user. See that it is up before you upgrade, or give the service user '
            'the policy os_compute_api:servers:show:host_status.',
            'COMPUTE_STATE_HIDDEN',
        )
    if not description.compute_up:
        return refused(
            'compute_up',
            f'{cannot}: nova-compute on its host {server.host} is down. Bring it up.',
            'COMPUTE_DOWN',
        )
    return ok('compute_up', 'The host of the server is up.')


def check_root(description: compute.ServerDescription) -> Results:
    """A root disk that is a volume needs a Nova that can re-image it."""
    if not description.server.volume_backed or description.max_microversion >= VOLUME_BACKED_SINCE:
        return [ok('root_disk', 'Nova can replace the root disk.')]
    return [
        refused(
            'root_disk',
            f'Server {description.server.id} cannot be rebuilt: its root disk is a volume, and '
            f'this Nova has microversion {_dotted(description.max_microversion)}, 2.93 is needed. '
            'Upgrade Nova, or move the instance.',
            'VOLUME_BACKED_ROOT',
        )
    ]


def check_metadata(description: compute.ServerDescription) -> Results:
    """Our marker is one more entry of the server's metadata."""
    entries = len({**description.server.metadata, compute.MARKER_KEY: ''})
    if description.metadata_quota is not None and entries > description.metadata_quota:
        return [
            refused(
                'metadata_quota',
                f'Server {description.server.id} cannot be rebuilt: it would have {entries} '
                'metadata entries, and the quota of the service project is '
                f'{description.metadata_quota}. Raise it or remove an entry.',
                'METADATA_QUOTA',
            )
        ]
    return [ok('metadata_quota', 'One more metadata entry fits the quota.')]


def check_image(image: compute.Image, server: compute.Server) -> Results:
    """The image is there, and fits the server's flavor."""
    cannot = f'Image {image.id} cannot be used for server {server.id}'
    if image.status != 'active':
        return [
            refused(
                'image_active',
                (
                    f'{cannot}: its status is {image.status}. Upload it, or register the version '
                    'with another one.'
                ),
                'IMAGE_NOT_ACTIVE',
            )
        ]
    results: Results = [ok('image_active', f'Image {image.name or image.id} is active.')]
    if image.min_ram_mb > server.flavor_ram_mb:
        results.append(
            refused(
                'image_ram',
                f'{cannot}: it needs {image.min_ram_mb} MB of memory and the flavor has '
                f'{server.flavor_ram_mb}. Resize the instance first.',
                'IMAGE_NEEDS_RAM',
            )
        )
    # A flavor of 0 GB means "as large as the image"; a volume has a size of its own.
    if not server.volume_backed and server.flavor_disk_gb > 0:
        needed = max(image.min_disk_gb, -(-image.size_bytes // _GB))
        if needed > server.flavor_disk_gb:
            results.append(
                refused(
                    'image_disk',
                    f'{cannot}: it needs {needed} GB of root disk and the flavor has '
                    f'{server.flavor_disk_gb}. Resize the instance first.',
                    'IMAGE_NEEDS_DISK',
                )
            )
    if len(results) == 1:
        results.append(ok('image_fits', 'The image fits the flavor.'))
    return results


def _plain(parameter: str) -> str:
    return parameter.strip().lower().replace('-', '_')


def _dotted(version: tuple[int, int]) -> str:
    return f'{version[0]}.{version[1]}'
