# SPDX-License-Identifier: Apache-2.0
"""Messages that were dropped, counted by reason: a sender of thousands fills no log.

Each account of the broker can send messages that are not for belief.  The log tells of them at most
once a minute for each reason, and then how many there were.
"""

import enum
import threading
from collections import Counter
from collections.abc import Callable, Mapping

from trove_upgrade.domain import logs

LOG = logs.get_logger(__name__)

_SECONDS = 60.0
#: The label of a reason that has none.
_OTHER = 'other'


class DropReason(enum.StrEnum):
    """Reasons to drop a message of one kind, as the log has them."""

    @property
    def subject(self) -> str:
        """Return the kind of the messages, in a word of ASCII letters."""
        return 'message'

    @property
    def label(self) -> str:
        """Return the short name by which a monitoring system knows the reason."""
        return f'{self.subject}_{self.name.lower()}'


class Drops:
    """Counts them.  Safe to share between threads.

    A reason is a text of ours, one of few: nothing of a message may be in it.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """`monotonic`: seconds, as of `time.monotonic`."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._all: Counter[str] = Counter()
        self._labels: dict[str, str] = {}
        self._told: Counter[str] = Counter()
        self._told_at: dict[str, float] = {}

    def count(self, reason: str) -> None:
        """Count one, and tell of it unless this reason was told of within the last minute."""
        with self._lock:
            self._all[str(reason)] += 1
            if isinstance(reason, DropReason):
                self._labels[str(reason)] = reason.label
        self.tell()

    def tell(self) -> None:
        """Log what is due.  For a loop, so that the last ones are told of as well."""
        with self._lock:
            due = [(reason, number) for reason, number in self._untold() if self._is_due(reason)]
            for reason, number in due:
                self._told[reason] += number
                self._told_at[reason] = self._monotonic()
        for reason, number in due:
            LOG.warning('Messages were dropped: %d, as %s', number, reason)

    @property
    def counted(self) -> Mapping[str, int]:
        """All of them since the start, by reason."""
        with self._lock:
            return dict(self._all)

    @property
    def labelled(self) -> Mapping[str, int]:
        """All of them since the start, by the label of their reason."""
        found: Counter[str] = Counter()
        with self._lock:
            for reason, number in self._all.items():
                found[self._labels.get(reason, _OTHER)] += number
        return found

    def _untold(self) -> list[tuple[str, int]]:
        return [(reason, number) for reason, number in (self._all - self._told).items() if number]

    def _is_due(self, reason: str) -> bool:
        told_at = self._told_at.get(reason)
        return told_at is None or self._monotonic() - told_at >= _SECONDS
