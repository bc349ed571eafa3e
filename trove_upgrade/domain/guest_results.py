# SPDX-License-Identifier: Apache-2.0
"""Results of a guest's methods: one type for each, and its form in `GuestAnswer.result`.

The keys are on the wire: none is ever renamed.  `domain.answers` bounds a result before it is read
here; keys that only another release knows are left out.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

from trove_upgrade.domain.image_archive import ImageSource
from trove_upgrade.domain.notes import REMARKS, SETTINGS_CHANGED, Notes
from trove_upgrade.domain.upgrade_checks import CheckOutcome, CheckResult

_Wire = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Checked:
    """Result of check_upgrade: every check, refused or not."""

    checks: tuple[CheckResult, ...]

    def to_wire(self) -> dict[str, Any]:
        """Return it as `GuestAnswer.result`."""
        return {'checks': [dataclasses.asdict(check) for check in self.checks]}

    @classmethod
    def from_wire(cls, wire: _Wire) -> Self:
        """Read what a guest answered; an outcome that only a later agent has counts as not
        checked.
        """
        return cls(tuple(_check(entry) for entry in wire.get('checks') or ()))


@dataclasses.dataclass(frozen=True)
class Quiesced:
    """Result of pre_upgrade: the facts for post_upgrade, parsed in `domain.upgrade_info`."""

    upgrade_info: Any
    quiesced_at: str | None = None  #: ISO 8601: the volume is let go

    def to_wire(self) -> dict[str, Any]:
        """Return it as `GuestAnswer.result`."""
        told = {} if self.quiesced_at is None else {'quiesced_at': self.quiesced_at}
        return {'upgrade_info': self.upgrade_info, **told}

    @classmethod
    def from_wire(cls, wire: _Wire) -> Self:
        """Read what a guest answered."""
        return cls(wire.get('upgrade_info'), wire.get('quiesced_at'))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
    """Part of post_upgrade's result that the comparison of the data has found."""

    fingerprint: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    settings_changed: Sequence[Mapping[str, Any]] = ()  #: name, before, after
    settings_kept: Sequence[str] = ()  #: their names

    def to_wire(self) -> dict[str, Any]:
        """Return it as part of `GuestAnswer.result`, and as a mark keeps it."""
        return {
            'fingerprint': dict(self.fingerprint),
            SETTINGS_CHANGED: [dict(change) for change in self.settings_changed],
            'settings_kept': list(self.settings_kept),
        }

    @classmethod
    def from_wire(cls, wire: _Wire) -> Self:
        """Read what a guest answered, or its mark keeps."""
        return cls(
            fingerprint=wire.get('fingerprint') or {},
            settings_changed=wire.get(SETTINGS_CHANGED) or (),
            settings_kept=wire.get('settings_kept') or (),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restored:
    """Result of post_upgrade: the comparison, the outage's two ends, and remarks."""

    compared: Compared
    stopped_at: str | None  #: ISO 8601: from here on no client was served
    opened_at: str | None  #: ISO 8601: from here on clients are
    opening_at: str | None = None  #: ISO 8601: all was compared, and the opening begins
    remarks: Sequence[Any] = ()  #: sentences or notes, as `domain.notes` reads them
    image_source: str | None = None  #: of the container image, as `ImageSource`; None: it has none
    not_carried: str | None = None  #: why the image on the data volume was not used

    def to_wire(self) -> dict[str, Any]:
        """Return it as `GuestAnswer.result`."""
        return {
            **self.compared.to_wire(),
            'stopped_at': self.stopped_at,
            'opened_at': self.opened_at,
            'opening_at': self.opening_at,
            REMARKS: list(self.remarks),
            **_known(image_source=self.image_source, image_not_carried=self.not_carried),
        }

    @classmethod
    def from_wire(cls, wire: _Wire) -> Self:
        """Read what a guest answered."""
        return cls(
            compared=Compared.from_wire(wire),
            stopped_at=wire.get('stopped_at'),
            opened_at=wire.get('opened_at'),
            opening_at=wire.get('opening_at'),
            remarks=wire.get(REMARKS) or (),
            image_source=_source(wire.get('image_source')),
            not_carried=_text(wire.get('image_not_carried')),
        )

    def notes(self) -> Notes:
        """Return what the tenant should learn of it."""
        changed = self.compared.settings_changed
        return Notes.of({REMARKS: self.remarks, SETTINGS_CHANGED: changed}).of_known_steps()


@dataclasses.dataclass(frozen=True)
class Verified:
    """Result of verify_upgrade: the server's version, and the checks."""

    server_version: str | None
    checks: tuple[CheckResult, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return it as `GuestAnswer.result`."""
        return {'server_version': self.server_version, **Checked(self.checks).to_wire()}

    @classmethod
    def from_wire(cls, wire: _Wire) -> Self:
        """Read what a guest answered."""
        return cls(wire.get('server_version'), Checked.from_wire(wire).checks)


@dataclasses.dataclass(frozen=True)
class Finished:
    """Result of finish_upgrade: when the stash goes."""

    stash_removed_at: str  #: ISO 8601: when the stash goes

    def to_wire(self) -> dict[str, Any]:
        """Return it as `GuestAnswer.result`."""
        return {'stash_removed_at': self.stash_removed_at}


def _known(**facts: str | None) -> dict[str, str]:
    return {name: fact for name, fact in facts.items() if fact is not None}


def _source(value: object) -> str | None:
    """Read a source; one that only a later agent has counts as not told."""
    return next((source.value for source in ImageSource if source == value), None)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _check(entry: Mapping[str, Any]) -> CheckResult:
    outcome = str(entry.get('outcome'))
    code = entry.get('code')
    return CheckResult(
        name=str(entry.get('name', 'guest')),
        outcome=outcome if outcome in set(CheckOutcome) else CheckOutcome.UNKNOWN,
        message=str(entry.get('message', '')),
        code=str(code) if code else None,
    )
