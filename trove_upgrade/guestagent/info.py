# SPDX-License-Identifier: Apache-2.0
"""`upgrade_info`: what pre_upgrade hands to post_upgrade by way of the taskmanager.

Ids and digests, no secrets; at most 64 KiB on the wire.  It is the only thing that the new root disk trusts: what is on the
volume is believed once it matches.
"""
import dataclasses
import datetime
import json
import re
from collections.abc import Mapping
from typing import Any, Self

from trove_upgrade.domain import exceptions

SCHEMA = 1
_LIMIT_BYTES = 65536
_ID = re.compile(r'[A-Za-z0-9][A-Za-z0-9-]{0,63}')
_UUID = re.compile(r'[A-Za-z0-9-]{1,64}')
_STASH = re.compile(r'stash-[A-Za-z0-9-]{1,80}')
_DIGEST = re.compile(r'[0-9a-f]{64}')
_FILESYSTEM = re.compile(r'[a-z0-9][a-z0-9._-]{0,31}')
_WORDS = 200        #: of what only people read: versions and ids


def is_id(value: object) -> bool:
    """Whether `value` can be an upgrade's id: it becomes part of file names."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


@dataclasses.dataclass(frozen=True)
class UpgradeInfo:
    """The versioned schema."""

    upgrade_id: str
    attempt: int
    volume_uuid: str
    filesystem: str
    stash: str                   #: the stash's directory name on the volume
    stash_digest: str            #: sha256 of its manifest
    fingerprint_digest: str      #: sha256 of the fingerprint in the stash
    files_digest: str            #: sha256 of the list of data files in the stash
    former_server_version: str
    former_agent_version: str
    former_boot_id: str
    stopped_at: str              #: ISO 8601 UTC: from here on no client was served

    def to_wire(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {'schema': SCHEMA, **dataclasses.asdict(self)}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """The reverse; unknown keys of a newer agent are dropped.

        :raises StepFailed: UPGRADE_INFO_INVALID; a key is missing or cannot be what it should be.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        broken = sorted(name for name in names if name not in wire or not _is_form(name, wire[name]))
        if wire.get('schema') != SCHEMA:
            broken.append('schema')
        if len(json.dumps(dict(wire), default=str)) > _LIMIT_BYTES:
            broken.append('length')
        if broken:
            raise invalid(f'see {", ".join(broken)}')
        return cls(**{name: wire[name] for name in names})


_FORMS = {'upgrade_id': _ID, 'volume_uuid': _UUID, 'filesystem': _FILESYSTEM, 'stash': _STASH, 'stash_digest': _DIGEST,
          'fingerprint_digest': _DIGEST, 'files_digest': _DIGEST}


def invalid(found: str) -> exceptions.StepFailed:
    """What came back is not what was handed out."""
    return exceptions.StepFailed(f'The upgrade cannot go on: upgrade_info is not what pre_upgrade returned, {found}. '
                                 f'Retry the upgrade; report this if it stays.', 'UPGRADE_INFO_INVALID')


def _is_form(name: str, value: object) -> bool:
    """Everybody with a broker's account could have written it, and the guest's root acts on it."""
    if name == 'attempt':
        return isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not isinstance(value, str):
        return False
    if name == 'stopped_at':
        return _is_time(value)
    form = _FORMS.get(name)
    return form.fullmatch(value) is not None if form else value.isprintable() and len(value) <= _WORDS


def _is_time(value: str) -> bool:
    try:
        return datetime.datetime.fromisoformat(value).utcoffset() is not None
    except ValueError:
        return False
