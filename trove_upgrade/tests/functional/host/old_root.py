# SPDX-License-Identifier: Apache-2.0
"""Root disk of an old guest in namespaces of the test's own: the old agent and the database run in
it, nothing of it outlives the test, and no lab is needed.  Its init is no init: sysv scripts run.
"""

import hashlib
import pathlib
import subprocess

import fixtures

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.ports import Outcome
from trove_upgrade.tests.functional.host import private_mariadb

INSTANCE = '11111111-2222-3333-4444-555555555555'
PROJECT = 'a' * 32
SECONDS = 120
_NAMESPACES = ('--mount', '--propagation', 'private', '--net', '--uts', '--pid', '--fork')
_ENTER = r"""
set -e
mount -t tmpfs none "$HERE"
mkdir "$HERE/lower" "$HERE/upper" "$HERE/work" "$HERE/root"
mount -o loop,ro "$IMAGE" "$HERE/lower"
mount -t overlay -o "lowerdir=$HERE/lower,upperdir=$HERE/upper,workdir=$HERE/work" none "$HERE/root"
cd "$HERE/root"
mount -t proc none proc
for place in run tmp; do mount -t tmpfs -o mode=1777 none "$place"; done
mount -t tmpfs -o mode=755 none dev
for name in null zero urandom random; do
    : > "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/shm
hostname old-guest
ip link set lo up
exec chroot . /bin/sh -c 'echo ready; while :; do sleep 3600; done'
"""
_FILES = {
    '/etc/hosts': '127.0.0.1 localhost\n127.0.1.1 old-guest\n',
    '/etc/trove/conf.d/guest_info.conf': (
        f'[DEFAULT]\nguest_id={INSTANCE}\ndatastore_manager=mariadb\ntenant_id={PROJECT}\n'
    ),
    '/etc/trove/conf.d/trove-guestagent.conf': (
        '[DEFAULT]\ntransport_url = rabbit://trove:of-the-broker@127.0.0.1:5672/trove\n'
        'log_dir = /var/log/trove\n'
    ),
}
_DATABASE = """
mkdir -p /var/lib/mysql/data /run/mysqld
chown -R mysql:mysql /var/lib/mysql/data /run/mysqld
mariadb-install-db --user=mysql --datadir=/var/lib/mysql/data --skip-test-db
printf '[mysqld]\ndatadir = /var/lib/mysql/data\n' > /etc/mysql/mariadb.conf.d/99-data.cnf
"""
#: Names, kinds, modes, owners, targets of links; content of files.  Times differ.
_LISTING = r"""
find / -xdev ! -path '/proc*' ! -path '/var/lib/mysql*' ! -path '/var/log/*.log' ! -path '/tmp*' \
    -printf '%p %y %m %u %g %l\n' | sort
find /run -printf '%p %y %m %u %g\n' | sort
find /etc /opt /root /usr/local -xdev -type f -exec sha256sum {} + | sort
"""


class OldRoot(fixtures.Fixture):
    """The guest; a `Shell` of the bridge, too, as root."""

    def __init__(self, image: pathlib.Path) -> None:
        super().__init__()
        self.image = image

    def _setUp(self):
        here = pathlib.Path(
            self.useFixture(fixtures.TempDir(rootdir=private_mariadb.PLACE)).path
        ).resolve()
        self._process = subprocess.Popen(
            ['nice', '-n', '19', 'unshare', *_NAMESPACES, '--kill-child', 'sh', '-c', _ENTER],
            env={'HERE': str(here), 'IMAGE': str(self.image), 'PATH': '/usr/sbin:/usr/bin:/bin'},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(self._end)
        first = self._process.stdout.readline()
        if first != 'ready\n':
            raise RuntimeError(f'no guest: {first}{self._process.communicate()[0]}')
        children = pathlib.Path(f'/proc/{self._process.pid}/task/{self._process.pid}/children')
        self.pid = children.read_text().split()[0]
        for path, text in _FILES.items():
            self.write(path, text.encode(), 0o644)
        self.sh('agent=/etc/init.d/trove-guestagent; [ ! -x $agent ] || $agent start')

    def _end(self):
        self._process.kill()
        self._process.communicate()

    def start_database(self):
        """Start MariaDB under mysqld_safe, by the script of its package."""
        self.sh(_DATABASE)
        self.sh('/etc/init.d/mariadb start')

    def sh(self, script, *arguments, check=True):
        """Return the output of a script."""
        done = self._run(['sh', '-ec', script, 'sh', *arguments], b'', SECONDS)
        if check and done.returncode:
            raise AssertionError(f'{script}: {done.returncode} {done.stdout} {done.stderr}')
        return done.stdout.decode()

    def write(self, path, content, mode):
        """Write a file, its directory made where it is missing."""
        script = (
            'mkdir -p "$(dirname "$1")" && rm -f "$1" && umask 077 && cat > "$1" && chmod "$2" "$1"'
        )
        done = self._run(['sh', '-c', script, 'sh', path, f'{mode:o}'], content, SECONDS)
        if done.returncode:
            raise AssertionError(done.stderr.decode())

    def listing(self):
        """Return what is on the root disk, line by line."""
        return self.sh(_LISTING).splitlines()

    def _run(self, argv, content, seconds):
        enter = ('nsenter', '--target', self.pid, '--mount', '--net', '--uts', '--pid', '--root')
        return subprocess.run(
            [*enter, 'env', '-i', '-C', '/', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', *argv],
            input=content,
            capture_output=True,
            timeout=seconds,
        )

    # --- as the bridge's Shell --------------------------------------------------------------------

    def run(self, argv, *, input=b'', timeout_seconds, as_root=False):  # noqa: A002 - the port has it
        done = self._run(argv, input, timeout_seconds)
        return Outcome(
            exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr, truncated=False
        )

    def upload(self, source, path, *, mode, timeout_seconds, as_root=False, progress=None):
        self.write(path, source.read_bytes(), mode)
        return hashlib.sha256(source.read_bytes()).hexdigest()

    def read_file(self, path, *, limit_bytes, timeout_seconds, as_root=False):
        done = self._run(['cat', path], b'', timeout_seconds)
        if done.returncode:
            raise errors.FileUnreadable(path=path, route='here', found=done.stderr.decode())
        return done.stdout

    def close(self):
        """The guest goes on."""
