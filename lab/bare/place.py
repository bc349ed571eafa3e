# SPDX-License-Identifier: Apache-2.0
"""Paths and names of the bare machine on the machine that carries it."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

VARIABLE = 'TROVE_UPGRADE_BARE'
DEFAULT_PARENT = pathlib.Path('/var/tmp')  # nosec B108 # of a machine for trials, whose users are trusted

#: Everything of the kernel's that outlives a process carries this name.
NAME = 'trove-upgrade-bare'
#: Held while a bare machine exists, in whatever directory: the name above is one for all.
LOCK = pathlib.Path('/run') / f'{NAME}.lock'


@dataclasses.dataclass(frozen=True)
class Place:
    """Directory of one bare machine, and what is in it."""

    directory: pathlib.Path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> 'Place':
        """Return the place below the directory that the environment names.

        It has a directory of its own there: its mode is changed, and what is in it is removed.
        """
        return cls(pathlib.Path(environ.get(VARIABLE) or DEFAULT_PARENT).absolute() / NAME)

    @property
    def root(self) -> pathlib.Path:
        """Root file system; never below a mount of the machine, and nothing is mounted in it
        outside the namespaces.
        """
        return self.directory / 'root'

    @property
    def logs(self) -> pathlib.Path:
        """Output of each target, and of the making; stays after the end."""
        return self.directory / 'log'

    @property
    def shared_directories(self) -> pathlib.Path:
        """List of directories of the machine that are shown read-only in the bare machine, one in a
        line.
        """
        return self.directory / 'shared-directories'

    @property
    def cgroup_scratch(self) -> pathlib.Path:
        """Mount point for control groups, used inside of private mount namespaces."""
        return self.directory / 'cgroup'

    @property
    def results(self) -> pathlib.Path:
        """Lines 'TARGET EXIT_CODE SECONDS', written inside."""
        return self.root / 'root' / 'results'
