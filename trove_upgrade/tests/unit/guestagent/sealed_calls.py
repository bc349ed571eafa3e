# SPDX-License-Identifier: Apache-2.0
"""A taskmanager's end of sealed calls to one guest, and a guest that notes what it carries out."""

import dataclasses
import json

from trove_upgrade.domain import guests
from trove_upgrade.guestagent.jobs.journal import JobRecord
from trove_upgrade.guestagent.manager import GuestManager
from trove_upgrade.sealing import envelope, messages
from trove_upgrade.sealing.keys import MessageDirection


class Notes:
    """In the place of jobs: notes each, and joins none."""

    def __init__(self):
        self.carried_out = []

    def ask(self, method, call, _wait_seconds):
        self.carried_out.append((method, call.upgrade_id))
        return JobRecord(
            method=method,
            call=call.to_wire(),
            state=guests.JobState.RUNNING,
            message='Noted.',
            started_at='now',
        )

    def resume(self):
        """Nothing was interrupted."""


def agent(machine, notes, troves_key=None):
    """An endpoint of an agent that starts now."""
    return GuestManager(machine.guest(), notes, None, machine.seal(troves_key), 0)


class Sender:
    """A taskmanager that knows the guest's key."""

    def __init__(self, machine, key):
        self.machine, self.key = machine, key
        self.session, self.number, self.calls = messages.NO_SESSION, 0, 0
        self.latest = messages.LARGEST_NUMBER

    def seal(self, method, arguments=None, **changes):
        """The next request, in its envelope."""
        self.number += 1
        request = messages.Request(
            method=method,
            session=self.session,
            number=self.number,
            latest=self.latest,
            arguments=arguments or {},
        )
        content = dataclasses.replace(request, **changes).to_bytes()
        return envelope.seal(self.key, MessageDirection.TO_GUEST, content)

    def read(self, sealed, wire):
        """The answer to it; raises NotAuthentic where it is none."""
        content = envelope.unseal(
            self.key, MessageDirection.TO_TASKMANAGER, envelope.Envelope.from_wire(wire)
        )
        answer = messages.Answer.from_bytes(content)
        assert answer.request == sealed.digest
        return answer

    def send(self, endpoint, sealed):
        """One request, one answer."""
        return self.read(sealed, endpoint.sealed(None, envelope=sealed.to_wire()))

    def call(self, endpoint, method, arguments=None):
        """As a taskmanager does: asked once more where session or number were not the guest's."""
        first = self.seal(method, arguments)
        answer = self.send(endpoint, first)
        if answer.refused is None:
            return answer
        self.session, self.number = answer.session, max(self.number, answer.highest)
        return self.send(endpoint, self.seal(method, arguments))

    def arguments(self, **changes):
        """Of a call of an upgrade that no other call is of."""
        self.calls += 1
        changes = {'upgrade_id': f'upgrade-{self.calls}', **changes}
        return json.loads(json.dumps(self.machine.call(**changes).to_wire()))
