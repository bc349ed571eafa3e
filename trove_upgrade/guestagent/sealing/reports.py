# SPDX-License-Identifier: Apache-2.0
"""Heartbeats on their way to the taskmanagers: sealed, unsealed, or both while only an older
taskmanager may be there.
"""

from typing import Protocol

from oslo_context import context as oslo_context

from trove_upgrade.domain import guests
from trove_upgrade.guestagent.sealing.seal import Seal
from trove_upgrade.rpc import serializer
from trove_upgrade.sealing.envelope import Envelope


class _Taskmanagers(Protocol):
    def heartbeat(self, context: oslo_context.RequestContext, heartbeat: guests.Heartbeat) -> None:
        """Cast it as RPC 1.1."""

    def sealed(self, context: oslo_context.RequestContext, envelope: Envelope) -> None:
        """Cast it as RPC 1.2."""


class Reports:
    """Sends heartbeats in the form that the guest's key asks for."""

    def __init__(self, seal: Seal, taskmanagers: _Taskmanagers) -> None:
        self._seal = seal
        self._taskmanagers = taskmanagers

    def send(self, heartbeat: guests.Heartbeat) -> None:
        """Send one; none where the guest's key file is broken.

        :raises MessagingUnavailable: not sent, or only in one of two forms.
        """
        self._seal.tell_drops()
        envelope = self._seal.report(heartbeat)
        try:
            if envelope is not None:
                self._taskmanagers.sealed(serializer.service_context(), envelope)
        finally:
            if not self._seal.is_sealed_only():
                self._taskmanagers.heartbeat(serializer.service_context(), heartbeat)
