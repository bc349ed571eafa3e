# SPDX-License-Identifier: Apache-2.0
"""Facts of datastore versions, kept for a moment: one step of an upgrade asks for the same several
times.
"""

import dataclasses
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar, cast

from trove_upgrade.domain import instances, ports

Found = TypeVar('Found')

#: What an operator changes of a version is seen after so long.
KEPT_SECONDS = 2.0
#: Answers that are kept at once; the oldest go.
_MOST = 256


@dataclasses.dataclass(kw_only=True)
class RecentVersions:
    """Implements ports.DatastoreRepository.  Safe to share between threads.  No error is kept."""

    repository: ports.DatastoreRepository
    clock: ports.Clock
    kept_seconds: float = KEPT_SECONDS
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    _kept: dict[Hashable, tuple[float, Any]] = dataclasses.field(default_factory=dict)

    def list(self) -> Sequence[instances.Datastore]:
        """Ask each time."""
        return self.repository.list()

    def get(self, id_or_name: str) -> instances.Datastore:
        """Ask each time."""
        return self.repository.get(id_or_name)

    def versions(
        self, datastore_id: str, *, active_only: bool
    ) -> Sequence[instances.DatastoreVersion]:
        """Ask each time."""
        return self.repository.versions(datastore_id, active_only=active_only)

    def version(self, datastore_id: str, id_or_name: str) -> instances.DatastoreVersion:
        """Ask each time."""
        return self.repository.version(datastore_id, id_or_name)

    def version_by_id(self, version_id: str) -> instances.DatastoreVersion:
        """Return what was read a moment ago."""
        return self._recent(self.repository.version_by_id, version_id)

    def guest_classes(self, version_id: str) -> instances.GuestClasses:
        """Return what was read a moment ago."""
        return self._recent(self.repository.guest_classes, version_id)

    def target_facts(self, version_id: str) -> Mapping[str, Any]:
        """Return what was read a moment ago."""
        return self._recent(self.repository.target_facts, version_id)

    def agents_by_image(self, version_id: str) -> Mapping[str, Any]:
        """Return what was read a moment ago."""
        return self._recent(self.repository.agents_by_image, version_id)

    def configuration_parameters(self, version_id: str) -> Sequence[str]:
        """Return what was read a moment ago."""
        return self._recent(self.repository.configuration_parameters, version_id)

    def configured_parameters(self, configuration_id: str) -> Sequence[str]:
        """Ask each time: a group is its tenant's, and changes at any time."""
        return self.repository.configured_parameters(configuration_id)

    def _recent(self, ask: Callable[[str], Found], version_id: str) -> Found:
        key, now = (ask.__name__, version_id), self.clock.monotonic()
        with self._lock:
            known = self._kept.get(key)
        if known is not None and now < known[0]:
            return cast('Found', known[1])
        found = ask(version_id)
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = (now + self.kept_seconds, found)
            while len(self._kept) > _MOST:
                del self._kept[next(iter(self._kept))]
        return found
