# SPDX-License-Identifier: Apache-2.0
"""One simulated old guest: answers as the installer and a shell do, and keeps what was brought."""

import dataclasses
import hashlib
import shlex
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from trove_upgrade.tests.fleet.guests import Fault, FleetGuest
from trove_upgrade.tests.unit.bridge.shells import FACTS

HOME = '/opt/trove-upgrade-bridge'
STAGING = f'{HOME}/staging'
KEY = '/etc/trove/trove-upgrade-guest.key'
INFO = '/etc/trove/conf.d/guest_info.conf'
AGENT = 'trove-upgrade-guestagent-bridge'
#: Of an uploaded file no more is kept than a key or a configuration has.
_KEPT_BYTES = 1 << 16
_FREE_KB, _FULL_KB = 9_000_000, 12_000
_LIBC, _OLD_LIBC = '2.31', '2.11'


@dataclasses.dataclass(frozen=True)
class Answer:
    """End of a command."""

    code: int = 0
    out: str = ''
    err: str = ''


@dataclasses.dataclass(frozen=True)
class Kept:
    """File that was uploaded."""

    sha256: str
    beginning: bytes


@dataclasses.dataclass
class OldGuest:
    """State of one guest.  `on_start` gets the key of an agent that runs, `on_end` is called when
    it is stopped; one lock, as a second session may come while a first one is cut off.
    """

    guest: FleetGuest
    on_start: Callable[[bytes], None]
    on_end: Callable[[], None]

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[str, Kept] = {}
        self._unpacked: set[str] = set()
        self._is_begun = False  #: the ledger is there
        self._runs = False

    @property
    def holds(self) -> list[str]:
        """Return what is in it that a bridge has brought."""
        with self._lock:
            return [
                *([HOME] if self._is_begun else []),
                *sorted(self._unpacked),
                *sorted(self._files),
                *([AGENT] if self._runs else []),
            ]

    def run(self, command: str, received: Iterable[bytes]) -> tuple[str, Answer]:
        """Run a command line of the bridge on its input; a name for the trace, and its end."""
        words = shlex.split(command)
        match words:
            case ['sh', '-s', '--', name, *rest]:
                text = b''.join(received)
                if not text.startswith(b'#!/bin/sh'):
                    return name, Answer(2, err='sh: no installer was sent')
                return name, self._installer(name, rest)
            case ['sh', '-c', _, 'upload', path, _, size]:
                return f'upload {path}', self._upload(path, int(size), received)
            case ['head', '-c', _, '--', path]:
                b''.join(received)
                return f'read {path}', self._read(path)
        b''.join(received)
        return words[0], Answer(127, err=f'sh: {words[0]}: not found')

    def _upload(self, path: str, size: int, received: Iterable[bytes]) -> Answer:
        digest, count, beginning = hashlib.sha256(), 0, b''
        for chunk in received:
            digest.update(chunk)
            count += len(chunk)
            beginning += chunk[: _KEPT_BYTES - len(beginning)]
        if count != size:
            return Answer(1, err='a part of it came')
        with self._lock:
            self._files[path] = Kept(digest.hexdigest(), beginning)
        return Answer()

    def _read(self, path: str) -> Answer:
        if path != INFO:
            return Answer(1, err=f'head: cannot open {path}: No such file or directory')
        return Answer(
            out=f'[DEFAULT]\nguest_id={self.guest.instance_id}\ndatastore_manager=mariadb\n'
            f'tenant_id={self.guest.place.project_id}\n'
        )

    @property
    def commands(self) -> Mapping[str, Callable[..., Answer]]:
        """Commands of the installer that it knows."""
        return {
            'inspect': self._inspect,
            'prepare': self._prepare,
            'verify': self._verify,
            'unpack': self._unpack,
            'self-test': self._self_test,
            'configure': self._configure,
            'start': self._start,
            'stop': self._stop,
            'remove': self._remove,
        }

    def _installer(self, name: str, rest: Sequence[str]) -> Answer:
        with self._lock:
            return self.commands[name](*rest)

    def _inspect(self) -> Answer:
        fault = self.guest.fault
        facts = {
            **FACTS,
            'libc': _OLD_LIBC if fault is Fault.LIBC_TOO_OLD else _LIBC,
            'has_xz': 'yes',
            'free_kb': str(_FULL_KB if fault is Fault.DISK_FULL else _FREE_KB),
            'agent_file': INFO,
            'our_agent': 'running' if self._runs else 'stopped',
        }
        pushed = ''.join(f'pushed={name}\n' for name in sorted(self._unpacked))
        return Answer(out=''.join(f'{name}={value}\n' for name, value in facts.items()) + pushed)

    def _prepare(self) -> Answer:
        self._is_begun = True
        return Answer(out=f'staging={STAGING}\n')

    def _verify(self, archive: str, sha256: str) -> Answer:
        kept = self._files.get(archive)
        if kept is None or kept.sha256 != sha256:
            return _failed(f'{archive} is not what was sent')
        return Answer(out=f'sha256={sha256}\n')

    def _unpack(self, archive: str, sha256: str) -> Answer:
        found = self._verify(archive, sha256)
        if found.code:
            return found
        del self._files[archive]
        self._unpacked.add(_bundle(sha256))
        return Answer(out=f'bundle={_bundle(sha256)}\n')

    def _self_test(self, sha256: str) -> Answer:
        if _bundle(sha256) not in self._unpacked:
            return _failed('it is no bundle')
        if self.guest.fault is Fault.SELF_TEST_FAILS:
            return Answer(1, out='cryptography: FAILED: Illegal instruction\n')
        return Answer(out='all is well\n')

    def _configure(self, sha256: str) -> Answer:
        needed = [f'{STAGING}/agent.conf', f'{STAGING}/guest.key', f'{STAGING}/{AGENT}']
        if _bundle(sha256) not in self._unpacked or not all(one in self._files for one in needed):
            return _failed('no configuration was sent')
        self._files[KEY] = self._files.pop(f'{STAGING}/guest.key')
        return Answer(out=f'service={AGENT}\n')

    def _start(self, seconds: str) -> Answer:
        if KEY not in self._files:
            return _failed('nothing was configured')
        if self.guest.fault is Fault.AGENT_ENDS:
            return _failed(f'{AGENT} starts again and again: Segmentation fault')
        self._runs = True
        if self.guest.fault is not Fault.NEVER_HEARD:
            self.on_start(self._files[KEY].beginning)
        return Answer(out='our_agent=running\n')

    def _stop(self) -> Answer:
        self._runs = False
        self.on_end()
        return Answer(out='our_agent=stopped\n')

    def _remove(self) -> Answer:
        if not self._is_begun:
            return Answer(out='removed=nothing\n')
        self._stop()
        self._files.clear()
        self._unpacked.clear()
        self._is_begun = False
        return Answer(out='removed=all\n')


def _bundle(sha256: str) -> str:
    return f'{HOME}/{sha256[:16]}'


def _failed(found: str) -> Answer:
    return Answer(1, err=f'installer: {found}')
