# SPDX-License-Identifier: Apache-2.0
"""User data as Trove gives it to a new server, for one that has none.

Servers of an old Trove got their files by Nova's injection, which a rebuild does not repeat.  What
is composed here boots the target image as that of a new instance; the marker and what else a
rebuild adds comes by `user_data.render`, as with any other.  Pure: text in, text out.

Source: trove/instance/models.py, get_injected_files, prepare_cloud_config and
combine_cloudinit_userdata (Trove 26).
"""

import dataclasses
import json
import posixpath
from collections.abc import Sequence
from typing import Any

from trove_upgrade.domain.cloud_init import documents, kinds, write_files
from trove_upgrade.domain.user_nics import UserNic
from trove_upgrade.taskmanager import injected_files, plain_values
from trove_upgrade.taskmanager.agent_options import GUEST_CONFIG_NAME
from trove_upgrade.taskmanager.contents import Contents
from trove_upgrade.taskmanager.injected_files import File, InjectedFiles


class CloudConfigUnusable(ValueError):
    """The operator's cloud-config for a datastore cannot be merged."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Trove's own options that decide on the files of a new guest."""

    directory: str  #: injected_config_location
    owner: str  #: injected_config_owner
    group: str  #: injected_config_group
    guest_info: str  #: a name in the directory, or a whole path
    network_isolation: bool
    bridge_network: str | None = None  #: docker_bridge_network_ip
    insecure_registries: Sequence[str] = ()
    controller_address: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guest:
    """Facts of one instance that its row and its server tell."""

    instance_id: str
    project_id: str
    #: what Trove and its agent seal their messages with; None: Trove's row has none
    rpc_key: str | None = dataclasses.field(default=None, repr=False)
    #: the NIC that isolation gives to the database alone; None: there is none beside Trove's own
    user_nic: UserNic | None = None


def files(settings: Settings, guest: Guest, contents: Contents) -> InjectedFiles:
    """Return the files that Trove would give this guest now, as an instance of that version.

    `contents.guest_config` is the text of trove-guestagent.conf; without one there is no such file.

    :raises StepRefused: USER_DATA_VALUE_INVALID; a value would be more than one line.
    """
    info = _guest_info(settings, guest, contents)
    plain_values.require({**info, 'injected_config_owner': settings.owner})
    plain_values.require({'injected_config_group': settings.group})
    plain_values.require({'controller_address': settings.controller_address})
    text = ''.join(f'{name}={value}\n' for name, value in info.items())
    found = [File(posixpath.join(settings.directory, settings.guest_info), f'[DEFAULT]\n{text}')]
    if contents.guest_config is not None:
        path = posixpath.join(settings.directory, GUEST_CONFIG_NAME)
        found.append(File(path, contents.guest_config))
    if settings.controller_address:
        address = f'CONTROLLER={settings.controller_address}'
        found.append(File(injected_files.CONTROLLER_PATH, address))
    nic = guest.user_nic if settings.network_isolation else None
    if nic is not None:
        found.append(File(injected_files.ETH1_PATH, nic.as_json()))
    docker = _docker(settings, is_isolated=nic is not None)
    if docker:
        found.append(File(injected_files.DOCKER_PATH, json.dumps(docker)))
    return InjectedFiles(f'{settings.owner}:{settings.group}', found)


def compose(injected: InjectedFiles, cloud_config: str | None) -> bytes:
    """Return cloud-config that writes these files, merged with the operator's own for the
    datastore.

    `cloud_config` is the text of MANAGER.cloudinit.  Its files come after Trove's, and so win.

    :raises CloudConfigUnusable: it is none that cloud-init would take.
    """
    document: dict[Any, Any] = {}
    theirs: list[dict[str, Any]] = []
    if cloud_config is not None:
        kind = kinds.by_content(cloud_config.encode())
        if kind not in {None, kinds.Kind.CLOUD_CONFIG}:
            raise CloudConfigUnusable(f'its first line makes it {kind}, and no cloud-config')
        try:
            document = documents.load(cloud_config.encode())
            theirs = documents.entries_of(document)
        except (documents.DocumentUnreadable, write_files.EntryUnreadable) as error:
            raise CloudConfigUnusable(str(error)) from error
    return documents.dump({**document, 'write_files': [*injected.entries(), *theirs]})


def _guest_info(settings: Settings, guest: Guest, contents: Contents) -> dict[str, str]:
    """Return its settings in Trove's order; those that this Trove has not are left out."""
    versions = contents.settings()
    info = {
        'guest_id': guest.instance_id,
        'datastore_manager': versions.pop('datastore_manager'),
        'datastore_version': versions.pop('datastore_version'),
        'tenant_id': guest.project_id,
        **versions,
        'network_isolation': str(settings.network_isolation),
    }
    return info if guest.rpc_key is None else {**info, 'instance_rpc_encr_key': guest.rpc_key}


def _docker(settings: Settings, *, is_isolated: bool) -> dict[str, Any]:
    """Return the settings of Docker; empty where Trove has none for it."""
    found: dict[str, Any] = {}
    if is_isolated:
        found = {'bridge': 'none', 'ip-forward': False, 'iptables': False}
    elif settings.bridge_network:
        found = {'bip': settings.bridge_network}
    if settings.insecure_registries:
        found['insecure-registries'] = list(settings.insecure_registries)
    return found
