# SPDX-License-Identifier: Apache-2.0
"""Servers that upgrades wait for: one look at all of them, instead of a request of each upgrade.

A look only tells which upgrade is to go on now.  Its step then reads the server itself, and acts on
nothing else.  So what a look does not show, because Nova has answered late, because its hosts
differ in time or because a notification was forged, costs time at most: a step that is not
told to go on looks by itself, only later.
"""

import dataclasses
import threading
from collections.abc import Callable, Mapping

from trove_upgrade.domain import compute, logs, ports
from trove_upgrade.domain.server_changes import Glance, ServerChanges
from trove_upgrade.domain.turn import Turn
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.taskmanager.outages import Outages

LOG = logs.get_logger(__name__)

#: Between two looks of a step by itself where all are looked at together.  After a death another
#: taskmanager goes on when this is over.
REST_SECONDS = 5.0
#: An upgrade that does not come back in this time after its rest is waited for by another.
_GRACE_SECONDS = 5.0
#: After a look that Nova has not answered each step looks by itself, for so long.
_AFTER_FAILURE_SECONDS = 30.0
#: The same after a refusal: a policy of Nova's may be changed.
_AFTER_REFUSAL_SECONDS = 600.0
_LOOK = 'Nova could not be asked for the servers that have changed'


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Waiting:
    turn: Turn
    marker: str | None  #: of the server when its step has read it
    until: float  #: by the monotonic clock
    rests: bool  #: its step looks by itself only after `REST_SECONDS`


class ServerWatch:
    """Upgrades of this process that wait for Nova.  Safe to share between threads, but for `look`,
    which is for one.
    """

    def __init__(
        self,
        changes: ServerChanges | None,
        nudge: Callable[[Turn], None],
        clock: ports.Clock,
        *,
        poll_seconds: float,
        outages: Outages,
    ) -> None:
        """`changes`: None where each step is to look by itself; `nudge` has an upgrade run now."""
        self._changes = changes
        self._nudge = nudge
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._outages = outages
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._told: dict[str, float] = {}
        self._may_rest_from = clock.monotonic()
        self._is_refused = False

    def rest(self, upgrade: Upgrade, server: compute.Server) -> float:
        """Return the seconds after which the step of `upgrade` is to read the server again, whose
        rebuild is under way.  One that waits alone reads it as often as all together are looked
        at: that is one request as well.
        """
        now = self._clock.monotonic()
        with self._lock:
            self._forget_gone(now)
            is_alone = not (self._waiting.keys() - {server.id})
            rests = not is_alone and self._may_rest(now)
            seconds = REST_SECONDS if rests else self._poll_seconds
            self._waiting[server.id] = _Waiting(
                turn=Turn(upgrade.id, upgrade.project_id, is_slow=upgrade.stalls > 0),
                marker=server.marker,
                until=now + seconds + _GRACE_SECONDS,
                rests=rests,
            )
        return seconds

    def look(self) -> None:
        """Look at all servers once, where a step rests, and have those go on that are not as their
        steps have left them.  Never raises: the edge of a thread.
        """
        now = self._clock.monotonic()
        with self._lock:
            self._forget_gone(now)
            resting = {key: one for key, one in self._waiting.items() if one.rests}
        if not resting or self._changes is None:
            return
        try:
            seen = self._changes.recent()
        except Exception as error:  # noqa: BLE001 - see above; `outages` logs it
            self._outages.met(_LOOK, error)
            self._may_rest_from = self._clock.monotonic() + _AFTER_FAILURE_SECONDS
            woken: Mapping[str, _Waiting] = resting
        else:
            self._outages.over(_LOOK)
            woken = self._changed(resting, seen)
        for server_id, one in woken.items():
            self._wake(server_id, one)

    def _changed(
        self, resting: Mapping[str, _Waiting], seen: Mapping[str, Glance] | None
    ) -> Mapping[str, _Waiting]:
        """Return those whose steps are to look now; all where Nova refuses the look."""
        if seen is None:
            self._may_rest_from = self._clock.monotonic() + _AFTER_REFUSAL_SECONDS
            if not self._is_refused:
                LOG.info(
                    'Nova does not let the service user list the servers of all projects: each '
                    'upgrade that waits for Nova asks for its own server. The list is asked for '
                    'again every %d minutes',
                    _AFTER_REFUSAL_SECONDS / 60,
                )
            self._is_refused = True
            return resting
        self._is_refused = False
        return {
            server_id: one
            for server_id, one in resting.items()
            if server_id in seen and seen[server_id].differs_from_rebuild_of(one.marker)
        }

    def told(self, server_id: str) -> None:
        """Have the upgrade go on that waits for this server, if there is one; at most once in
        `poll_seconds`.  Cheap for the ids of all other servers.
        """
        one = self._waiting.get(server_id)
        if one is None:
            return
        now = self._clock.monotonic()
        with self._lock:
            last = self._told.get(server_id)
            if last is not None and now - last < self._poll_seconds:
                return
            self._told[server_id] = now
        self._wake(server_id, one)

    def _wake(self, server_id: str, one: _Waiting) -> None:
        with self._lock:
            if self._waiting.get(server_id) is not one:
                return  # its step has looked meanwhile
            del self._waiting[server_id]
        self._nudge(one.turn)

    def _may_rest(self, now: float) -> bool:
        return (
            self._changes is not None
            and self._poll_seconds < REST_SECONDS
            and now >= self._may_rest_from
        )

    def _forget_gone(self, now: float) -> None:
        """Forget what another taskmanager waits for, or none any more."""
        for key in [key for key, one in self._waiting.items() if one.until < now]:
            del self._waiting[key]
        for key in [key for key, at in self._told.items() if now - at > self._poll_seconds]:
            del self._told[key]
