# SPDX-License-Identifier: Apache-2.0
"""Shell of a guest over SSH: programs, files, and nothing that the guest would need for it but a
POSIX shell, `cat`, `wc`, `chmod`, `mv` and `rm`.  No SFTP: servers have it switched off, and it
knows no sudo.
"""

import hashlib
import pathlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from trove_upgrade.bridge.reach import commands, errors
from trove_upgrade.bridge.reach.host_key import HostKey
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.reach.ports import (
    OUTPUT_BYTES,
    Guest,
    HostKeys,
    Monotonic,
    Outcome,
    Progress,
    Route,
)
from trove_upgrade.bridge.reach.session import Limits, Peer, Session

_CHUNK = 1 << 18
#: Arguments: the path, the mode, the size.  What arrives in part is not renamed: the input of a
#: lost connection ends as a whole one does.  The new file is never one that was there before.
_RECEIVE = (
    'umask 077; part="$1.part"; rm -f -- "$part" && set -C && cat > "$part" && '
    '{ [ "$(wc -c < "$part")" -eq "$3" ] || { echo "a part of it came" >&2; false; }; } && '
    'chmod "$2" "$part" && mv -f -- "$part" "$1" || { rm -f -- "$part"; exit 1; }'
)


def open_shell(
    guest: Guest,
    route: Route,
    login: Login,
    host_keys: HostKeys,
    *,
    limits: Limits,
    clock: Monotonic,
) -> 'SshShell':
    """Connect, check or pin the host key, and log in.  Its owner closes the shell.

    The key is pinned before the login: a password goes only to a server that is recorded.

    :raises ReachError:
    """
    peer = Peer(server_id=guest.server_id, address=guest.address, port=guest.port, route=route.name)
    known = host_keys.known(guest.server_id)
    expected: tuple[HostKey, ...] = () if known is None else (known,)
    connection = route.connect(guest.address, guest.port, limits.connect_seconds)
    session = Session.begin(connection, peer, expected, limits=limits, clock=clock)
    try:
        if known is None:
            host_keys.pin(guest.server_id, session.host_key)
        session.log_in(login)
    except BaseException:
        session.close()
        raise
    return SshShell(session, login)


class SshShell:
    """Implements Shell.  For one thread at a time."""

    def __init__(self, session: Session, login: Login) -> None:
        self._session = session
        self._login = login

    @property
    def host_key(self) -> HostKey:
        """Return the key that the server has shown."""
        return self._session.host_key

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b'',  # noqa: A002 - subprocess's name
        timeout_seconds: float,
        as_root: bool = False,
    ) -> Outcome:
        chunks = (input[at : at + _CHUNK] for at in range(0, len(input), _CHUNK))
        return self._run(argv, chunks, None, 0, timeout_seconds, as_root=as_root)

    def upload(
        self,
        source: pathlib.Path,
        path: str,
        *,
        mode: int,
        timeout_seconds: float,
        as_root: bool = False,
        progress: Progress | None = None,
    ) -> str:
        self._check_path(path)
        digest = hashlib.sha256()
        with source.open('rb') as content:
            size = source.stat().st_size
            argv = ('sh', '-c', _RECEIVE, 'upload', path, f'{mode:04o}', str(size))
            outcome = self._run(
                argv,
                _hashed(content, digest.update),
                progress,
                size,
                timeout_seconds,
                as_root=as_root,
            )
        if outcome.exit_code != 0:
            raise errors.UploadFailed(path=path, route=self._route, found=_complaint(outcome))
        return digest.hexdigest()

    def read_file(
        self, path: str, *, limit_bytes: int, timeout_seconds: float, as_root: bool = False
    ) -> bytes:
        self._check_path(path)
        if limit_bytes >= OUTPUT_BYTES:
            raise ValueError(f'output is kept up to {OUTPUT_BYTES} bytes')
        argv = ('head', '-c', str(limit_bytes + 1), '--', path)
        outcome = self.run(argv, timeout_seconds=timeout_seconds, as_root=as_root)
        found = _complaint(outcome) if outcome.exit_code else ''
        if len(outcome.stdout) > limit_bytes:
            found = f'it is longer than {limit_bytes} bytes'
        if found:
            raise errors.FileUnreadable(path=path, route=self._route, found=found)
        return outcome.stdout

    def close(self) -> None:
        self._session.close()

    @property
    def _route(self) -> str:
        return self._session.peer.route

    def _check_path(self, path: str) -> None:
        if not path.startswith('/') or '\0' in path:
            raise ValueError(f'{path!r} is no absolute path')

    def _run(
        self,
        argv: Sequence[str],
        chunks: Iterator[bytes],
        progress: Progress | None,
        size: int,
        timeout_seconds: float,
        *,
        as_root: bool,
    ) -> Outcome:
        done = 0

        def sent(count: int) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(done, size)

        channel = commands.start(self._session, self._login, argv, as_root=as_root)
        exchange = commands.Exchange(
            session=self._session,
            channel=channel,
            command=shlex.quote(argv[0]),
            timeout_seconds=timeout_seconds,
        )
        return exchange.finish(chunks, sent)


def _hashed(content: BinaryIO, update: Callable[[bytes], None]) -> Iterator[bytes]:
    while chunk := content.read(_CHUNK):
        update(chunk)
        yield chunk


def _complaint(outcome: Outcome) -> str:
    text = outcome.stderr.decode(errors='replace').strip()
    return text[-500:] or f'exit code {outcome.exit_code}'
