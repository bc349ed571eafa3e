# SPDX-License-Identifier: Apache-2.0
"""Commands over a session: how one becomes root, and how its streams are read within bounds."""

import dataclasses
import secrets
import select
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence

import paramiko

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.reach.ports import OUTPUT_BYTES, Outcome
from trove_upgrade.bridge.reach.session import Session

_CHUNK = 32_000
#: The longest that one wait lasts; a wait that nothing ends is followed by a look at the deadline.
_TURN_SECONDS = 0.2
_NOISE_BYTES = 8192
#: Output is read for so long after the end of a command whose children keep its streams.
_LEFT_OPEN_SECONDS = 1.0
#: Unread output of a server that keeps to the window, which is 2 MiB, is less.
_BACKLOG_BYTES = 8 << 20
#: Reads after the end: they hold all of a window.
_LAST_READS = 100


def start(
    session: Session, login: Login, argv: Sequence[str], *, as_root: bool
) -> paramiko.Channel:
    """Return a channel on which a program begins, as root where that is asked for.

    Sudo is asked with a prompt of our own, and gets the password when that prompt comes: so the
    password never reaches the program's input where sudo needs none, and a second prompt means that
    it was wrong.  The program begins with a line of our own on its output, which is taken away.

    :raises SudoRefused: the program was not started.
    :raises NoSession: nor was this one.
    :raises ConnectionLost:
    """
    word = secrets.token_hex(8)
    begun, prompt = f'begun-{word}', f'password-{word}:'
    needs_sudo = as_root and not login.is_root
    if needs_sudo:
        ask = ('sudo', '-n') if login.password is None else ('sudo', '-S', '-p', prompt)
        script = 'printf "%s\\n" "$0" && exec "$@"'
        argv = (*ask, '--', 'sh', '-c', script, begun, *argv)
    channel = _opened(session)
    try:
        channel.exec_command(shlex.join(argv))  # nosec B601 # each word is quoted
        if needs_sudo:
            _become_root(session, channel, login, begun.encode(), prompt.encode())
    except (paramiko.SSHException, EOFError, OSError) as error:
        channel.close()
        raise lost(session, error) from error
    except BaseException:
        channel.close()
        raise
    return channel


def lost(session: Session, error: BaseException) -> errors.ConnectionLost:
    """Return our error for one of paramiko or of a socket."""
    return errors.ConnectionLost(**session.peer.where, found=str(error) or type(error).__name__)


def _opened(session: Session) -> paramiko.Channel:
    try:
        channel = session.transport.open_session(timeout=session.limits.channel_seconds)
    except paramiko.ChannelException as error:
        raise errors.NoSession(**session.peer.where, found=error.text) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise lost(session, error) from error
    channel.settimeout(session.limits.channel_seconds)
    return channel


def _become_root(
    session: Session, channel: paramiko.Channel, login: Login, begun: bytes, prompt: bytes
) -> None:
    deadline = session.clock.monotonic() + session.limits.login_seconds
    output, complaints, sent = b'', b'', False
    while session.clock.monotonic() < deadline:
        if channel.recv_ready():
            output += channel.recv(1)  # byte by byte: what follows is the program's
            if output.endswith(begun + b'\n'):
                return
            if len(output) > _NOISE_BYTES:
                break
        elif channel.recv_stderr_ready():
            complaints = (complaints + channel.recv_stderr(_CHUNK))[-_NOISE_BYTES:]
            if login.password is None or prompt not in complaints:
                continue
            if sent:
                raise _no_root(session, login, 'sudo did not take the password')
            complaints = complaints.replace(prompt, b'')
            channel.sendall(login.password.encode() + b'\n')
            sent = True
        elif channel.eof_received or channel.closed:
            break
        else:
            _wait_readable(channel)
    found = complaints.replace(prompt, b'').decode(errors='replace').strip()
    raise _no_root(session, login, found or 'sudo gave no answer')


