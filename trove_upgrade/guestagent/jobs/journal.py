# SPDX-License-Identifier: Apache-2.0
"""The journal of jobs: one file per (upgrade, attempt, method) on the root disk, synced, so that an
agent that dies knows what it did.
"""

import contextlib
import dataclasses
import pathlib
import threading
from collections.abc import Mapping
from typing import Any

from trove_upgrade.domain import guests, logs
from trove_upgrade.guestagent.machine import durable, listing

LOG = logs.get_logger(__name__)

_KEPT = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One job as it stands."""

    method: str
    call: Mapping[str, Any]  #: the call that began it, in its form on the wire
    state: guests.JobState
    message: str
    started_at: str
    ended_at: str | None = None
    percent: int | None = None
    code: str | None = None
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    request_id: str | None = (
        None  #: of the user's request, for the log; an earlier agent wrote none
    )

    @property
    def key(self) -> tuple[str, int, str]:
        """Return what tells jobs apart."""
        return str(self.call['upgrade_id']), int(self.call['attempt']), self.method

    @property
    def ended(self) -> bool:
        """Return whether there is nothing left to run."""
        return self.state is not guests.JobState.RUNNING


class Journal:
    """Records of jobs, a file for each, on the root disk."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()

    def _path(self, key: tuple[str, int, str]) -> pathlib.Path:
        upgrade_id, attempt, method = key
        return self._directory / f'{upgrade_id}.{attempt:d}.{method}.json'

    def read(self, key: tuple[str, int, str]) -> JobRecord | None:
        """The job of this key; None if there never was one."""
        with contextlib.suppress(FileNotFoundError):
            return _record(durable.read_json(self._path(key)))
        return None

    def write(self, record: JobRecord) -> None:
        """Write the record durably: it is on the disk when this returns."""
        with self._lock:
            durable.make_directory(self._directory, 0o700)
            durable.write_json(
                self._path(record.key), {**dataclasses.asdict(record), 'state': str(record.state)}
            )

    def all(self) -> list[JobRecord]:
        """Every job, the one that began first at the front; what cannot be read is set aside with a
        warning.
        """
        records = [
            record
            for path in listing.matching(self._directory, '*.json')
            if (record := self._readable(path)) is not None
        ]
        return sorted(records, key=lambda record: record.started_at)

    def _readable(self, path: pathlib.Path) -> JobRecord | None:
        """Read a record; None: it was forgotten since it was listed, or is set aside. Under the
        lock, or a good one written meanwhile would go with it.
        """
        with self._lock, contextlib.suppress(FileNotFoundError):
            try:
                return _record(durable.read_json(path))
            except FileNotFoundError:
                raise
            except (OSError, ValueError, KeyError, TypeError) as error:
                LOG.warning('Job %s cannot be read and is set aside: %s', path, error)
                path.rename(path.with_suffix('.broken'))
        return None

    def prune(self) -> None:
        """Forget the oldest that have ended."""
        for record in [record for record in self.all() if record.ended][:-_KEPT]:
            durable.remove(self._path(record.key))


def _record(document: Mapping[str, Any]) -> JobRecord:
    """Read a record.  A state that a later agent has written is none to go on from; its further
    keys are left out.
    """
    names = {field.name for field in dataclasses.fields(JobRecord)}
    known = {name: value for name, value in document.items() if name in names}
    state = guests.JobState(document['state'])
    is_of_later_agent = document['state'] not in set(guests.JobState)
    return JobRecord(**{**known, 'state': guests.JobState.FAILED if is_of_later_agent else state})
