# SPDX-License-Identifier: Apache-2.0
"""Heartbeats: a guest that is in an upgrade, or has just booted, says so often; any other one once
an hour.

The rare ones are for the API, which takes a guest that has never spoken for one without our agent:
a message that is sent before any taskmanager has made its queue is lost without a word.
"""

import threading
from collections.abc import Callable

from trove_upgrade.domain import exceptions, guests, logs, markers
from trove_upgrade.guestagent.manager import server_state
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.guestagent.upgrade.work import Guest

LOG = logs.get_logger(__name__)

#: For so long after its start an agent is taken for one that has just booted.
_BOOT_SECONDS = 120.0
#: (up to this age of the occasion, times the interval): often at first, when a step waits for it.
_RARER = ((60.0, 1.0), (600.0, 5.0))
_RAREST = 30.0
#: Between two of a guest that has nothing to tell.
_IDLE_SECONDS = 3600.0


class Heartbeats:
    """Sends them from a thread of its own.  `send` may raise MessagingUnavailable: the next one
    comes anyway.
    """

    def __init__(
        self,
        own: Guest,
        send: Callable[[guests.Heartbeat], None],
        busy: Callable[[], bool],
        interval_seconds: float,
    ) -> None:
        self._guest = own
        self._send = send
        self._busy = busy
        self._interval = interval_seconds
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._occasion = self._start = own.clock.monotonic()
        self._thread = threading.Thread(target=self._run, name='heartbeats', daemon=True)

    def start(self) -> None:
        """Start the thread that sends heartbeats."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns when the thread has ended, or is stuck in the broker."""
        self._stopped.set()
        self._woken.set()
        self._thread.join(timeout=5)

    def wake(self) -> None:
        """Send a heartbeat at once, and often again: a job has begun or ended."""
        self._occasion = self._guest.clock.monotonic()
        self._woken.set()

    def _run(self) -> None:
        """The thread's edge: it lives as long as the agent."""
        heard = True
        while not self._stopped.is_set():
            self._woken.clear()
            try:
                self._send(self.heartbeat())
                heard = True
            except exceptions.MessagingUnavailable as error:
                if heard:
                    LOG.warning('%s', error.message)  # once, not every second
                heard = False
            except Exception:
                LOG.exception('No heartbeat could be sent; the next one is tried')
            self._woken.wait(self.pause_seconds())

    def active(self) -> bool:
        """Return whether there is a reason to speak: a fresh boot, a job, or an upgrade that has
        not ended.
        """
        marks = self._guest.marks
        if self._guest.clock.monotonic() - self._start < _BOOT_SECONDS or self._busy():
            return True
        if marks.has(Mark.QUIESCING) or marks.has(Mark.QUIESCED):
            return True
        upgrade_id = self._upgrade_id()
        return upgrade_id is not None and not (
            marks.has(Mark.RESTORED, upgrade_id) and marks.has(Mark.FINISHED, upgrade_id)
        )

    def _is_active(self) -> bool:
        """Tell whether there is an upgrade; true where it cannot be told: the marks are read from a
        disk.
        """
        try:
            return self.active()
        except Exception:
            LOG.exception(
                'It cannot be told whether there is an upgrade; heartbeats go on as if there was '
                'one'
            )
            return True

    def pause_seconds(self) -> float:
        """Return the seconds until the next heartbeat."""
        if not self._is_active():
            return _IDLE_SECONDS
        age = self._guest.clock.monotonic() - self._occasion
        return self._interval * next((factor for until, factor in _RARER if age < until), _RAREST)

    def _upgrade_id(self) -> str | None:
        marker = self._guest.marker()
        return markers.upgrade_of(marker) if marker else None

    def heartbeat(self) -> guests.Heartbeat:
        """Make a heartbeat of the guest as it is now. A root disk without the mark of the upgrade
        that booted it says restored=False, and is healed.
        """
        upgrade_id = self._upgrade_id()
        version, state = server_state(self._guest)
        return guests.Heartbeat(
            instance_id=self._guest.instance_id,
            boot_id=self._guest.boot_id(),
            marker=self._guest.marker(),
            restored=self._guest.marks.has(Mark.RESTORED, upgrade_id),
            agent_version=self._guest.agent_version,
            server_version=version,
            server_state=state,
        )
