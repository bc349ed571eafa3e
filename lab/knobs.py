# SPDX-License-Identifier: Apache-2.0
"""Faults that the virt driver is told to make, so that failures of a real cloud can be had at will.

For callers::

    knobs = KnobStore(layout.faults_dir)
    # the next rebuild fails, the one after works
    knobs.turn(server_id, Knobs(spawn_error='no space left', times=1))
    # every server without a file of its own
    knobs.turn(KnobStore.ALL, Knobs(slow_seconds=5, on='any'))
    # in REBUILD until knobs.clear(server_id)
    knobs.turn(server_id, Knobs(stuck='blocked'))
    knobs.clear(server_id)

The same fields may come with the server itself, as its metadata `lab_knobs` (the JSON of `Knobs`);
a file wins over them, and metadata is never counted down: Nova alone writes it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

METADATA_KEY = 'lab_knobs'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Knobs:
    """Faults of one server's next operations.  As made, there are none."""

    on: str = 'rebuild'  #: which operation: `rebuild`, `boot` (the first) or `any`
    times: int | None = None  #: how many operations; None means all
    slow_seconds: float = 0.0  #: wait so long first
    spawn_error: str = ''  #: fail with this reason: the server goes to ERROR
    #: `blocked`: the server stays in REBUILD until these knobs are cleared; `lost`: it stays there
    #: for ever, with the action's result Success, as when Nova swallows InstanceNotFound
    stuck: str = ''
    no_agent: bool = False  #: boot the image with its guest agent taken away
    #: boot this Glance image instead, or `former` for what the server ran before
    wrong_image: str = ''
    #: fail before anything is touched: Nova falls back to ACTIVE, the old guest runs on
    image_unloadable: bool = False

    def applies_to(self, operation: str) -> bool:
        """Return whether these knobs say anything about a `rebuild` or a `boot`."""
        return self.on in {'any', operation} and self.times != 0


NONE = Knobs()


class KnobStore:
    """Knobs as files: one per server, and one for all others.  The driver in its process, a test in
    another.
    """

    ALL = 'all'

    def __init__(self, directory: Path) -> None:
        self._dir = directory

    def turn(self, server_id: str, knobs: Knobs) -> None:
        """Let this server (or `ALL`) fail so from now on."""
        self._dir.mkdir(parents=True, exist_ok=True)
        fresh = self._dir / f'{server_id}.new'
        fresh.write_text(json.dumps(dataclasses.asdict(knobs)), 'utf-8')
        fresh.rename(self._dir / f'{server_id}.json')

    def clear(self, server_id: str) -> None:
        """Let everything go well again. Safe to repeat."""
        (self._dir / f'{server_id}.json').unlink(missing_ok=True)

    def peek(self, server_id: str, metadata: Mapping[str, str], operation: str) -> Knobs:
        """The knobs that hold for an operation now, without counting it."""
        return self._find(server_id, metadata, operation)[0]

    def take(self, server_id: str, metadata: Mapping[str, str], operation: str) -> Knobs:
        """The knobs that hold for an operation that begins now; counts it."""
        knobs, source = self._find(server_id, metadata, operation)
        if source is not None and knobs.times is not None:
            self.turn(source, dataclasses.replace(knobs, times=knobs.times - 1))
        return knobs

    def _find(
        self, server_id: str, metadata: Mapping[str, str], operation: str
    ) -> tuple[Knobs, str | None]:
        for name in (server_id, self.ALL):
            path = self._dir / f'{name}.json'
            if path.exists():
                knobs = Knobs(**json.loads(path.read_text('utf-8')))
                return (knobs, name) if knobs.applies_to(operation) else (NONE, None)
        if METADATA_KEY in metadata:
            knobs = Knobs(**json.loads(metadata[METADATA_KEY]))
            return (knobs if knobs.applies_to(operation) else NONE), None
        return NONE, None
