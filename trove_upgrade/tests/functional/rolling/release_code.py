# SPDX-License-Identifier: Apache-2.0
"""The code of a release, in a directory that goes first on the path of a process.

A former release is not installed: it is taken out of the history of this repository.
"""

import dataclasses
import io
import os
import pathlib
import subprocess
import tarfile
import tempfile

import fixtures

import trove_upgrade

ROOT = pathlib.Path(trove_upgrade.__file__).parents[1]
#: The last commit of release borealis.
BOREALIS_COMMIT = '17b338522d11854464316c6ceed4aebe937da03e'


@dataclasses.dataclass(frozen=True)
class Code:
    """What a process runs."""

    release: str
    directory: pathlib.Path

    def environment(self):
        """For a process that imports `trove_upgrade` of this code."""
        return {**os.environ, 'PYTHONPATH': str(self.directory), 'PYTHONDONTWRITEBYTECODE': '1'}


INSTALLED = Code('cygnus', ROOT)


class Borealis(fixtures.Fixture):
    """Release borealis, as its last commit has it; `code` once it is set up."""

    def _setUp(self):
        holder = tempfile.TemporaryDirectory(
            prefix='tu-borealis-', dir=os.environ.get('TROVE_UPGRADE_TMP', '/tmp')
        )
        self.addCleanup(holder.cleanup)
        with tarfile.open(fileobj=io.BytesIO(packed(BOREALIS_COMMIT))) as archive:
            archive.extractall(holder.name, filter='data')
        self.code = Code('borealis', pathlib.Path(holder.name))


def packed(commit):
    """The package as this commit has it, as a tar file."""
    # the checkout may belong to another user than the tests'
    git = ['git', '-c', f'safe.directory={ROOT}', '-C', str(ROOT)]
    done = subprocess.run([*git, 'archive', commit, 'trove_upgrade'], capture_output=True)
    if done.returncode:
        raise AssertionError(
            f'The code of release borealis, commit {commit}, cannot be taken out of the history of '
            f'{ROOT}: {done.stderr.decode(errors="replace").strip()}. These tests need a clone '
            'with its whole history: "git fetch --unshallow" gets it for a shallow one; an '
            'unpacked archive has none.'
        )
    return done.stdout
