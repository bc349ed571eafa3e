# SPDX-License-Identifier: Apache-2.0
"""Shell of an old guest in memory, and a bundle for it, behind the bridge's ports."""

import dataclasses
import hashlib
import pathlib
import types

from trove_upgrade.bridge.bundle import archive
from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.ports import Outcome

INSTANCE = '11111111-2222-3333-4444-555555555555'
STAGING = '/opt/trove-upgrade-bridge/staging'
CONF = '/etc/trove/conf.d/trove-guestagent.conf'
FACTS = {
    'format': '1',
    'uid': '0',
    'libc': '2.31',
    'machine': 'x86_64',
    'bits': '64',
    'init': 'sysv',
    'boot': 'update-rc.d',
    'layout': 'deb',
    'distribution': 'debian 11',
    'has_gzip': 'yes',
    'has_tar': 'yes',
    'has_sha256sum': 'yes',
    'has_setsid': 'yes',
    'has_xz': 'no',
    'free_kb': '9000000',
    'agent_service': 'trove-guestagent',
    'agent_processes': '30:1000',
    'agent_file': CONF,
    'database_service': 'mariadb',
    'database_processes': '50:2000',
    'our_agent': 'stopped',
    'has_product': 'no',
    'upgrade_holds': 'no',
}


class GuestShell:
    """Answers as the installer does; `answers` are those that differ, by command."""

    def __init__(self, **facts):
        self.facts = {**FACTS, **facts}
        self.files = {CONF: b'[DEFAULT]\ntransport_url = rabbit://t:of-the-broker@10.0.0.5/\n'}
        self.answers = {}
        self.commands = []  #: with their arguments
        self.modes = {}  #: of what was uploaded
        self.sources = []  #: where it came from on this host, and the mode there
        self.inputs = []
        self.is_open = True
        self.after = {}  #: facts that are others once a command has run
        self.on_effect = lambda what: None

    def run(self, argv, *, input=b'', timeout_seconds, as_root=False):  # noqa: A002 - the port has it
        assert argv[:3] == ['sh', '-s', '--'], argv
        assert as_root
        if not self.is_open:
            raise errors.ConnectionLost(address='a', port=22, route='r', found='it was closed')
        command = argv[3]
        if command != 'inspect':
            self.on_effect(command)
        self.commands.append(argv[3:])
        self.inputs.append(input)
        self.facts.update(self.after.pop(command, {}))
        code, out, err = self.answers.get(command, (0, self._said(command), ''))
        return Outcome(exit_code=code, stdout=out.encode(), stderr=err.encode(), truncated=False)

    def _said(self, command):
        if command == 'inspect':
            return ''.join(f'{name}={value}\n' for name, value in self.facts.items())
        return f'staging={STAGING}\n' if command == 'prepare' else ''

    def upload(self, source, path, *, mode, timeout_seconds, as_root=False, progress=None):
        self.on_effect(path)
        content = source.read_bytes()
        self.files[path], self.modes[path] = content, mode
        self.sources.append((source, source.parent.stat().st_mode & 0o777))
        return hashlib.sha256(content).hexdigest()

    def read_file(self, path, *, limit_bytes, timeout_seconds, as_root=False):
        if path not in self.files:
            raise errors.FileUnreadable(path=path, route='here', found='no such file')
        return self.files[path]

    def close(self):
        self.is_open = False


@dataclasses.dataclass(frozen=True)
class Sent:
    """Archive for a guest."""

    path: pathlib.Path
    sha256: str


class Bundle:
    """Bundle whose archive is a few bytes."""

    sha256 = 'f' * 64
    manifest = types.SimpleNamespace(glibc='2.31', architecture='x86_64')

    def require_same(self, sha256):
        raise archive.BundleChanged(path='trove.1.0.tar.xz', found=f'its SHA-256 is {sha256}')

    def for_guest(self, directory, *, has_xz):
        path = directory / f'trove.1.0{".tar.xz" if has_xz else ".tar.gz"}'
        path.write_bytes(b'archive')
        return Sent(path, hashlib.sha256(b'archive').hexdigest())
