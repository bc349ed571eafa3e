# SPDX-License-Identifier: Apache-2.0
"""Program of commands, from its command line to its exit code."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.cmd.console import ending
from trove_upgrade.cmd.console.printing import print_line
from trove_upgrade.conf import database as database_conf
from trove_upgrade.conf import fault, start
from trove_upgrade.db.migrations.exit_codes import ExitCode


class Context(Protocol):
    """Parts that the commands of a program work with."""

    @property
    def conf(self) -> cfg.ConfigOpts:
        """The configuration."""

    def close(self) -> None:
        """Close what the command has opened."""


def parser(program: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every program has: where its configuration is."""
    made = argparse.ArgumentParser(prog=program, description=description)
    made.add_argument(
        '--config-file',
        action='append',
        default=[],
        metavar='FILE',
        help="configuration file; may be given several times (default: oslo.config's places for "
        'trove-upgrade)',
    )
    made.add_argument(
        '--config-dir',
        action='append',
        default=[],
        metavar='DIR',
        help='directory of configuration files',
    )
    return made


def configuration(
    arguments: argparse.Namespace, *register: Callable[[cfg.ConfigOpts], None]
) -> cfg.ConfigOpts:
    """Return the configuration that a command line names; `register` adds a program's own options.

    :raises ConfigurationInvalid: it cannot be read.
    """
    conf = cfg.ConfigOpts()
    argv = [word for path in arguments.config_file for word in ('--config-file', path)]
    argv += [word for path in arguments.config_dir for word in ('--config-dir', path)]
    for add in (our_conf.register_opts, database_conf.register_connection_opts, *register):
        add(conf)
    start.read(conf, argv, program='trove-upgrade')
    return conf


def run(
    parsing: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    context_of: Callable[[argparse.Namespace], Context],
    stays: str = ending.STAYS,
) -> int:
    """Run one command and return its exit code.

    :param context_of: reads the configuration, and makes of it what commands work with.
    :param stays: what an interrupted command leaves, and what goes on with it.
    """
    ending.quiet()
    try:
        arguments = parsing.parse_args(argv)
    except SystemExit as stop:  # argparse has printed the usage, or the help
        code = int(stop.code or 0)
        return ending.run(lambda: code, parsing.prog)
    try:
        context = context_of(arguments)
    except fault.ConfigurationInvalid as error:
        print_line(
            f'{parsing.prog}: the configuration cannot be read: {error.facts["found"]}',
            sys.stderr,
        )
        return ExitCode.USAGE
    try:
        return ending.run(
            lambda: arguments.command(context, arguments), parsing.prog, context.conf, stays
        )
    finally:
        context.close()
