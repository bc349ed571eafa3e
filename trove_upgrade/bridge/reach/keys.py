# SPDX-License-Identifier: Apache-2.0
"""Private keys of logins: files, read and opened before anything begins, and the SSH agent's."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Sequence

import paramiko

from trove_upgrade.bridge.reach import errors, logins

#: Returns the passphrase of a key file.
PassphraseOf = Callable[[pathlib.Path], str]


class KeyFiles:
    """Reader of key files.  One that several logins name is read once, and its passphrase is asked
    for once.
    """

    def __init__(self, passphrase_of: PassphraseOf | None = None) -> None:
        """:param passphrase_of: None: keys with a passphrase are refused."""
        self._passphrase_of = passphrase_of
        self._keys: dict[pathlib.Path, paramiko.PKey] = {}

    def read(self, path: pathlib.Path) -> paramiko.PKey:
        """Return the key of a file, as strict as OpenSSH: it is for this account alone.

        :raises LoginFileRefused: other accounts can read it.
        :raises LoginUnusable: it is no private key, or its passphrase is another.
        """
        if path not in self._keys:
            self._keys[path] = self._read(path)
        return self._keys[path]

    def _read(self, path: pathlib.Path) -> paramiko.PKey:
        logins.read_secret_file(path)
        try:
            return _opened(path, None)
        except (TypeError, paramiko.PasswordRequiredException):
            pass  # it has a passphrase
        if self._passphrase_of is None:
            raise errors.LoginUnusable(
                path=path,
                found='the key has a passphrase, and none of --ask-passphrase, --passphrase-file '
                'and, with the key in an SSH agent, --ssh-agent was given',
            )
        try:
            return _opened(path, self._passphrase_of(path).encode())
        except (TypeError, paramiko.PasswordRequiredException):
            raise errors.LoginUnusable(path=path, found='the passphrase is empty') from None


def _opened(path: pathlib.Path, passphrase: bytes | None) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path, passphrase)
    except (TypeError, paramiko.PasswordRequiredException):
        raise
    except Exception as error:  # noqa: BLE001 - cryptography raises many kinds for a bad file
        found = 'it is no private key' if passphrase is None else 'the passphrase does not open it'
        raise errors.LoginUnusable(path=path, found=f'{found} ({type(error).__name__})') from None


@contextlib.contextmanager
def agent_keys() -> Iterator[Sequence[paramiko.AgentKey]]:
    """Yield the keys of the operator's SSH agent, which signs while the block lasts.

    :raises LoginUnusable: there is no agent, or it has no key.
    """
    try:
        agent = paramiko.Agent()
    except (paramiko.SSHException, OSError) as error:
        raise _no_agent(f'it gives no keys ({error})') from error
    with contextlib.closing(agent):
        if not agent.get_keys():
            raise _no_agent('SSH_AUTH_SOCK leads to none, or it has no key; add one with ssh-add')
        yield agent.get_keys()


def _no_agent(found: str) -> errors.LoginUnusable:
    return errors.LoginUnusable(path='the SSH agent', found=found)
