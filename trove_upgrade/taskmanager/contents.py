# SPDX-License-Identifier: Apache-2.0
"""Contents of the files on the root disk of a rebuilt guest, as far as the rebuild decides them."""

import dataclasses
from collections.abc import Sequence

from trove_upgrade.domain.image_archive import ImageArchive
from trove_upgrade.taskmanager.injected_files import InjectedFiles


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """Contents of the next root disk's files.  None: as the former user data has it."""

    datastore_version: str  #: the number: Trove's agent makes the tag of the container image of it
    datastore_manager: str
    registry_ext: str | None = None  #: with the manager in front, as Trove writes it
    repl_strategy: str | None = None
    ssl_mode: str | None = None
    guest_config: str | None = None  #: text of trove-guestagent.conf
    guest_topic_prefix: str | None = None  #: where our agent listens
    volume_uuid: str | None = None  #: the file system that the guest must find again
    #: of the container image on that file system; None: there is none
    image_archive: ImageArchive | None = None
    #: by the facts of the version: what the guest takes container images from besides
    container_repositories: Sequence[str] = ()
    #: text of the file with the guest's key
    guest_key: str | None = dataclasses.field(default=None, repr=False)
    #: where no cloud-config of the former user data writes guest_info.conf; None: nothing is added
    injected: InjectedFiles | None = None
    lone_nic: bool = False  #: the server has one NIC: nothing may take it for the user's alone

    def settings(self) -> dict[str, str]:
        """Return the settings of guest_info.conf by Trove's names."""
        named = {
            'datastore_version': self.datastore_version,
            'datastore_manager': self.datastore_manager,
            'datastore_registry_ext': self.registry_ext,
            'replication_strategy': self.repl_strategy,
            'ssl_mode': self.ssl_mode,
        }
        return {name: value for name, value in named.items() if value is not None}
