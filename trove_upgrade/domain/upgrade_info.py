# SPDX-License-Identifier: Apache-2.0
"""`upgrade_info`: the facts that pre_upgrade hands to post_upgrade by way of the taskmanager's row.

Ids and digests, no secrets.  It is the only thing that the new root disk trusts: what is on the
volume is believed once it matches.  Each side parses it for itself: the taskmanager before it is
stored, and again before it is sent or rendered into a file; the guest before anything is done.  A
value is one printable line, so that none can become a second option of a file.

An agent that knows RPC 1.0 only may have a schema of its own: its facts are handed back as they
came, within the same bounds, and those that have a name of ours have our form.
"""

import dataclasses
import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from trove_upgrade.domain import exceptions, image_archive, tree
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.image_archive import ImageArchive
from trove_upgrade.domain.printable import CUT, is_plain

SCHEMA = 1

#: Characters of all of it, levels below it, and characters of one text.
CHARACTERS = 65536
_DEEPEST = 4
_LONGEST = 4096
#: Characters of what only people read: versions and boot ids.
_WORDS = 200

_ID = re.compile(r'[A-Za-z0-9][A-Za-z0-9-]{0,63}')
#: Source: blkid's UUID of ext4 and XFS.
_UUID = re.compile(r'[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}')
_STASH = re.compile(r'stash-[A-Za-z0-9-]{1,80}')
_DIGEST = re.compile(r'[0-9a-f]{64}')
_FILESYSTEM = re.compile(r'[a-z0-9][a-z0-9._-]{0,31}')
_NAME = re.compile(r'[A-Za-z0-9_.-]{1,64}')
_LARGEST_ATTEMPT = 2**31 - 1
#: The facts that an agent may leave out.
_ARCHIVES = ('image_archive', 'former_image_archive')


class Invalid(ValueError):
    """Error of facts that are not of their form. The text names fields of ours, and nothing of what
    came.
    """


def is_id(value: object) -> bool:
    """Return whether `value` can be an upgrade's id: it becomes part of file names."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def is_volume_uuid(value: object) -> bool:
    """Return whether `value` can be the UUID of a volume's file system."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def is_time(value: object) -> bool:
    """Return whether `value` is a time in ISO 8601 with an offset, on one line."""
    if not is_plain(value, 64):
        return False
    try:
        return datetime.datetime.fromisoformat(str(value)).utcoffset() is not None
    except ValueError:
        return False


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpgradeInfo:
    """The facts of schema 1."""

    upgrade_id: str
    attempt: int
    volume_uuid: str
    filesystem: str
    stash: str  #: the stash's directory name on the volume
    stash_digest: str  #: sha256 of its manifest
    fingerprint_digest: str  #: sha256 of the fingerprint in the stash
    files_digest: str  #: sha256 of the list of data files in the stash
    former_server_version: str
    former_agent_version: str
    former_boot_id: str
    stopped_at: str  #: ISO 8601 UTC: from here on no client was served
    #: of the target's container image on the volume; None: there is none
    image_archive: ImageArchive | None = None
    former_image_archive: ImageArchive | None = None  #: of the one that runs now, for a way back

    def to_wire(self) -> dict[str, Any]:
        """Return a dictionary that is ready for JSON; it names the archives that there are."""
        wire = {'schema': SCHEMA, **dataclasses.asdict(self)}
        return {name: value for name, value in wire.items() if value is not None}

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        """Read `wire`; fields that only a newer agent has are dropped here,
        and bounded all the same.

        :raises Invalid: a field is missing or not of its form, or the whole is too large.
        """
        _require_bounds(wire)
        names = [field.name for field in dataclasses.fields(cls) if field.name not in _ARCHIVES]
        broken = sorted(name for name in names if name not in wire or not _FORMS[name](wire[name]))
        if wire.get('schema') != SCHEMA or isinstance(wire.get('schema'), bool):
            broken.append('schema')
        archives = {name: wire[name] for name in _ARCHIVES if wire.get(name) is not None}
        broken += [name for name, found in archives.items() if not _FORMS[name](found)]
        if broken:
            raise Invalid(f'see {", ".join(broken)}')
        _require_plain(wire)
        read: dict[str, Any] = {name: wire[name] for name in names}
        read |= {name: ImageArchive.from_wire(found) for name, found in archives.items()}
        return cls(**read)