def _wait_readable(channel: paramiko.Channel) -> None:
    waiting = select.poll()
    waiting.register(channel.fileno(), select.POLLIN)
    waiting.poll(_TURN_SECONDS * 1000)


def _no_root(session: Session, login: Login, found: str) -> errors.SudoRefused:
    return errors.SudoRefused(user=login.user, route=session.peer.route, found=found)


@dataclasses.dataclass
class _Kept:
    """Beginning of a stream."""

    content: bytearray = dataclasses.field(default_factory=bytearray)
    truncated: bool = False

    def add(self, chunk: bytes) -> None:
        """Keep what there is room for."""
        room = OUTPUT_BYTES - len(self.content)
        self.content += chunk[:room]
        self.truncated = self.truncated or len(chunk) > room


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exchange:
    """Streams of one command that has begun."""

    session: Session
    channel: paramiko.Channel
    command: str  #: for a message: its name alone
    timeout_seconds: float

    def finish(self, chunks: Iterable[bytes], sent: Callable[[int], None]) -> Outcome:
        """Send the input and read the output, by turns, until the command has ended.

        :raises CommandTimedOut, ConnectionLost:
        """
        deadline = self.session.clock.monotonic() + self.timeout_seconds
        out, err = _Kept(), _Kept()
        self.channel.settimeout(_TURN_SECONDS)
        try:
            self._exchange(iter(chunks), sent, out, err, deadline)
            exit_code = self.channel.recv_exit_status()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise lost(self.session, error) from error
        finally:
            self.channel.close()
        if exit_code < 0:
            raise lost(self.session, EOFError('the command ended without a status'))
        return Outcome(
            exit_code=exit_code,
            stdout=bytes(out.content),
            stderr=bytes(err.content),
            truncated=out.truncated or err.truncated,
        )

    def _exchange(
        self,
        chunks: Iterator[bytes],
        sent: Callable[[int], None],
        out: _Kept,
        err: _Kept,
        deadline: float,
    ) -> None:
        pending: bytes | None = b''
        while not self._ended():
            now = self.session.clock.monotonic()
            if self.channel.exit_status_ready():  # what it left running may hold its streams open
                deadline = min(deadline, now + _LEFT_OPEN_SECONDS)
                if now >= deadline:
                    break
                pending = None
            if now >= deadline:
                raise errors.CommandTimedOut(
                    command=self.command,
                    route=self.session.peer.route,
                    seconds=self.timeout_seconds,
                )
            self._read(out, err)
            if pending == b'':
                pending = next(chunks, None)
                if pending is None:
                    self.channel.shutdown_write()
            elif pending is not None:
                pending = self._send(pending, sent)
            else:
                self._wait()
        for _ in range(_LAST_READS):
            self._read(out, err)

    def _send(self, pending: bytes, sent: Callable[[int], None]) -> bytes | None:
        """Return what is left to send; None: the command reads no more."""
        try:
            count = self.channel.send(pending)
        except TimeoutError:
            return pending
        except OSError:  # closed by the other side: its exit code tells more
            return None
        sent(count)
        return pending[count:] if count else None

    def _read(self, out: _Kept, err: _Kept) -> None:
        """Read one chunk of each stream: a guest that sends without end must not hold up the look
        at the deadline.
        """
        if len(self.channel.in_buffer) + len(self.channel.in_stderr_buffer) > _BACKLOG_BYTES:
            raise EOFError('the server sends more than it was allowed to')
        if self.channel.recv_ready():
            out.add(self.channel.recv(_CHUNK))
        if self.channel.recv_stderr_ready():
            err.add(self.channel.recv_stderr(_CHUNK))

    def _ended(self) -> bool:
        return self.channel.closed or (
            self.channel.eof_received and self.channel.exit_status_ready()
        )

    def _wait(self) -> None:
        if self.channel.eof_received:  # the streams stay readable then: only the status is missing
            self.channel.status_event.wait(_TURN_SECONDS)
        else:
            _wait_readable(self.channel)
