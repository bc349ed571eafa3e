# SPDX-License-Identifier: Apache-2.0
"""Cost of a sealed call for both sides beyond the same call unsealed: envelopes, the guest's
durable number, the key and the number in a database.

Envelopes are compared with what is done for a call in any case, without a broker: its JSON, and the
reading of its fields.  A call with the facts of its target is the largest.  The guest's number goes
to this machine's disk; the database is a MariaDB of its own that does not sync.
"""

import dataclasses
import datetime
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from kombu.utils import json as kombu_json
from oslo_messaging._drivers import common

from trove_upgrade.db import repositories
from trove_upgrade.domain import guest_call, guests, tree
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.sealing.sequence import Sequence
from trove_upgrade.sealing import at_rest, envelope, messages
from trove_upgrade.sealing.keys import GuestKey, MessageDirection
from trove_upgrade.tests.functional.schema import old_rows
from trove_upgrade.tests.unit import database

ROUNDS = 300
#: Options of a real server's facts, and names of that length.
_OPTIONS = 4000
_INSTANCE = '7de1a0f2-1b3c-4d5e-8f90-a1b2c3d4e5f6'
_SESSION = 'f' * 32


@dataclasses.dataclass(frozen=True)
class Figure:
    """Median milliseconds of one kind of work, and how many times the baseline of the same run that
    is.
    """

    name: str
    milliseconds: float
    ratio: float | None = None

    def line(self) -> str:
        """For a terminal."""
        return f'{self.name:<58} {self.milliseconds:>9.3f}' + (
            f' {self.ratio:>8.2f}' if self.ratio is not None else ''
        )


def measure() -> dict[str, Any]:
    """All figures, by name."""
    print(f'\n{"work, median":<58} {"ms":>9} {"ratio":>8}')
    figures = [
        *_calls('small call', {}),
        *_calls("call with a target's facts", _facts()),
        _number_in_guest(),
        *_in_database(),
    ]
    for figure in figures:
        print(figure.line(), flush=True)
    return {
        figure.name: {'milliseconds': figure.milliseconds, 'ratio': figure.ratio}
        for figure in figures
    }


def _facts() -> dict[str, Any]:
    return {'options': [f'an_option_of_a_server_{number:04d}' for number in range(_OPTIONS)]}


def _calls(name: str, target: dict[str, Any]) -> list[Figure]:
    """One call and its answer, both sides of it, unsealed and sealed by turns."""
    call = guests.GuestCall(
        instance_id=_INSTANCE,
        upgrade_id=_INSTANCE,
        attempt=1,
        generation=1,
        deadline=datetime.datetime.now(datetime.UTC),
        target=TargetFacts.from_wire({'server_version': '11.8.6', **target}),
    )
    answer = guests.GuestAnswer(
        state=guests.JobState.DONE,
        message='all was checked',
        boot_id='boot-1',
        server_state=guests.ServerState.RUNNING,
        agent_version='1.2',
    )
    size = len(json.dumps(call.to_wire()))
    key = GuestKey.new(_INSTANCE)
    unsealed, sealed = _by_turns(
        lambda: _unsealed(call, answer), lambda: _sealed(key, call, answer)
    )
    return [
        Figure(f'{name}, {size} bytes, unsealed (baseline)', unsealed, 1.0),
        Figure(f'{name}, sealed', sealed, sealed / unsealed),
    ]


def _unsealed(call: guests.GuestCall, answer: guests.GuestAnswer) -> None:
    guest_call.read(_over_the_broker(call.to_wire()))
    guests.GuestAnswer.from_wire(_over_the_broker(answer.to_wire()))


def _over_the_broker(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what the guest's dispatcher hands on, after its look at the form; written and read as
    oslo.messaging and kombu do it.
    """
    sent = kombu_json.dumps(common.serialize_msg(arguments))
    came: dict[str, Any] = common.deserialize_msg(kombu_json.loads(sent))
    tree.require(came, characters=8_000_000)
    return came


def _sealed(key: GuestKey, call: guests.GuestCall, answer: guests.GuestAnswer) -> None:
    request = messages.Request(
        method='check_upgrade', session=_SESSION, number=1, latest=1, arguments=call.to_wire()
    )
    asked = envelope.seal(key, MessageDirection.TO_GUEST, request.to_bytes())
    came = envelope.Envelope.from_wire(_over_the_broker(asked.to_wire()))
    opened = messages.Request.from_bytes(envelope.unseal(key, MessageDirection.TO_GUEST, came))
    guest_call.read(opened.arguments)
    content = messages.Answer(
        request=came.digest,
        session=_SESSION,
        highest=1,
        moment=1,
        refused=None,
        content=answer.to_wire(),
    )
    answered = envelope.seal(key, MessageDirection.TO_TASKMANAGER, content.to_bytes())
    back = envelope.Envelope.from_wire(_over_the_broker(answered.to_wire()))
    found = messages.Answer.from_bytes(envelope.unseal(key, MessageDirection.TO_TASKMANAGER, back))
    if found.request != asked.digest or found.content is None:
        raise SystemExit('benchmarks: an answer was not that of its request')
    guests.GuestAnswer.from_wire(found.content)


def _number_in_guest() -> Figure:
    """As the agent takes each request."""
    with tempfile.TemporaryDirectory(dir='/var/tmp') as place:
        sequence = Sequence(pathlib.Path(place, 'state', 'sequence'))
        return Figure("the guest's number, durable", _median(lambda: _taken(sequence)))


def _taken(sequence: Sequence) -> None:
    if not sequence.take(sequence.highest + 1):
        raise SystemExit('benchmarks: a higher number was not taken')


def _in_database() -> list[Figure]:
    """Read and write as a taskmanager does for each request."""
    server = old_rows.MariaDB()
    server.setUp()
    try:
        db = database.SampleDatabase(server.create())
        db.setUp()
        try:
            instance_id = db.add_instance()
            keys = _guest_keys(db)
            keys.hear(keys.mint(instance_id, None), _SESSION, 1)
            read, counted, row = _by_turns(
                lambda: keys.current(instance_id),
                lambda: keys.next_number(instance_id),
                lambda: db.repositories.guests.heartbeat(instance_id),
            )
        finally:
            db.cleanUp()
    finally:
        server.cleanUp()
    return [
        Figure('one row of a guest, read (baseline)', row, 1.0),
        Figure("the guest's key, read and decrypted", read, read / row),
        Figure("the guest's next number, counted", counted, counted / row),
    ]


def _guest_keys(db: Any) -> Any:
    """The repository with an operator's list of one key."""
    wrapping = at_rest.Wrapping([at_rest.generate()])
    return repositories.Repositories.of(db.database, wrapping=lambda: wrapping).guest_keys


def _median(work: Callable[[], object]) -> float:
    return _by_turns(work)[0]


def _by_turns(*works: Callable[[], object]) -> list[float]:
    """Median milliseconds of each.  They take turns, so that other work on the machine meets all
    alike.
    """
    found: list[list[float]] = [[] for _ in works]
    for work in works:
        work()  # the first one loads and connects
    for _ in range(ROUNDS):
        for times, work in zip(found, works, strict=True):
            started = time.perf_counter()
            work()
            times.append((time.perf_counter() - started) * 1000)
    return [statistics.median(times) for times in found]
