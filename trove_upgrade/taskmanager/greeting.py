# SPDX-License-Identifier: Apache-2.0
"""Greetings: a guest is asked, under its key, in which start of its agent it is.

A report of another start than the one that was met last is not believed: it can be an old one,
which was sent again.  The guest's own answer tells.  Each account of the broker can cause
greetings, so an instance is greeted rarely.
"""

import dataclasses
import threading
from collections import OrderedDict

from trove_upgrade.domain import exceptions, logs, ports
from trove_upgrade.domain.turn import Turn
from trove_upgrade.sealing.at_rest import KeyUnreadable
from trove_upgrade.taskmanager.agenda import Again
from trove_upgrade.taskmanager.outages import Outages

LOG = logs.get_logger(__name__)

#: Between two greetings of one instance.
SECONDS = 30.0
#: Instances whose last greeting is remembered.
_REMEMBERED = 10_000
_GREET = 'A guest could not be greeted'


class Greetings:
    """Decides when an instance is greeted.  Safe to share between threads."""

    def __init__(self, instances: ports.InstanceRepository, clock: ports.Clock) -> None:
        self._instances = instances
        self._clock = clock
        self._lock = threading.Lock()
        self._last: OrderedDict[str, float] = OrderedDict()

    def turn(self, instance_id: str) -> Turn | None:
        """Return the turn of a greeting; None: the last one was a moment ago,
        or there is no such instance.
        """
        if not self._is_due(instance_id):
            return None
        try:
            return Turn(instance_id, self._instances.get(instance_id).project_id, is_slow=True)
        except exceptions.InstanceNotFound:
            return None

    def _is_due(self, instance_id: str) -> bool:
        now = self._clock.monotonic()
        with self._lock:
            last = self._last.get(instance_id)
            if last is not None and now - last < SECONDS:
                return False
            self._last[instance_id] = now
            self._last.move_to_end(instance_id)
            if len(self._last) > _REMEMBERED:
                self._last.popitem(last=False)
        return True


@dataclasses.dataclass(frozen=True)
class Greeter:
    """Greets an instance.  What the guest answers is recorded by what asks it."""

    agent: ports.Guest
    outages: Outages = dataclasses.field(default_factory=Outages)

    def run(self, instance_id: str) -> Again | None:
        """Greet a guest, and log every error: it is the edge of a worker's thread. The next report
        asks again.
        """
        try:
            self.agent.greet(instance_id)
        except (exceptions.GuestUnavailable, KeyUnreadable) as error:
            LOG.debug('Instance %s was not greeted: %s', instance_id, error.message)
        except Exception as error:  # noqa: BLE001 - the edge of a worker's thread; `outages` logs it
            self.outages.met(_GREET, error, row=instance_id)
        else:
            self.outages.over(_GREET)
        return None