def carried(wire: Any) -> dict[str, Any]:
    """Return the facts as a taskmanager keeps and hands them on: with those of a newer agent,
    or of one of RPC 1.0.

    Empty where there are none: `None` is what an agent of RPC 1.0 without any returns.

    :raises Invalid: as `UpgradeInfo.from_wire`; without a schema,
    where a field of our name has another form.
    """
    if wire is None:
        return {}
    _require_bounds(wire)
    if 'schema' in wire:
        UpgradeInfo.from_wire(wire)
    broken = sorted(
        name for name, is_form in _FORMS.items() if name in wire and not is_form(wire[name])
    )
    if broken:
        raise Invalid(f'see {", ".join(broken)}')
    _require_plain(wire)
    return dict(wire)


@dataclasses.dataclass(frozen=True)
class StoredInfo:
    """The facts as a row holds them; empty before pre_upgrade has ended.

    A release that did not look at them may have stored them: each use asks for `checked` ones.
    """

    wire: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.wire)

    @property
    def stopped_at(self) -> str | None:
        """Return the time from which on no client was served, ISO 8601; None where the guest did
        not tell it.
        """
        found = self.wire.get('stopped_at')
        return found if isinstance(found, str) else None

    def checked(self) -> Mapping[str, Any]:
        """Return them as they travel.

        :raises Invalid: they are not of their form.
        """
        return carried(self.wire)

    def volume_uuid(self) -> str | None:
        """Return the UUID of the volume's file system, or None where the facts name none.

        :raises Invalid: as `checked`.
        """
        found = self.checked().get('volume_uuid')
        return None if found is None else str(found)

    def image_archives(self) -> Sequence[ImageArchive]:
        """Return the facts of the container images on the volume.

        :raises Invalid: as `checked`.
        """
        found = self.checked()
        return [
            ImageArchive.from_wire(found[name]) for name in _ARCHIVES if found.get(name) is not None
        ]


#: Of an upgrade whose guest has not answered pre_upgrade yet.
NO_INFO = StoredInfo()
#: What a row holds in place of facts that were no mapping, or too large to be kept: never valid.
UNREADABLE = StoredInfo({'schema': CUT})


def not_returned(found: str) -> exceptions.StepFailed:
    """Return the error for facts that came back to a guest and are not those
    that pre_upgrade handed out.
    """
    return exceptions.StepFailed(
        f'The upgrade cannot go on: upgrade_info is not what pre_upgrade returned, {found}. '
        f'Retry the upgrade; report this if it stays.',
        Code.UPGRADE_INFO_INVALID,
    )


def _require_bounds(wire: Any) -> None:
    if not isinstance(wire, Mapping):
        raise Invalid('it is no mapping')
    try:
        tree.require(wire, characters=CHARACTERS, deepest=_DEEPEST)
    except tree.ValueOutOfBounds as error:
        raise Invalid(str(error)) from None


def _require_plain(wire: Mapping[str, Any]) -> None:
    """Fields that only the other side knows, too: a later release may render them."""
    try:
        tree.require_plain(wire, longest=_LONGEST)
    except tree.ValueOutOfBounds as error:
        raise Invalid(str(error)) from None
    if not all(isinstance(name, str) and _NAME.fullmatch(name) for name in wire):
        raise Invalid('a field has a name of another form')


def _matches(form: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and form.fullmatch(value) is not None


def _is_words(value: object) -> bool:
    return is_plain(value, _WORDS)


def _is_attempt(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_ATTEMPT


_FORMS: Mapping[str, Callable[[object], bool]] = {
    'upgrade_id': is_id,
    'attempt': _is_attempt,
    'volume_uuid': is_volume_uuid,
    'filesystem': _matches(_FILESYSTEM),
    'stash': _matches(_STASH),
    'stash_digest': _matches(_DIGEST),
    'fingerprint_digest': _matches(_DIGEST),
    'files_digest': _matches(_DIGEST),
    'former_server_version': _is_words,
    'former_agent_version': _is_words,
    'former_boot_id': _is_words,
    'stopped_at': is_time,
    **dict.fromkeys(_ARCHIVES, image_archive.is_archive),
}
