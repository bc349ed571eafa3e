# SPDX-License-Identifier: Apache-2.0
"""Outages in the log: one line when one begins or changes, one when it is over, instead of a
traceback at each try.
"""

import threading
from collections.abc import Callable

from trove_upgrade.domain import exceptions, logs

LOG = logs.get_logger(__name__)

Explain = Callable[[BaseException], exceptions.TroveUpgradeError | None]


def own_errors(error: BaseException) -> exceptions.TroveUpgradeError | None:
    """An error that has a code already."""
    return error if isinstance(error, exceptions.TroveUpgradeError) else None


class Outages:
    """Outages that are tried again, each logged once. Safe to share between threads. `explain`
    gives a fault of the database a code and a remedy.
    """

    def __init__(self, explain: Explain = own_errors) -> None:
        self._explain = explain
        self._lock = threading.Lock()
        self._current: dict[str, str] = {}

    def met(self, what: str, error: BaseException, *, row: str = '') -> None:
        """Log that `what` could not be done, which is tried again. An error without a remedy is a
        fault of the program: its traceback is logged.

        `row` is the id of what was worked on: a traceback is about one, an outage about all.
        """
        known = self._explain(error)
        if known is None:
            LOG.error('%s%s; it is tried again', what, f' ({row})' if row else '', exc_info=error)
            return
        with self._lock:
            is_new = self._current.get(what) != known.message
            self._current[what] = known.message
        if is_new:
            LOG.error('%s; it is tried again: %s: %s', what, known.code, known.message)

    def is_known(self, error: BaseException) -> bool:
        """Return whether it has a code and a remedy."""
        return self._explain(error) is not None

    def over(self, what: str) -> None:
        """Log that `what` was done, where an outage had been logged."""
        if what not in self._current:  # mostly: no lock is taken
            return
        with self._lock:
            ended = self._current.pop(what, None)
        if ended is not None:
            LOG.info('What was tried again works: %s', what)
