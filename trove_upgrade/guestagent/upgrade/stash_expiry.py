# SPDX-License-Identifier: Apache-2.0
"""Removes the stash when its hours are over, also across restarts of the agent."""

import threading

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.upgrade import finish
from trove_upgrade.guestagent.upgrade.work import Guest

LOG = logs.get_logger(__name__)

_RETRY_SECONDS = 600.0


class StashExpiry:
    """A thread that sleeps until there is something to remove."""

    def __init__(self, own: Guest) -> None:
        self._guest = own
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name='stash-expiry', daemon=True)

    def start(self) -> None:
        """Start the thread that removes stashes that have expired."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait up to 5 s for its end."""
        self._stopped.set()
        self._woken.set()
        self._thread.join(timeout=5)

    def wake(self) -> None:
        """Look again: an upgrade may have finished."""
        self._woken.set()

    def _run(self) -> None:
        """The thread's edge: what cannot be removed now is tried again."""
        while not self._stopped.is_set():
            self._woken.clear()
            try:
                seconds = finish.seconds_until_removal(self._guest)
            except Exception:
                LOG.exception(
                    'The stash could not be removed; it is tried again in %d s', _RETRY_SECONDS
                )
                seconds = _RETRY_SECONDS
            self._woken.wait(seconds)
