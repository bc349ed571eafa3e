# SPDX-License-Identifier: Apache-2.0
"""Files that Trove puts onto the root disk of a new guest, as entries of `write_files`."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from trove_upgrade.domain.cloud_init import write_files

#: What makes Trove's agent take a NIC for the user's alone, and Docker do without a bridge.
#: Source: trove/common/constants.py.
ETH1_PATH = '/etc/trove/eth1.json'
DOCKER_PATH = '/etc/docker/daemon.json'
CONTROLLER_PATH = '/etc/trove/controller.conf'


@dataclasses.dataclass(frozen=True)
class File:
    """One file.  Its text may hold an account or a key."""

    path: str
    text: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class InjectedFiles:
    """All of them, and their owner in cloud-init's form."""

    owner: str
    files: Sequence[File]

    def entries(self) -> list[dict[str, Any]]:
        """Return entries that their owner alone can read."""
        return [write_files.created(file.path, file.text, self.owner) for file in self.files]
