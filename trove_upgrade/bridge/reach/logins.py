# SPDX-License-Identifier: Apache-2.0
"""Logins of guests and network nodes.  A password comes from a file or a prompt, and goes to the
server alone: never into an argument, the environment, a log or a `repr`.
"""

import dataclasses
import os
import pathlib
import stat
from collections.abc import Callable

import paramiko

from trove_upgrade.bridge.reach import errors

_FILE_BYTES = 1 << 16
_LONGEST_PASSWORD = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Login:
    """Account of one server, and the proofs that are tried in this order: keys, the agent's keys,
    the password.
    """

    user: str
    keys: tuple[paramiko.PKey, ...] = dataclasses.field(default=(), repr=False)
    #: ask the SSH agent of the operator: off, as it may hold keys that a server counts as attempts
    uses_agent: bool = False
    password: str | None = dataclasses.field(default=None, repr=False)

    @property
    def is_root(self) -> bool:
        """Return whether the account needs no sudo."""
        return self.user == 'root'

    @property
    def has_proof(self) -> bool:
        """Return whether there is anything that a server could be shown."""
        return bool(self.keys) or self.uses_agent or self.password is not None


def read_password(path: pathlib.Path) -> str:
    """Return the first line of a password file.

    :raises LoginFileRefused: other accounts can read it.
    :raises LoginUnusable: it holds no password.
    """
    text = read_secret_file(path)
    password, _, rest = text.partition('\n')
    password = password.removesuffix('\r')
    if rest.strip():
        raise errors.LoginUnusable(path=path, found='it has more than one line')
    return checked_password(password, str(path))


def ask_password(ask: Callable[[str], str], account: str) -> str:
    """Return the password that the operator types; `ask` shows nothing of it, as getpass does.

    :raises LoginUnusable: it cannot be sent.
    """
    return checked_password(ask(f'Password of {account}: '), 'the prompt')


def checked_password(password: str, path: str) -> str:
    """Return a password that can be sent: sudo and sshd end it at a line's end.

    :raises LoginUnusable: it is empty, too long, or has a control character.
    """
    if not password:
        raise errors.LoginUnusable(path=path, found='the password is empty')
    if len(password) > _LONGEST_PASSWORD or any(ord(character) < 32 for character in password):
        raise errors.LoginUnusable(
            path=path, found='the password is too long or has a control character'
        )
    return password


def read_secret_file(path: pathlib.Path, limit_bytes: int = _FILE_BYTES) -> str:
    """Return the text of a file that this account alone can read.

    The open file is looked at, not its name: a link that is changed meanwhile changes nothing.

    :raises LoginFileRefused: it is of another account, no plain file, or open to others.
    :raises LoginUnusable: it is not there, too long, or no text.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise errors.LoginUnusable(path=path, found=error.strerror) from error
    try:
        fault = _fault(os.fstat(descriptor))
        if fault:
            raise errors.LoginFileRefused(path=path, found=fault)
        content = os.read(descriptor, limit_bytes + 1)
    except OSError as error:
        raise errors.LoginUnusable(path=path, found=error.strerror) from error
    finally:
        os.close(descriptor)
    if len(content) > limit_bytes:
        raise errors.LoginUnusable(path=path, found=f'it is longer than {limit_bytes} bytes')
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise errors.LoginUnusable(path=path, found='it is not in UTF-8') from None


def _fault(found: os.stat_result) -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return 'it is no plain file'
    if found.st_uid != os.geteuid():
        return f'it belongs to the account {found.st_uid}, not to {os.geteuid()}'
    if stat.S_IMODE(found.st_mode) & 0o077:
        return f'its mode is {stat.S_IMODE(found.st_mode):04o}'
    return None
