# SPDX-License-Identifier: Apache-2.0
"""`make bundle`: makes the bundle of this checkout in dist/."""

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence

from lab import errors, packages
from lab.commands import HostCommands
from lab.images.builder import checkout_version
from lab.layout import Layout
from tools.bundle.maker import Maker
from tools.bundle.recipe import BULLSEYE
from trove_upgrade import signals

PROGRAM = 'bundle'
ROOT = pathlib.Path(__file__).resolve().parents[2]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description='Make the bundle that the bridge brings into old guests.'
    )
    parser.add_argument('--output', type=pathlib.Path, default=ROOT / 'dist', metavar='DIRECTORY')
    parser.add_argument(
        '--key', type=pathlib.Path, metavar='FILE', help='private key of Ed25519, in PEM'
    )
    parser.add_argument(
        '--refresh', action='store_true', help="fetch Python's source package again"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Make it, and print where it is; return the exit code."""
    signals.end_at_once(PROGRAM)
    options = _parser().parse_args(arguments)
    if os.geteuid() != 0:
        print(
            f'{PROGRAM}: root is needed, for a root of Debian. Run it with sudo.', file=sys.stderr
        )
        return 1
    cache = Layout.from_environ().cache_dir / 'bundle'
    maker = Maker(BULLSEYE, cache, ROOT, HostCommands(), print)
    try:
        _install_packages(cache)
        made = maker.make(
            options.output, checkout_version(), key=options.key, refresh=options.refresh
        )
    except errors.LabError as error:
        print(f'{PROGRAM}: {error}', file=sys.stderr)
        return 1
    print(f'{made}\n{made}.sha256')
    return 0


def _install_packages(cache: pathlib.Path) -> None:
    """Bring what makes a root of Debian: on a new machine nothing else has brought it yet."""
    missing = packages.missing()
    if missing:
        cache.mkdir(parents=True, exist_ok=True)
        packages.install(
            missing, cache / 'packages.log', lambda told: print(f'{PROGRAM}: packages: {told}')
        )


if __name__ == '__main__':
    sys.exit(main())
