# SPDX-License-Identifier: Apache-2.0
"""Contents of the files of a rebuilt guest, gathered from Trove's rows, the server and the
operator's template.

The same for the preflight report and for the rebuild itself,
so that what was checked is what is sent.
"""

import dataclasses
import pathlib
from collections.abc import Callable

from trove_upgrade.domain import compute, exceptions, ports
from trove_upgrade.domain.image_archive import ImageArchive
from trove_upgrade.domain.instances import DatastoreVersion
from trove_upgrade.sealing.keys import GuestKey
from trove_upgrade.taskmanager import container_repositories, user_data
from trove_upgrade.taskmanager.contents import Contents
from trove_upgrade.taskmanager.new_guests import NewGuests


def read_text(path: str) -> str:
    """The whole file.  Raises OSError, UnicodeDecodeError."""
    return pathlib.Path(path).read_text('utf-8')


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuestFiles:
    """Renders user data for one server at a time; reads the template at each rebuild, so that a
    change needs no restart.
    """

    instances: ports.InstanceRepository
    datastores: ports.DatastoreRepository
    guest_config_file: str | None  #: Trove's own `guest_config`; None: what the server has is kept
    guest_topic_prefix: str | None  #: where the taskmanagers call our agents
    new_guests: NewGuests  #: for what the server's user data lacks
    read: Callable[[str], str] = read_text

    def render(
        self,
        server: compute.Server,
        instance_id: str,
        version: DatastoreVersion,
        marker: str,
        volume_uuid: str | None = None,
        key: GuestKey | None = None,
        image_archive: ImageArchive | None = None,
    ) -> bytes:
        """User data for the rebuild that `marker` belongs to,
        with the guest's key where it gets one, and what it needs to find on its volume.

        Where the former does not tell the guest which instance it is, what Trove gives a new guest
        is added; where there is none, it is composed.

        :raises StepRefused: the former cannot be read or sent again, the template cannot be read,
        or what is lacking cannot be composed; nothing was changed.
        :raises ComputeUnavailable: Neutron is asked for a NIC, and gives no answer.
        """
        contents = dataclasses.replace(
            self._contents(server, instance_id, version, volume_uuid, key),
            image_archive=image_archive,
        )
        if user_data.is_blank(server.user_data) and server.shows_user_data:
            composed = self.new_guests.user_data(server, instance_id, contents)
            return user_data.render(composed, marker, contents)
        rendered = user_data.render(server.user_data, marker, contents)
        if user_data.tells_guest(rendered):
            return rendered
        injected = self.new_guests.files(server, instance_id, contents)
        return user_data.render(
            server.user_data, marker, dataclasses.replace(contents, injected=injected)
        )

    def _contents(
        self,
        server: compute.Server,
        instance_id: str,
        version: DatastoreVersion,
        volume_uuid: str | None,
        key: GuestKey | None,
    ) -> Contents:
        classes = self.datastores.guest_classes(version.id)
        return Contents(
            datastore_version=version.number,
            datastore_manager=version.manager,
            registry_ext=classes.registry_ext,
            repl_strategy=classes.repl_strategy,
            ssl_mode=self.instances.ssl_mode(instance_id),
            guest_config=self._template(),
            guest_topic_prefix=self.guest_topic_prefix,
            volume_uuid=volume_uuid,
            container_repositories=container_repositories.of_facts(
                self.datastores.target_facts(version.id)
            ),
            lone_nic=server.nic_count == 1,
            guest_key=None if key is None else key.to_file().decode(),
        )

    def _template(self) -> str | None:
        if not self.guest_config_file:
            return None
        try:
            return self.read(self.guest_config_file)
        except (OSError, UnicodeDecodeError) as error:
            raise exceptions.StepRefused(
                f'The user data of the server cannot be made: {self.guest_config_file}, which '
                '[trove_upgrade] guest_config_file names, cannot be read on this taskmanager: '
                f'{error}. Put the file there, or unset the option to keep what the server has.',
                'GUEST_CONFIG_FILE_UNREADABLE',
            ) from error
