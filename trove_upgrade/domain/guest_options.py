# SPDX-License-Identifier: Apache-2.0
"""The operator's choices for a guest, as they travel with every call."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuestOptions:
    """Options of a call to the guest; None: the guest's own default."""

    allow_replication: bool = False
    keep_changed_defaults: bool = False
    rollback: bool = False  #: the call leads back to the former image
    lock_seconds: float | None = None  #: for running statements, before the stop
    fingerprint_seconds: float | None = None
    shutdown_seconds: float | None = None  #: from SHUTDOWN to the end of the process
    min_free_bytes: int = 0  #: on the volume
    #: put the target's container image onto the volume; a taskmanager of the release before would
    #: not tell the next root disk of it
    carry_image: bool = False
    #: put the container image that runs onto the volume, too, if it has this id; '': not
    former_image_id: str = ''
    #: bring the target's container image into the guest once all checks have passed; an agent of
    #: the release before makes the checks alone
    bring_image: bool = False

    def to_wire(self) -> dict[str, Any]:
        """Return what differs from the choice of no option."""
        given = ((field, getattr(self, field.name)) for field in dataclasses.fields(self))
        return {field.name: value for field, value in given if value != field.default}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Read them; those of a newer taskmanager, which an agent cannot know, are dropped."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in wire.items() if name in known})


#: The operator has chosen nothing.
DEFAULT = GuestOptions()
