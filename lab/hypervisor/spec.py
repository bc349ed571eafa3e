# SPDX-License-Identifier: Apache-2.0
"""The specification of a guest: everything that it is made of, and its record in a file."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.servers import Port


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuestSpec:
    """The parts of a guest.

    `init` is `tini` (sysv-style services) or `systemd`.  A guest that `runs_containers` can have a
    container engine: control groups of its own, a plain directory for the engine's store, and the
    volume as /dev/vdb and under no other name.  `injected_files` are those that Nova puts on the
    root disk by itself, by path.
    """

    guest_id: str
    hostname: str
    image_path: Path
    ports: tuple[Port, ...] = ()
    volume_id: str | None = None
    user_data: bytes = b''
    meta_data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    init: str = 'tini'
    runs_containers: bool = False
    injected_files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """The record that `from_json` reads."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields |= {
            'image_path': str(self.image_path),
            'user_data': base64.b64encode(self.user_data).decode(),
            'ports': [dataclasses.asdict(port) for port in self.ports],
            'meta_data': dict(self.meta_data),
            'injected_files': {
                path: base64.b64encode(content).decode()
                for path, content in self.injected_files.items()
            },
        }
        return json.dumps(fields, indent=1)

    @classmethod
    def from_json(cls, text: str) -> GuestSpec:
        """The spec that `to_json` wrote."""
        fields = json.loads(text)
        fields |= {
            'image_path': Path(fields['image_path']),
            'user_data': base64.b64decode(fields['user_data']),
            'ports': tuple(Port(**port) for port in fields['ports']),
            'injected_files': {
                path: base64.b64decode(content)
                for path, content in fields.get('injected_files', {}).items()
            },
        }
        return cls(**fields)
