# SPDX-License-Identifier: Apache-2.0
"""Root of Debian 11 with nothing of ours in it, as the file system of an old guest.

Scripts run in namespaces of their own: no process outlives its script, the network is empty, and
what a script writes stays for the next one in a directory of the test's.
"""

import dataclasses
import pathlib
import subprocess

from lab.cache_lock import locked
from lab.commands import HostCommands
from lab.layout import Layout
from tools.bundle.recipe import BULLSEYE
from tools.bundle.runtime import RuntimeMaker

_ENTER = """
set -eu
lower=$1 upper=$2 work=$3 merged=$4
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$merged"
mount -t proc proc "$merged/proc"
exec chroot "$merged" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root /bin/sh -c "$5"
"""
_SECONDS = 600
#: Of bundles; a test's own HOME comes later.
CACHE = Layout.from_environ().cache_dir / 'bundle'


def plain() -> pathlib.Path:
    """Return the root, made where it is not in the cache; without a compiler, Python or xz."""
    recipe = dataclasses.replace(BULLSEYE, packages=('util-linux',))
    with locked(CACHE, print):
        return RuntimeMaker(recipe, CACHE, HostCommands(), print).root()


class BullseyeRoot:
    """One guest's file system over the root."""

    def __init__(self, lower: pathlib.Path, scratch: pathlib.Path) -> None:
        self._lower = lower
        self.upper, self._work, self._merged = (
            scratch / name for name in ('upper', 'work', 'merged')
        )
        for path in (self.upper, self._work, self._merged):
            path.mkdir()

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file, between scripts."""
        target = self.upper / path.lstrip('/')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(mode)

    def read(self, path: str) -> str:
        """Return a file that a script has written."""
        return (self.upper / path.lstrip('/')).read_text('utf-8')

    def run(self, script: str, *, check: bool = True) -> 'subprocess.CompletedProcess[str]':
        """Run a script of its shell to the end, and end all that it has started."""
        done = subprocess.run(
            [
                *('nice', '-n', '19', 'unshare', '--mount', '--pid', '--fork', '--net', '--ipc'),
                *('--kill-child', '--', '/bin/sh', '-c', _ENTER, 'enter'),
                *(str(path) for path in (self._lower, self.upper, self._work, self._merged)),
                script,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f'{done.returncode}: {done.stdout}{done.stderr}')
        return done
