# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-lab`: the one-machine cloud for the demo and the functional tests."""

import argparse
import os
import pathlib
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from lab import cleanup, composition, errors
from lab.cloud import Cloud
from lab.layout import Layout
from lab.progress import Progress
from lab.servers import Server
from trove_upgrade import signals, terminal

PROGRAM = 'trove-upgrade-lab'
USERS = ('demo', 'admin', 'reader', 'other', 'trove')
DEFAULT_ROWS = 1_000_000
#: Of each of the three old guests of the bridge's demonstration.
OLD_GUESTS_ROWS = 100_000


class Lab:
    """The subcommands.  Each returns the exit code."""

    def __init__(self, layout: Layout, cloud: Cloud, progress: Progress) -> None:
        self._layout = layout
        self._cloud = cloud
        self._progress = progress

    def up(self, arguments: argparse.Namespace) -> int:
        """Bring the cloud up, with --trove also real Trove, with --product also our services on it,
        set for tests; with --bridge our services and guests from before the upgrade feature.
        """
        before = self._cloud.is_up()
        groups = arguments.security_groups or arguments.bridge
        try:
            self._cloud.up(self._progress, security_groups=groups)
            if arguments.bridge:
                from lab.bridge import stage as bridge_stage

                bridge_stage.set_stage(self._layout, self._cloud, self._progress)
            elif arguments.trove:
                from lab.trove import stage as trove_stage

                trove_stage.start(
                    self._layout, self._cloud, self._progress, with_product=arguments.product
                )
            elif arguments.product:
                from lab import stage  # down must not depend on what builds images

                stage.set_stage(self._layout, self._cloud, self._progress, stage.QUICK)
        except BaseException:
            if not before:
                self._cloud.down(self._progress)
            raise
        print(
            'The cloud is up. For the clients: eval "$(trove-upgrade-lab env)". End it with: '
            'trove-upgrade-lab down'
        )
        return 0

    def down(self, _arguments: argparse.Namespace) -> int:
        """End it; nothing to end is fine."""
        self._cloud.down(self._progress)
        return 0

    def clean(self, _arguments: argparse.Namespace) -> int:
        """End it and remove every cache: images, virtual environments, databases, logs."""
        self._cloud.down(self._progress)
        for directory in (self._layout.cache_dir, self._layout.run_dir):
            left = cleanup.mounts(directory)
            if left:
                raise errors.LabError(
                    f'Cannot remove {directory}: {", ".join(left)} is mounted there. Unmount it '
                    'first.'
                )
            shutil.rmtree(directory, ignore_errors=True)
        self._layout.lock_file.unlink(missing_ok=True)
        return 0

    def status(self, _arguments: argparse.Namespace) -> int:
        """Print which processes of the cloud, and which guests, run.

        Returns 0 when all that belongs to the cloud runs, 1 when some of it does not, or all is
        down.
        """
        services = self._cloud.status()
        for service in services:
            print(f'{service.name:24} {service.pid:8} {"runs" if service.running else "DEAD"}')
        for guest in self._guests():
            pid = guest.pid
            print(
                terminal.printable(
                    f'guest {guest.id} {guest.name:20} {f"runs ({pid})" if pid else "stopped"}'
                )
            )
        if not services:
            print(f'No cloud is up in {self._layout.run_dir}.')
        return 0 if services and all(service.running for service in services) else 1

    def env(self, arguments: argparse.Namespace) -> int:
        """Print exports for the unmodified clients."""
        for name, value in self._cloud.env(arguments.user).items():
            print(f'export {name}={shlex.quote(value)}')
        print(f'export PATH={shlex.quote(str(pathlib.Path(sys.executable).parent))}:$PATH')
        return 0

    def exec(self, arguments: argparse.Namespace) -> int:
        """Become a program in a guest, as root; does not return where it succeeds."""
        command = [part for part in arguments.argv if part != '--'] or ['/bin/bash', '-l']
        guest = self._guest(arguments.server)
        if not guest.running:
            raise errors.LabError(
                f'Guest {guest.id} does not run. Start its server first.',
                code='lab_guest_down',
            )
        program, *options = guest.entry()
        _become(program, [*options, *command])

    def images(self, arguments: argparse.Namespace) -> int:
        """Build the guest images that the cache lacks, and say where they are; needs no cloud."""
        from lab import packages, preflight, stage
        from lab.images import recipes

        if not preflight.Machine().is_root():
            raise errors.MachineLacks((preflight.NOT_ROOT,))
        missing = packages.missing()
        if missing:
            with self._progress.phase('Installing packages') as tell:
                packages.install(missing, self._layout.log_file('packages'), tell)
        with self._progress.phase('Building the guest images') as tell:
            if arguments.trove:
                from lab.trove import stage as trove_stage

                built = trove_stage.build(self._layout, tell)
            else:
                built = stage.build_images(self._layout, tell, recipes.BOOKWORM, recipes.TRIXIE)
        for image in built:
            print(f'{image.name}: {image.path}')
        return 0

    def demo(self, arguments: argparse.Namespace) -> int:
        """Upgrade one real guest and show the proof."""
        if arguments.trove:
            from lab.demo import beside_trove

            return beside_trove.main(
                self._layout, self._cloud, self._progress, rows=arguments.rows, keep=arguments.keep
            )
        if arguments.bridge:
            from lab.demo import old_guests

            return old_guests.main(
                self._layout,
                self._cloud,
                self._progress,
                rows=min(arguments.rows, OLD_GUESTS_ROWS),
                keep=arguments.keep,
            )
        from lab.demo import run

        return run.main(
            self._layout,
            self._cloud,
            self._progress,
            rows=arguments.rows,
            keep=arguments.keep,
            client=arguments.client,
        )

    def _guests(self) -> list[Server]:
        if not self._layout.guests_dir.is_dir():
            return []
        return list(composition.hypervisor(self._layout.hypervisor_dir).guests.all())

    def _guest(self, wanted: str) -> Server:
        """Find a guest by the server's id, the beginning of it, or its name."""
        guests = self._guests()
        found = [guest for guest in guests if guest.id.startswith(wanted) or guest.name == wanted]
        if len(found) != 1:
            known = ', '.join(f'{guest.name} ({guest.id})' for guest in guests) or 'none'
            raise errors.LabError(
                f'{len(found)} guests are called {wanted!r}. There are: {known}.',
                code='lab_no_guest',
            )
        return found[0]


