# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge`: brings our agent into guests that are older than the upgrade feature.

Exit codes: 0 done and nothing is open, 1 it could not be done (one line on stderr tells why),
2 usage, 3 something is open, or lists differ.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.cmd.bridge import (
    audit,
    check,
    context,
    host_key,
    inventory,
    reach,
    reap,
    report,
    status,
)
from trove_upgrade.cmd.console import ending
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.conf import database as database_conf
from trove_upgrade.conf import fault, start

PROGRAM = 'trove-upgrade-bridge'
_STAYS = f'What it had finished stays; "{PROGRAM} resume RUN" goes on with a run.'
#: One file per command.
_COMMANDS = (check, inventory, reach, status, report, audit, reap, host_key)


def main(
    argv: Sequence[str] | None = None,
    *,
    log_in: Callable[[cfg.ConfigOpts, str | None], context.Cloud] = context.log_in,
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
            f'{PROGRAM}: the configuration cannot be read: {error.facts["found"]}', sys.stderr
        )
        return 2
    run = context.Context(conf, lambda: log_in(conf, arguments.os_cloud))
    try:
        return ending.run(lambda: arguments.command(run, arguments), PROGRAM, conf, _STAYS)
    finally:
        run.close()


def build_parser() -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser of a command line, and the commands that it takes."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description='Brings the agent of trove-upgrade into guests that are older than it.',
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
    parser.add_argument(
        '--os-cloud',
        metavar='NAME',
        help='cloud of clouds.yaml to log in to, "envvars" for the variables of an '
        'openrc file (default: [service_credentials] of the configuration)',
    )
    commands = Commands(parser)
    for command in _COMMANDS:
        command.add_commands(commands)
    return parser, commands


def _configuration(files: Sequence[str], directories: Sequence[str]) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    argv = [word for path in files for word in ('--config-file', path)]
    argv += [word for path in directories for word in ('--config-dir', path)]
    our_conf.register_opts(conf)
    compute_conf.register_credentials(conf)
    database_conf.register_connection_opts(conf)
    start.read(conf, argv, program='trove-upgrade')
    return conf
