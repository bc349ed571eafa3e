# SPDX-License-Identifier: Apache-2.0
"""Progress of work that takes more than a moment."""

from collections.abc import Callable, Iterator

from trove_upgrade.domain import exceptions

#: Called with a percentage (0 to 100, or None where unknown) and a sentence; raises if the job's
#: deadline has passed.
Progress = Callable[[int | None, str], None]

_TOLD_EVERY_BYTES = 64 << 20


def within(progress: Progress, first: int, last: int) -> Progress:
    """Return the progress of a part, whose 0 to 100 are these percent of the whole."""

    def report(percent: int | None, sentence: str) -> None:
        whole = None if percent is None else first + (last - first) * percent // 100
        progress(whole, sentence)

    return report


class Deferred:
    """Progress of what cannot be called back: an abort, or a deadline that passes meanwhile, counts
    once it has ended.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._met: exceptions.TroveUpgradeError | None = None

    def __call__(self, percent: int | None, sentence: str) -> None:
        """Report, and keep what the report raises."""
        try:
            self._progress(percent, sentence)
        except exceptions.TroveUpgradeError as error:
            self._met = self._met or error

    def settle(self) -> None:
        """Raise what was met first, if anything was."""
        if self._met is not None:
            raise self._met


class BytesTold:
    """Progress of bytes that pass: by a report a job is ended that was aborted, or is late."""

    def __init__(self, progress: Progress, doing: str) -> None:
        """`doing`: the sentence, without how much."""
        self._progress, self._doing = progress, doing
        self._done = self._next = 0

    def __call__(self, count: int) -> None:
        """Count so many bytes more."""
        if self._done >= self._next:
            self._next = self._done + _TOLD_EVERY_BYTES
            self._progress(None, f'{self._doing}, {self._done >> 20} MB.')
        self._done += count

    def of(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Hand the pieces on, and count them."""
        for piece in pieces:
            self(len(piece))
            yield piece
