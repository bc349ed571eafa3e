# SPDX-License-Identifier: Apache-2.0
"""Guests of a fleet, and the fault that each has: the same ones for the same seed."""

import dataclasses
import enum
import json
import pathlib
import random
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence


class Fault(enum.StrEnum):
    """Faults that a guest of a fleet may have."""

    SSHD_REFUSES = 'SSHD_REFUSES'
    OTHER_HOST_KEY = 'OTHER_HOST_KEY'  #: than the one that was pinned before
    LOGIN_REFUSED = 'LOGIN_REFUSED'
    DISK_FULL = 'DISK_FULL'
    LIBC_TOO_OLD = 'LIBC_TOO_OLD'
    SELF_TEST_FAILS = 'SELF_TEST_FAILS'
    AGENT_ENDS = 'AGENT_ENDS'  #: again and again
    NEVER_HEARD = 'NEVER_HEARD'  #: the agent runs, and the broker is out of its reach


#: Of each fault, the code that the bridge's report has.
CODES: Mapping[Fault, str] = {
    Fault.SSHD_REFUSES: 'REACH_REFUSED',
    Fault.OTHER_HOST_KEY: 'HOST_KEY_CHANGED',
    Fault.LOGIN_REFUSED: 'LOGIN_REFUSED',
    Fault.DISK_FULL: 'BRIDGE_GUEST_FULL',
    Fault.LIBC_TOO_OLD: 'BRIDGE_GUEST_LIBC_TOO_OLD',
    Fault.SELF_TEST_FAILS: 'BRIDGE_SELF_TEST_FAILED',
    Fault.AGENT_ENDS: 'BRIDGE_AGENT_NOT_STARTED',
    Fault.NEVER_HEARD: 'BRIDGE_AGENT_NOT_HEARD',
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Network that guests of a fleet are in, and how it is reached."""

    network_id: str
    project_id: str
    node: str  #: host whose namespace leads to it


@dataclasses.dataclass(frozen=True, kw_only=True)
class FleetGuest:
    """A guest; its address and its namespace are known once it is plugged."""

    instance_id: str
    server_id: str
    name: str
    place: Place
    hypervisor: str
    version: str  #: name of its datastore version
    fault: Fault | None = None
    address: str = ''
    namespace: str = ''  #: path of its network namespace

    @property
    def kind(self) -> tuple[str, str]:
        """What the canary tells apart."""
        return self.version, self.place.node


def planned(
    seed: int,
    count: int,
    *,
    places: Sequence[Place],
    versions: Sequence[str],
    hypervisors: int,
    percent: int = 5,
) -> tuple[FleetGuest, ...]:
    """Guests in turns on these places, by instance id; `percent` of them have a fault.

    Each kind of fault comes once before one comes twice.  The first guest of each kind has none: it
    may be the canary, whose failure stops a run.
    """
    chance = random.Random(seed)
    guests = sorted(
        (
            FleetGuest(
                instance_id=_id(chance),
                server_id=_id(chance),
                name=f'fleet-{number:03}',
                place=places[number % len(places)],
                hypervisor=f'compute-{number % hypervisors:02}',
                version=chance.choice(versions),
            )
            for number in range(count)
        ),
        key=lambda guest: guest.instance_id,
    )
    faulty = chance.sample(_no_canaries(guests), count * percent // 100)
    faults = _faults(chance, len(faulty))
    by_id = dict(zip(faulty, faults, strict=True))
    return tuple(dataclasses.replace(guest, fault=by_id.get(guest.instance_id)) for guest in guests)


def _no_canaries(guests: Sequence[FleetGuest]) -> list[str]:
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for guest in guests:
        if seen[guest.kind]:
            found.append(guest.instance_id)
        seen[guest.kind] += 1
    return found


def _faults(chance: random.Random, count: int) -> list[Fault]:
    found: list[Fault] = []
    while len(found) < count:
        turn = list(Fault)
        chance.shuffle(turn)
        found += turn
    return found[:count]


def _id(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def save(guests: Sequence[FleetGuest], path: pathlib.Path) -> None:
    """Write them, for the process that answers for them."""
    path.write_text(json.dumps([dataclasses.asdict(guest) for guest in guests], indent=1))


def load(path: pathlib.Path) -> list[FleetGuest]:
    """Return what `save` has written."""
    return [
        FleetGuest(
            **{
                **found,
                'place': Place(**found['place']),
                'fault': found['fault'] and Fault(found['fault']),
            }
        )
        for found in json.loads(path.read_text())
    ]
