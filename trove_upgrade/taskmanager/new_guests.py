# SPDX-License-Identifier: Apache-2.0
"""Files that Trove gives a server which it makes anew, gathered for one whose user data does not
tell its guest which instance it is.
"""

import dataclasses
import posixpath
from collections.abc import Callable

from trove_upgrade.domain import compute, exceptions, network, ports, troves_keys, user_nics
from trove_upgrade.domain.cloud_init import limits
from trove_upgrade.taskmanager import composed_user_data
from trove_upgrade.taskmanager.composed_user_data import Settings
from trove_upgrade.taskmanager.contents import Contents
from trove_upgrade.taskmanager.injected_files import InjectedFiles


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewGuests:
    """Reads Trove's rows, Neutron and the operator's files; at each rebuild anew."""

    instances: ports.InstanceRepository
    settings: Settings
    cloudinit_directory: str  #: of MANAGER.cloudinit
    read: Callable[[str], str]
    keys: troves_keys.TrovesKeys | None = None  #: None: no instance has one
    nics: user_nics.UserNics | None = None  #: None: no NIC is given to the database alone

    def files(self, server: compute.Server, instance_id: str, contents: Contents) -> InjectedFiles:
        """Return its files.

        :raises StepRefused: they cannot be composed; nothing was changed.
        :raises ComputeUnavailable: Neutron gives no answer; ask again later.
        """
        if contents.guest_config is None:
            raise exceptions.StepRefused(
                f'The user data of server {server.id} cannot be sent again with a rebuild: it has '
                'none that tells the guest which instance it is, and none can be composed, as '
                '[trove_upgrade] guest_config_file is not set. Set it to the file that Trove '
                'gives to new guests (guest_config of trove.conf), on every taskmanager.',
                'USER_DATA_MISSING',
            )
        guest = composed_user_data.Guest(
            instance_id=instance_id,
            project_id=self._project_of(instance_id),
            rpc_key=self._rpc_key(instance_id),
            user_nic=self._user_nic(server, instance_id),
        )
        return composed_user_data.files(self.settings, guest, contents)

    def user_data(self, server: compute.Server, instance_id: str, contents: Contents) -> bytes:
        """Return a whole user data.  Raises as `files`."""
        injected = self.files(server, instance_id, contents)
        path = posixpath.join(self.cloudinit_directory, f'{contents.datastore_manager}.cloudinit')
        try:
            return composed_user_data.compose(injected, self._text(path))
        except (
            OSError,
            UnicodeDecodeError,
            composed_user_data.CloudConfigUnusable,
            limits.BeyondLimits,
        ) as error:
            raise exceptions.StepRefused(
                f'The user data of server {server.id} cannot be composed: {path} cannot be merged '
                f'on this taskmanager: {error}. It is the file of [DEFAULT] cloudinit_location '
                'that new servers get, too: mend it, or take it away.',
                'CLOUDINIT_FILE_UNREADABLE',
            ) from error

    def _text(self, path: str) -> str | None:
        try:
            return self.read(path)
        except FileNotFoundError:
            return None

    def _project_of(self, instance_id: str) -> str:
        try:
            return self.instances.get(instance_id).project_id
        except exceptions.InstanceNotFound as error:  # it was deleted meanwhile
            raise exceptions.StepRefused(error.message, error.code) from error

    def _rpc_key(self, instance_id: str) -> str | None:
        if self.keys is None:
            return None
        try:
            return self.keys.rpc_key(instance_id)
        except troves_keys.TrovesKeyUnreadable as error:
            raise exceptions.StepRefused(error.message, error.code) from error

    def _user_nic(self, server: compute.Server, instance_id: str) -> user_nics.UserNic | None:
        if self.nics is None or not self.settings.network_isolation or server.nic_count == 1:
            return None
        name = user_nics.port_name(instance_id)
        try:
            return self.nics.user_nic(server, name)
        except network.NetworkUnavailable as error:
            raise exceptions.ComputeUnavailable(
                what=f'the NICs of server {server.id}', found=error.message
            ) from error
        except (network.NetworkRefused, network.PortsNotShown) as error:
            raise exceptions.StepRefused(error.message, error.code) from error
