# SPDX-License-Identifier: Apache-2.0
"""Accounts of single instances, from a file that the operator writes: JSON, YAML or CSV.

The file names files, and holds no password itself.  JSON and YAML map the id of an instance to
`user`, `key_file` and `password_file`; CSV has these as columns beside `instance_id`.  All files
are read at the beginning, so that a fault shows before a port is opened.
"""

import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import yaml

from trove_upgrade.bridge.reach import errors, logins
from trove_upgrade.bridge.reach.keys import KeyFiles
from trove_upgrade.bridge.reach.logins import Login

_BYTES = 1 << 26
_FIELDS = frozenset({'user', 'key_file', 'password_file'})


@dataclasses.dataclass(frozen=True)
class Accounts:
    """Logins of instances."""

    default: Login  #: of instances that the file does not name
    by_instance_id: Mapping[str, Login] = dataclasses.field(default_factory=dict)

    def login_of(self, instance_id: str) -> Login:
        """Return the login of an instance."""
        return self.by_instance_id.get(instance_id.lower(), self.default)


def read_accounts(path: pathlib.Path, default: Login, key_files: KeyFiles) -> Accounts:
    """Read a file of accounts, and all that it names.  What an entry leaves out is the default's,
    but a key or a password replaces both of the default, and its SSH agent.

    :raises LoginUnusable: it has another form, or names a file that has.
    :raises LoginFileRefused: a file that it names is open to other accounts.
    """
    return Accounts(
        default,
        {
            key.lower(): _login(path, key, entry, default, key_files)
            for key, entry in _entries(path).items()
        },
    )


def _login(
    path: pathlib.Path, instance_id: str, entry: object, default: Login, key_files: KeyFiles
) -> Login:
    if not isinstance(entry, dict) or not all(
        isinstance(value, str) and value for value in entry.values()
    ):
        raise _unusable(path, f'the entry of {instance_id} is no set of texts')
    if 'password' in entry:
        raise _unusable(
            path, f'the entry of {instance_id} has a password: write it to a file, and name that'
        )
    unknown = set(entry) - _FIELDS
    if unknown:
        raise _unusable(path, f'the entry of {instance_id} has unknown fields: {sorted(unknown)}')
    user = entry.get('user', default.user)
    if not {'key_file', 'password_file'} & set(entry):
        return dataclasses.replace(default, user=user)
    key, secret = entry.get('key_file'), entry.get('password_file')
    return Login(
        user=user,
        keys=(key_files.read(path.parent / key),) if key else (),
        password=logins.read_password(path.parent / secret) if secret else None,
    )


def _entries(path: pathlib.Path) -> dict[str, Any]:
    readers = {'.json': _json, '.yaml': _yaml, '.yml': _yaml, '.csv': _csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise _unusable(path, f'its name ends with none of {sorted(readers)}')
    try:
        with path.open('rb') as source:
            content = source.read(_BYTES + 1)
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from error
    if len(content) > _BYTES:
        raise _unusable(path, f'it is longer than {_BYTES} bytes')
    try:
        entries = reader(content.decode('utf-8-sig'))
    except (ValueError, RecursionError, yaml.YAMLError, csv.Error) as error:
        raise _unusable(path, f'it cannot be read ({type(error).__name__})') from None
    if not isinstance(entries, dict) or not all(isinstance(key, str) for key in entries):
        raise _unusable(path, 'it does not map ids of instances to accounts')
    if len({key.lower() for key in entries}) != len(entries):
        raise _unusable(path, 'it names an instance twice')
    return entries


def _json(text: str) -> object:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError('a name stands twice')
        return dict(pairs)

    return json.loads(text, object_pairs_hook=once)


def _yaml(text: str) -> object:
    return yaml.safe_load(text)


def _csv(text: str) -> object:
    lines = csv.DictReader(io.StringIO(text, newline=''), strict=True, skipinitialspace=True)
    entries: dict[str, object] = {}
    for line in lines:
        instance_id = line.pop('instance_id', None)
        if not instance_id or instance_id in entries:
            raise ValueError('a line without an id, or with one that stands twice')
        entries[instance_id] = {
            key: value for key, value in line.items() if value is None or value != ''
        }
    return entries


def _unusable(path: pathlib.Path, found: str) -> errors.LoginUnusable:
    return errors.LoginUnusable(path=path, found=found)
