# SPDX-License-Identifier: Apache-2.0
"""Options of logins: accounts in guests, keys, passwords.  All files are read before the work."""

import argparse
import dataclasses
import getpass
import pathlib
from collections.abc import Callable, Sequence

from trove_upgrade.bridge.reach.accounts import Accounts, read_accounts
from trove_upgrade.bridge.reach.keys import KeyFiles, agent_keys
from trove_upgrade.bridge.reach.logins import Login, ask_password, read_password
from trove_upgrade.cmd.console.printing import UsageError

#: Shows a prompt and returns what is typed, which the terminal does not show.
Ask = Callable[[str], str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proofs:
    """Means by which logins are proved."""

    key_files: KeyFiles
    uses_agent: bool

    def login(self, user: str, names: Sequence[str], password: str | None = None) -> Login:
        """Return a login by key files.

        :raises LoginUnusable, LoginFileRefused: one cannot be used.
        """
        keys = tuple(self.key_files.read(pathlib.Path(name)) for name in names)
        return Login(user=user, keys=keys, uses_agent=self.uses_agent, password=password)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of accounts in guests, and of all keys."""
    guests = parser.add_argument_group('accounts of guests')
    guests.add_argument('--user', default='root', help='account in the guests (default: root)')
    guests.add_argument(
        '--key-file', action='append', default=[], metavar='FILE', help='private key; several'
    )
    guests.add_argument(
        '--password-file', metavar='FILE', help='file of mode 600 with the password in its line'
    )
    guests.add_argument(
        '--ask-password', action='store_true', help='ask for the password on the terminal'
    )
    guests.add_argument(
        '--accounts',
        metavar='FILE',
        help='accounts of single instances: JSON, YAML or CSV, see the documentation',
    )
    guests.add_argument(
        '--allow-sha1-rsa',
        action='store_true',
        help='allow RSA with SHA-1, for guests of an OpenSSH before 7.2',
    )
    _add_keys(parser)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    keys = parser.add_argument_group('keys of guests, network nodes and controllers')
    keys.add_argument(
        '--passphrase-file',
        metavar='FILE',
        help='file of mode 600 with the passphrase of the private keys that have one',
    )
    keys.add_argument(
        '--ask-passphrase',
        action='store_true',
        help='ask on the terminal for the passphrase of each private key that has one',
    )
    keys.add_argument(
        '--ssh-agent',
        action='store_true',
        help='after the key files, try the keys of the SSH agent of SSH_AUTH_SOCK',
    )


def proofs(arguments: argparse.Namespace, ask: Ask = getpass.getpass) -> Proofs:
    """Return the means that the options name.

    :raises UsageError: options contradict each other.
    :raises LoginUnusable, LoginFileRefused: a file or the SSH agent cannot be used.
    """
    if arguments.passphrase_file and arguments.ask_passphrase:
        raise UsageError('--passphrase-file and --ask-passphrase contradict each other')
    if arguments.ssh_agent:
        with agent_keys():
            pass  # it is there, and has a key
    key_files = KeyFiles()
    if arguments.passphrase_file:
        passphrase = read_password(pathlib.Path(arguments.passphrase_file))
        key_files = KeyFiles(lambda _: passphrase)
    elif arguments.ask_passphrase:
        key_files = KeyFiles(lambda path: ask(f'Passphrase of {path}: '))
    return Proofs(key_files=key_files, uses_agent=arguments.ssh_agent)


def accounts(arguments: argparse.Namespace, means: Proofs, ask: Ask = getpass.getpass) -> Accounts:
    """Return the accounts of guests.

    :raises UsageError: options contradict each other.
    :raises LoginUnusable, LoginFileRefused: a file cannot be used.
    """
    if arguments.password_file and arguments.ask_password:
        raise UsageError('--password-file and --ask-password contradict each other')
    password = None
    if arguments.password_file:
        password = read_password(pathlib.Path(arguments.password_file))
    elif arguments.ask_password:
        password = ask_password(ask, f'{arguments.user} in the guests')
    default = means.login(arguments.user, arguments.key_file, password)
    if arguments.accounts is None:
        return Accounts(default)
    return read_accounts(pathlib.Path(arguments.accounts), default, means.key_files)


def require(found: Accounts, instance_ids: Sequence[str]) -> None:
    """Refuse instances whose login nothing would prove.

    :raises UsageError: there is one.
    """
    without = [one for one in instance_ids if not found.login_of(one).has_proof]
    if without:
        raise UsageError(
            f'nothing proves the login of {len(without)} instances, the first of which is '
            f'{without[0]}: give --key-file, --password-file, --ask-password or --ssh-agent, or '
            'name a key or a password for it in the file of --accounts'
        )
