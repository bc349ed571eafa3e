# SPDX-License-Identifier: Apache-2.0
"""Record of the database's container: written on the old root disk, kept in the
stash, back on the new one.

The stash stands on a volume that the database's user can write to, and read: no secret is in here.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.machine import durable

_SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class ImageChoice:
    """Image that a container was or will be made of, by its name, id and digests."""

    reference: str  #: as a registry and the engine know it: name:tag
    image_id: str  #: what that was when it was looked at
    #: name@sha256:…, by which a registry still has it when the tag has moved
    digests: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """The container, and its images."""

    definition: Mapping[str, Any]  #: portable and without secrets: `definition.portable`
    secrets: Sequence[str]  #: names of environment variables whose value was left out
    restart_policy: str  #: as it was before the upgrade
    former: ImageChoice
    target: ImageChoice
    chosen: ImageChoice | None = None  #: which of the two this root disk runs


class Records:
    """The record of this root disk."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def write(self, record: Record) -> None:
        """Write the record durably: it is on the disk when this returns."""
        durable.make_directory(self.path.parent, 0o700)
        durable.write_json(self.path, {'schema': _SCHEMA, **dataclasses.asdict(record)})

    def read(self) -> Record | None:
        """Return the record; None if there is none.

        :raises StepFailed: CONTAINER_RECORD_BROKEN; it cannot be read.
        """
        try:
            document = durable.read_json(self.path)
            return _record(document)
        except FileNotFoundError:
            return None
        except (OSError, KeyError, TypeError, ValueError) as error:
            reason = (
                "The database's container cannot be made: what was kept of it in "
                f'{self.path} cannot be read ({error!r}). Look at the disk of the guest.'
            )
            raise exceptions.StepFailed(reason, 'CONTAINER_RECORD_BROKEN') from error

    def require(self) -> Record:
        """Return the record, which must be there.

        :raises StepFailed: CONTAINER_RECORD_MISSING; nothing was kept, or it cannot be read.
        """
        record = self.read()
        if record is None:
            reason = (
                "The database's container cannot be made: the stash holds no definition of it "
                f'({self.path}). It was made by a guest agent that ran the database as a service; '
                'set database_runtime alike in both images.'
            )
            raise exceptions.StepFailed(reason, 'CONTAINER_RECORD_MISSING')
        return record


def _record(document: dict[str, Any]) -> Record:
    """Parse a record of this schema.

    :raises KeyError, TypeError, ValueError: it is of another schema.
    """
    if document.pop('schema') != _SCHEMA:
        raise ValueError('another schema')
    chosen = document.pop('chosen')
    return Record(
        **{
            **document,
            'former': ImageChoice(**document['former']),
            'target': ImageChoice(**document['target']),
            'chosen': ImageChoice(**chosen) if chosen else None,
        }
    )
