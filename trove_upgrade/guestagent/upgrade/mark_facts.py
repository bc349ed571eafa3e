# SPDX-License-Identifier: Apache-2.0
"""Facts of marks: one record for each mark that has any.

The names of the fields are keys of the files: none is ever renamed.  A field with a default is not
needed by the flow that reads the mark, so a mark without it counts all the same.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from trove_upgrade.domain.guest_results import Compared
from trove_upgrade.guestagent.storage.volume_ownership import Top
from trove_upgrade.guestagent.upgrade.marks import Facts, Mark

#: Named alone where there is one: an earlier release does not write them.
_MAY_LACK = frozenset({'top', 'quiesced_at', 'opening_at', 'isolation_lost_at'})


def _without_none(document: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in document.items()
        if name not in _MAY_LACK or value is not None
    }


def _with_top(document: Mapping[str, Any]) -> Mapping[str, Any]:
    top = document.get('top')
    return {**document, 'top': None if top is None else Top(**top)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuiescingFacts(Facts):
    """The volume as it was found, for undoing."""

    mark: ClassVar[Mark] = Mark.QUIESCING

    volume_uuid: str
    mount_options: str
    top: Top | None = None  #: of the volume; None: nothing is to be given back

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return _without_none(super().to_json())

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a file."""
        return super().from_json(_with_top(document))


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuiescedFacts(Facts):
    """The same, and the answer to pre_upgrade, for a call that is repeated."""

    mark: ClassVar[Mark] = Mark.QUIESCED

    volume_uuid: str
    mount_options: str
    top: Top | None = None
    upgrade_info: Mapping[str, Any]  #: `domain.upgrade_info`, as it travels
    quiesced_at: str | None = None  #: ISO 8601

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return _without_none(super().to_json())

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a file."""
        return super().from_json(_with_top(document))


@dataclasses.dataclass(frozen=True, kw_only=True)
class StashedFacts(Facts):
    """The stash on the volume.  For people: no flow reads it."""

    mark: ClassVar[Mark] = Mark.STASHED

    stash: str | None = None  #: the name of its directory
    digest: str | None = None  #: sha256 of its manifest


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfiguredFacts(Facts):
    """Remarks about the files that were restored to this root disk, and what it runs."""

    mark: ClassVar[Mark] = Mark.CONFIGURED

    remarks: Sequence[str] = ()
    image_source: str | None = None  #: as `ImageSource`; None: no container image
    not_carried: str | None = None  #: why the image from the volume was not used

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file; it tells of an image where there is one."""
        return {name: value for name, value in super().to_json().items() if value is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerStartedFacts(Facts):
    """The first start of a server on the data."""

    mark: ClassVar[Mark] = Mark.SERVER_STARTED

    boot_id: str | None = None  #: for people, as `at`
    at: str | None = None  #: ISO 8601
    rollback: bool = False  #: it is the former server that is started, after a rollback
    #: ISO 8601: clients may have come before it, and before the comparison
    isolation_lost_at: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file; it names `rollback` in a rollback alone."""
        document = _without_none(super().to_json())
        if not self.rollback:
            del document['rollback']
        return document


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpgradedFacts(Facts):
    """The server that has upgraded the data."""

    mark: ClassVar[Mark] = Mark.UPGRADED

    server_version: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedFacts(Facts):
    """Findings of the comparison, for post_upgrade's result."""

    mark: ClassVar[Mark] = Mark.COMPARED

    result: Compared = dataclasses.field(default_factory=Compared)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {'upgrade_id': self.upgrade_id, 'result': self.result.to_wire()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a file."""
        result = Compared.from_wire(document.get('result', {}))
        return cls(upgrade_id=document['upgrade_id'], result=result)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenedFacts(Facts):
    """The first moment at which clients could come."""

    mark: ClassVar[Mark] = Mark.OPENED

    opened_at: str | None = None  #: ISO 8601
    opening_at: str | None = None  #: the same: when the opening began
    server_version: str | None = None  #: for people

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return _without_none(super().to_json())


@dataclasses.dataclass(frozen=True, kw_only=True)
class RestoredFacts(Facts):
    """The root disk that is complete.  For people: no flow reads it."""

    mark: ClassVar[Mark] = Mark.RESTORED

    marker: str | None = None
    boot_id: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishedFacts(Facts):
    """The end of the stash."""

    mark: ClassVar[Mark] = Mark.FINISHED

    remove_at: str  #: ISO 8601
    removed: bool = False
