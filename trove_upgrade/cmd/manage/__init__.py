# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage`: what an operator does to the database of trove-upgrade, without SQL.

Exit codes: 0 done, 1 it could not be done (one line on stderr says why), 2 usage; the others stand
in `db.migrations.exit_codes`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import nova
from trove_upgrade.cmd.console import ending
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line
from trove_upgrade.cmd.manage import (
    context,
    datastore,
    db,
    guest_key,
    instance,
    queue,
    service,
    upgrade,
)
from trove_upgrade.conf import database as database_conf
from trove_upgrade.conf import fault, start
from trove_upgrade.domain import ports

PROGRAM = 'trove-upgrade-manage'
#: One file per noun; each adds its subcommands.
_NOUNS = (db, datastore, upgrade, instance, guest_key, service, queue)


def main(
    argv: Sequence[str] | None = None,
    *,
    compute: Callable[[cfg.ConfigOpts], ports.Compute] = nova.Nova.from_conf,
) -> int:
    """Run one command and return its exit code."""
    ending.quiet()
    parser, _ = build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has printed the usage, or the help
        code = int(stop.code or 0)
        return ending.run(lambda: code, PROGRAM)
    try:
        conf = _configuration(arguments.config_file, arguments.config_dir)
    except fault.ConfigurationInvalid as error:
        print_line(
            f'{PROGRAM}: the configuration cannot be read: {error.facts["found"]}',
            sys.stderr,
        )
        return 2
    return _run(arguments, context.Context(conf, compute))


def _run(arguments: argparse.Namespace, run: context.Context) -> int:
    try:
        return ending.run(lambda: arguments.command(run, arguments), PROGRAM, run.conf)
    finally:
        run.close()


def build_parser() -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser of a command line, and the commands that it takes."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description='Manages the database of trove-upgrade.'
    )
    parser.add_argument(
        '--config-file',
        action='append',
        default=[],
        metavar='FILE',
        help="configuration file; may be given several times (default: oslo.config's places for "
        'trove-upgrade)',
    )
    parser.add_argument(
        '--config-dir',
        action='append',
        default=[],
        metavar='DIR',
        help='directory of configuration files',
    )
    commands = Commands(parser)
    for noun in _NOUNS:
        noun.add_commands(commands)
    return parser, commands


def _configuration(files: Sequence[str], directories: Sequence[str]) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    argv = [word for path in files for word in ('--config-file', path)]
    argv += [word for path in directories for word in ('--config-dir', path)]
    our_conf.register_opts(conf)
    database_conf.register_connection_opts(conf)
    start.read(conf, argv, program='trove-upgrade')
    return conf