def _become(program: str, arguments: Sequence[str]) -> NoReturn:
    env = {
        'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        'HOME': '/root',
        'LANG': 'C.UTF-8',
        'TERM': os.environ.get('TERM', 'dumb'),
    }
    path = shutil.which(program)
    if path is None:
        raise errors.LabError(
            f'{program} is not installed. Run trove-upgrade-lab up, which installs it.'
        )
    sys.stdout.flush()
    os.execve(path, [program, *arguments], env)


def build_parser(lab: Lab) -> tuple[argparse.ArgumentParser, Sequence[str]]:
    """Return the parser of a command line, and the names of the commands that it takes."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')

    def add(name: str, function: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=(function.__doc__ or '').splitlines()[0])
        command.set_defaults(function=function)
        return command

    _add_up_options(add('up', lab.up))
    add('down', lab.down)
    add('status', lab.status)
    add('env', lab.env).add_argument('user', nargs='?', default='demo', choices=USERS)
    execute = add('exec', lab.exec)
    execute.add_argument('server', help='id, beginning of the id, or name')
    execute.add_argument(
        'argv', nargs=argparse.REMAINDER, metavar='-- COMMAND', help='a shell when left out'
    )
    add('images', lab.images).add_argument(
        '--trove', action='store_true', help="those of Trove's guests, and the container images"
    )
    _add_demo_options(add('demo', lab.demo))
    add('clean', lab.clean)
    return parser, tuple(commands.choices)


def _add_up_options(up: argparse.ArgumentParser) -> None:
    up.add_argument(
        '--product', action='store_true', help='also our API and taskmanager, and two versions'
    )
    up.add_argument(
        '--trove',
        action='store_true',
        help='also real Trove; with --product our filter in its API and our taskmanager beside it',
    )
    up.add_argument(
        '--bridge',
        action='store_true',
        help='also our services, two tenants, a network node and three old guests; their ports are '
        'closed',
    )
    up.add_argument(
        '--security-groups',
        action='store_true',
        help="enforce Neutron's security groups at the guests' ports",
    )


def _add_demo_options(demo: argparse.ArgumentParser) -> None:
    which = demo.add_mutually_exclusive_group()
    which.add_argument(
        '--trove',
        action='store_true',
        help='an instance of real Trove, made and upgraded with its own client',
    )
    which.add_argument(
        '--bridge',
        action='store_true',
        help='three guests from before the upgrade feature, brought over by one run of the bridge',
    )
    demo.add_argument('--keep', action='store_true', help='leave the cloud up')
    demo.add_argument('--rows', type=int, default=DEFAULT_ROWS, help='rows of the largest table')
    demo.add_argument(
        '--client',
        choices=('trove', 'openstack'),
        default='trove',
        help='whose upgrade command is used',
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code.  What a signal ends is cleaned up as after a failure."""
    layout = Layout.from_environ()
    parser, _ = build_parser(Lab(layout, Cloud(layout), Progress()))
    arguments = parser.parse_args(argv)
    try:
        return signals.run(PROGRAM, lambda: int(arguments.function(arguments)))
    except errors.LabError as error:
        print(terminal.printable_lines(f'{PROGRAM}: {error}'), file=sys.stderr)
        return 1
