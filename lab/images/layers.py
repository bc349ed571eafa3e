# SPDX-License-Identifier: Apache-2.0
"""Layers of an image: directories that an overlay puts on top of each other.

Each layer is the upper directory of an overlay over those below it, so it has exactly what its step
has changed and can be kept by itself.  All mounts are made in a mount namespace that ends with its
program: nothing is left behind, however a build ends.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from lab.commands import Commands, Outcome

_MOUNT_AND_RUN = """
set -eu
lower=$1 upper=$2 work=$3 merged=$4; shift 4
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$merged"
exec "$@"
"""


@dataclasses.dataclass(frozen=True)
class Stack:
    """Finished layers, the topmost first, and a directory for the scratch that mounting them
    needs.
    """

    layers: tuple[Path, ...]
    scratch: Path

    def run(
        self, commands: Commands, upper: Path, argv: Sequence[str], timeout_seconds: float = 900
    ) -> Outcome:
        """Run a program of the host that sees the stack at `merged`; what it changes lands in
        `upper`.
        """
        for name in ('work', 'merged'):
            shutil.rmtree(self.scratch / name, ignore_errors=True)
            (self.scratch / name).mkdir(parents=True)
        upper.mkdir(parents=True, exist_ok=True)
        return commands.run(
            [
                'unshare',
                '--mount',
                '--',
                '/bin/sh',
                '-c',
                _MOUNT_AND_RUN,
                'layers',
                ':'.join(str(layer) for layer in self.layers),
                str(upper),
                str(self.scratch / 'work'),
                str(self.merged),
                *argv,
            ],
            timeout_seconds=timeout_seconds,
        )

    @property
    def merged(self) -> Path:
        """Return where `run` mounts the stack."""
        return self.scratch / 'merged'


def digest_of(*parts: str) -> str:
    """A short name for these inputs; changes when any of them does."""
    return hashlib.sha256('\0'.join(parts).encode()).hexdigest()[:16]


def digest_of_tree(*roots: Path) -> str:
    """A digest of names, modes and contents of all files below these directories, caches left
    out.
    """
    found = hashlib.sha256()
    for root in roots:
        for path in sorted(root.rglob('*')):
            if path.is_file() and '__pycache__' not in path.parts:
                found.update(f'{path.relative_to(root)}\0{path.stat().st_mode:o}\0'.encode())
                found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
