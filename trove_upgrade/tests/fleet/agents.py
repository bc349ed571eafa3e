# SPDX-License-Identifier: Apache-2.0
"""Agents of a fleet: each sends heartbeats under the key that was brought to its guest, over the
broker of the cloud.
"""

import dataclasses
import os
import threading
import uuid
from collections.abc import Callable
from typing import Self

from oslo_config import cfg

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guests import Heartbeat, ServerState
from trove_upgrade.rpc import serializer, taskmanager
from trove_upgrade.sealing import envelope as envelopes
from trove_upgrade.sealing import messages
from trove_upgrade.sealing.envelope import Envelope
from trove_upgrade.sealing.keys import GuestKey, MessageDirection

#: Between two looks at all agents.
LOOK_SECONDS = 0.5
#: An agent speaks at each of these looks after its start: a message may be lost.
_SPEAKS_AT = frozenset({0, 6, 20, 60, 120, 240})
VERSION = '1.0.0'


@dataclasses.dataclass
class _Agent:
    key: GuestKey
    session: str
    boot_id: str
    looks: int = 0
    reports: int = 0

    def report(self) -> Envelope:
        self.reports += 1
        heartbeat = Heartbeat(
            instance_id=self.key.instance_id,
            boot_id=self.boot_id,
            marker=None,
            restored=False,
            agent_version=VERSION,
            server_version='10.5.29',
            server_state=ServerState.RUNNING,
        )
        content = messages.Report(self.session, self.reports, heartbeat.to_wire()).to_bytes()
        return envelopes.seal(self.key, MessageDirection.TO_TASKMANAGER, content, os.urandom)


class Agents:
    """All agents that run; one thread speaks for them."""

    def __init__(self, send: Callable[[Envelope], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._agents: dict[str, _Agent] = {}

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Make them speak over the broker that a configuration names."""
        api = taskmanager.TaskManagerAPI.from_conf(conf)
        return cls(lambda envelope: api.sealed(serializer.service_context(), envelope))

    def start(self, key_file: bytes) -> None:
        """Start the agent of a guest that has this key."""
        key = GuestKey.from_file(key_file, 'the key that was brought')
        agent = _Agent(key, messages.new_session(os.urandom), str(uuid.uuid4()))
        with self._lock:
            self._agents[key.instance_id] = agent

    def end(self, instance_id: str) -> None:
        """End the agent of a guest, if one runs."""
        with self._lock:
            self._agents.pop(instance_id, None)

    def look(self) -> None:
        """Let those speak whose turn it is; a broker that is away is asked again at the next
        look.
        """
        with self._lock:
            due = [one for one in self._agents.values() if one.looks in _SPEAKS_AT]
            for one in self._agents.values():
                one.looks += 1
        for one in due:
            try:
                self._send(one.report())
            except exceptions.MessagingUnavailable:
                one.looks -= 1

    def speak(self, ended: threading.Event) -> None:
        """Look again and again, until `ended` is set."""
        while not ended.wait(LOOK_SECONDS):
            self.look()
