# SPDX-License-Identifier: Apache-2.0
"""Ingredients of a bundle."""

from __future__ import annotations

import dataclasses
from pathlib import Path

FILES = Path(__file__).parent / 'files'
#: Makes the runtime inside the root.
COMPILE = FILES / 'compile-python'
#: Below the bundle: the runtime, and where Debian's Python looks for packages.
RUNTIME = Path('python')
PACKAGES = RUNTIME / 'lib' / 'python3' / 'dist-packages'
#: Time of every file in an archive, in seconds: the same bytes come out of two builds.
FILE_TIME = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Versions that a bundle is made of.

    `suite` is the Debian whose C library is the oldest that the bundle runs on, `glibc` the version
    of that; `source_suite` the one whose source package of Python is compiled.
    """

    suite: str
    glibc: str
    source_suite: str
    source_package: str
    python_version: str
    packages: tuple[str, ...]

    @property
    def platforms(self) -> tuple[str, ...]:
        """Return the tags of wheels that run on that C library, the newest first."""
        major, minor = (int(part) for part in self.glibc.split('.'))
        return (
            *(f'manylinux_{major}_{number}' for number in range(minor, 4, -1)),
            'manylinux2014',
            'manylinux2010',
            'manylinux1',
        )


BULLSEYE = Recipe(
    suite='bullseye',
    glibc='2.31',
    source_suite='bookworm',
    source_package='python3.11',
    python_version='3.11',
    packages=(
        'build-essential',
        'dpkg-dev',
        'libbz2-dev',
        'libexpat1-dev',
        'libffi-dev',
        'liblzma-dev',
        'libssl-dev',
        'patchelf',
        'pkg-config',
        'uuid-dev',
        'zlib1g-dev',
    ),
)
