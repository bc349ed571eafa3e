# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge`: brings our agent into guests that are older than the upgrade feature.

Exit codes: 0 done and nothing is open, 1 it could not be done (one line on stderr tells why),
2 usage, 3 something is open, or lists differ.
"""

import argparse
from collections.abc import Callable, Sequence

from oslo_config import cfg

from trove_upgrade.cmd.bridge import (
    audit,
    check,
    context,
    host_key,
    inventory,
    reap,
    report,
    run,
    status,
)
from trove_upgrade.cmd.console import program
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.conf import compute as compute_conf

PROGRAM = 'trove-upgrade-bridge'
_STAYS = f'What it had finished stays; "{PROGRAM} resume RUN" goes on with a run.'
#: One file per command.
_COMMANDS = (check, inventory, run, status, report, audit, reap, host_key)


def main(
    argv: Sequence[str] | None = None,
    *,
    log_in: Callable[[cfg.ConfigOpts, str | None], context.Cloud] = context.log_in,
) -> int:
    """Run one command and return its exit code."""

    def context_of(arguments: argparse.Namespace) -> context.Context:
        conf = program.configuration(arguments, compute_conf.register_credentials)
        return context.Context(conf, lambda: log_in(conf, arguments.os_cloud))

    parser, _ = build_parser()
    return program.run(parser, argv, context_of, _STAYS)


def build_parser() -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser of a command line, and the commands that it takes."""
    parser = program.parser(
        PROGRAM, 'Brings the agent of trove-upgrade into guests that are older than it.'
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
