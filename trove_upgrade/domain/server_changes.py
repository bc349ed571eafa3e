# SPDX-License-Identifier: Apache-2.0
"""Servers that Nova has changed of late, by one look at all: a hint which server to read now, and
nothing to act on.
"""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

from trove_upgrade.domain import compute

#: Of a server whose rebuild is under way, as Nova names it.
_REBUILDING = 'REBUILD'


@dataclasses.dataclass(frozen=True)
class Glance:
    """A server as a list shows it."""

    status: str
    task_state: str | None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def differs_from_rebuild_of(self, marker: str | None) -> bool:
        """Return whether it is not, or not any more, under way in the rebuild with `marker`."""
        return (
            self.status != _REBUILDING
            or self.task_state is None
            or self.metadata.get(compute.MARKER_KEY) != marker
        )


class ServerChanges(Protocol):
    """Nova's list of what has changed, of all projects."""

    def recent(self) -> Mapping[str, Glance] | None:
        """Return servers by id that have changed since the look before, and some that have changed
        sooner; deleted ones too.  None: this login may not list them.

        :raises ComputeUnavailable: no answer in time; look again later.
        """
