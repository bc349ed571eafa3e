# SPDX-License-Identifier: Apache-2.0
"""Facts of an old guest as the installer's `inspect` reports them, and whether a bundle can run
there.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import Protocol, Self

from trove_upgrade.domain import exceptions

_FORMAT = '1'
_LINE = re.compile(r'([a-z_0-9]{1,40})=(.*)')
_MACHINE_BITS = {'x86_64': '64', 'aarch64': '64'}
_PROCESS = re.compile(r'(\d+):(\d+)')
#: Archive, unpacked bundle, and the former bundle during a second run.
NEEDED_KB = 400_000
#: Programs without which nothing can be unpacked or checked.
_NEEDED_PROGRAMS = ('tar', 'gzip', 'sha256sum')


class Needs(Protocol):
    """Needs of a bundle, as its manifest has them."""

    @property
    def glibc(self) -> str:
        """Return the oldest C library that it runs on, such as "2.31"."""

    @property
    def architecture(self) -> str:
        """Return the machine that it is for, as `uname -m` has it."""


class GuestUnsuitable(exceptions.TroveUpgradeError):
    """A guest cannot be worked in: its shell does not run the installer."""

    code = 'BRIDGE_GUEST_UNSUITABLE'
    template = (
        'Our agent cannot be brought into this guest: {found}. Nothing was changed in it. {advice}.'
    )


class LibcTooOld(GuestUnsuitable):
    """The C library is older than the bundle's, or none of GNU's."""

    code = 'BRIDGE_GUEST_LIBC_TOO_OLD'


class OtherArchitecture(GuestUnsuitable):
    """The bundle is for another machine."""

    code = 'BRIDGE_GUEST_OTHER_ARCHITECTURE'


class GuestFull(GuestUnsuitable):
    """The root disk has no room for the bundle."""

    code = 'BRIDGE_GUEST_FULL'


class NoRoot(GuestUnsuitable):
    """The login does not become root."""

    code = 'BRIDGE_GUEST_NO_ROOT'


class ProgramsMissing(GuestUnsuitable):
    """A program that the installer needs is not there, or no service can be made."""

    code = 'BRIDGE_GUEST_PROGRAMS_MISSING'


class HasAgent(GuestUnsuitable):
    """Our agent was installed with the image, or an upgrade has the guest in hand."""

    code = 'BRIDGE_GUEST_HAS_AGENT'


@dataclasses.dataclass(frozen=True, order=True)
class Process:
    """One process; `start` tells it from a later one with the same number."""

    number: int
    start: int  #: in ticks since the boot


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuestFacts:
    """Findings of `inspect` in a guest.  Lists are in the order in which they were found."""

    libc: tuple[int, int] | None  #: None: unknown, or none of GNU's
    is_root: bool
    machine: str
    bits: str
    init: str  #: systemd or sysv
    boot: str  #: what lets a service start at boot: systemctl, update-rc.d, chkconfig or none
    layout: str  #: deb, rpm or unknown
    distribution: str
    programs: frozenset[str]
    free_kb: int
    agent_services: tuple[str, ...]
    agent_processes: frozenset[Process]
    agent_files: tuple[str, ...]
    database_services: tuple[str, ...]
    database_processes: frozenset[Process]
    database_data: str  #: as the server's command line has it; '' where that names none
    has_data: bool  #: /var/lib/mysql/data is there
    pushed: tuple[str, ...]  #: bundles of an earlier run
    our_agent_runs: bool
    has_product: bool  #: our agent is a part of the image: no bridge has brought it
    upgrade_holds: bool  #: an upgrade has the database in hand

    @classmethod
    def from_output(cls, output: str) -> Self:
        """Read the output of `inspect`; lines of a later release are left out.

        :raises GuestUnsuitable: it is of another form.
        """
        found: dict[str, list[str]] = {}
        for line in output.splitlines():
            match = _LINE.fullmatch(line)
            if match is not None:
                found.setdefault(match[1], []).append(match[2].strip())
        if found.get('format') != [_FORMAT]:
            raise GuestUnsuitable(
                found='its shell does not run the installer', advice='See what sh is there'
            )
        return cls._from_lists(found)

    @classmethod
    def _from_lists(cls, found: dict[str, list[str]]) -> Self:
        def first(name: str) -> str:
            return next(iter(found.get(name, ())), '')

        free = first('free_kb')
        return cls(
            is_root=first('uid') == '0',
            libc=_version(first('libc')),
            machine=first('machine'),
            bits=first('bits'),
            init=first('init'),
            boot=first('boot'),
            layout=first('layout'),
            distribution=first('distribution'),
            programs=frozenset(
                name.removeprefix('has_')
                for name, values in found.items()
                if name.startswith('has_') and values == ['yes']
            ),
            free_kb=int(free) if free.isascii() and free.isdecimal() else 0,
            agent_services=tuple(found.get('agent_service', ())),
            agent_processes=_processes(first('agent_processes')),
            agent_files=tuple(found.get('agent_file', ())),
            database_services=tuple(found.get('database_service', ())),
            database_processes=_processes(first('database_processes')),
            database_data=first('database_data'),
            has_data=first('has_data') == 'yes',
            pushed=tuple(found.get('pushed', ())),
            our_agent_runs=first('our_agent') == 'running',
            has_product=first('has_product') == 'yes',
            upgrade_holds=first('upgrade_holds') == 'yes',
        )

    @property
    def has_xz(self) -> bool:
        """Return whether the guest can unpack the archive as it is."""
        return 'xz' in self.programs

    def require(self, needs: Needs) -> None:
        """Find out whether the bundle can run here.

        :raises GuestUnsuitable: it cannot, or an upgrade is under way.
        """
        for refusal in (
            _no_root(self),
            _held(self),
            _wrong_machine(self, needs),
            _old_libc(self, needs),
            _lacks(self),
            _full(self),
        ):
            if refusal is not None:
                raise refusal

    def ended_since(self, earlier: 'GuestFacts') -> Sequence[str]:
        """Return in words what of the old agent and the database no longer runs since `earlier`."""
        return [
            f'{what} (process {process.number})'
            for what, before, now in (
                ('the old agent', earlier.agent_processes, self.agent_processes),
                ('the database', earlier.database_processes, self.database_processes),
            )
            for process in sorted(before - now)
        ]


def _no_root(facts: GuestFacts) -> GuestUnsuitable | None:
    if facts.is_root:
        return None
    return NoRoot(
        found='the login is not root there', advice='Give an account that may use sudo, or root'
    )


def _held(facts: GuestFacts) -> GuestUnsuitable | None:
    if facts.upgrade_holds:
        return HasAgent(
            found='an upgrade has its database in hand',
            advice='See trove-upgrade-manage upgrade list',
        )
    if facts.has_product:
        return HasAgent(
            found='it has our agent already',
            advice='Upgrade the instance as any other; it needs no bridge',
        )
    return None


def _wrong_machine(facts: GuestFacts, needs: Needs) -> GuestUnsuitable | None:
    bits = _MACHINE_BITS.get(facts.machine, facts.bits)
    if facts.machine == needs.architecture and facts.bits in {'', bits}:
        return None
    return OtherArchitecture(
        found=f'it is {facts.machine or "unknown"} with programs of {facts.bits or "unknown"} '
        f'bits, and the bundle is for {needs.architecture}',
        advice='Make a bundle on such a machine, or move the data by a backup',
    )


def _old_libc(facts: GuestFacts, needs: Needs) -> GuestUnsuitable | None:
    needed = _version(needs.glibc)
    if facts.libc is not None and needed is not None and facts.libc >= needed:
        return None
    found = 'unknown' if facts.libc is None else '.'.join(str(part) for part in facts.libc)
    place = facts.distribution or 'unknown distribution'
    return LibcTooOld(
        found=f'its C library is {found} ({place}), and the bundle needs {needs.glibc} or newer',
        advice='Move its data by a backup into an instance of a newer version',
    )


def _lacks(facts: GuestFacts) -> GuestUnsuitable | None:
    needed = _NEEDED_PROGRAMS if facts.init == 'systemd' else (*_NEEDED_PROGRAMS, 'setsid')
    missing = [name for name in needed if name not in facts.programs]
    if missing:
        return ProgramsMissing(
            found=f'it has no {", ".join(missing)}', advice='Install what is missing'
        )
    if facts.boot in {'', 'none'}:
        return ProgramsMissing(
            found='it has neither systemd, update-rc.d nor chkconfig',
            advice='Move its data by a backup into an instance of a newer version',
        )
    return None


def _full(facts: GuestFacts) -> GuestUnsuitable | None:
    if facts.free_kb >= NEEDED_KB:
        return None
    return GuestFull(
        found=f'its root disk has {facts.free_kb // 1024} MB free, and {NEEDED_KB // 1024} MB '
        'are needed',
        advice='Make room on its root disk',
    )


def _version(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r'(\d{1,4})\.(\d{1,4})(\..*)?', text, re.ASCII)
    return None if match is None else (int(match[1]), int(match[2]))


def _processes(text: str) -> frozenset[Process]:
    matches = (_PROCESS.fullmatch(word) for word in text.split())
    return frozenset(
        Process(int(match[1]), int(match[2])) for match in matches if match is not None
    )
