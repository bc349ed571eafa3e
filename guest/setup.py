# SPDX-License-Identifier: Apache-2.0
"""The distribution trove-upgrade-guest: the part of the product that stands in guest images.

Its packages are those of the checkout; only what the agent imports is in it. Both distributions
bring the package trove_upgrade, so one environment has one of them.
"""

import pathlib

import setuptools
from pbr import packaging

_ROOT = pathlib.Path('..')
_PARTS = ('conf', 'domain', 'guestagent', 'rpc', 'sealing')
_FILES = _ROOT / 'etc' / 'trove-upgrade' / 'guest'


def _packages() -> list[str]:
    parts = [f'trove_upgrade.{part}' for part in _PARTS]
    below = [f'{part}.*' for part in parts]
    return setuptools.find_packages(
        str(_ROOT), include=['trove_upgrade', 'trove_upgrade.cmd', *parts, *below]
    )


def _data_files() -> list[tuple[str, list[str]]]:
    return [
        (
            f'etc/trove-upgrade/guest/{folder.name}',
            [str(path) for path in sorted(folder.iterdir()) if path.is_file()],
        )
        for folder in sorted(_FILES.iterdir())
        if folder.is_dir()
    ]


setuptools.setup(
    version=packaging.get_version('trove-upgrade-guest'),
    package_dir={'': str(_ROOT)},
    packages=_packages(),
    data_files=_data_files(),
)
