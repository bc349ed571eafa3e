# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage`: what an operator does to the database of trove-upgrade, without SQL.

Exit codes: 0 done, 1 it could not be done (one line on stderr says why), 2 usage; the others stand
in `db.migrations.exit_codes`.
"""

import argparse
from collections.abc import Callable, Sequence

from oslo_config import cfg

from trove_upgrade.clients import nova
from trove_upgrade.cmd.console import program
from trove_upgrade.cmd.console.commands import Commands
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
    parser, _ = build_parser()
    return program.run(
        parser,
        argv,
        lambda arguments: context.Context(program.configuration(arguments), compute),
    )


def build_parser() -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser of a command line, and the commands that it takes."""
    parser = program.parser(PROGRAM, 'Manages the database of trove-upgrade.')
    commands = Commands(parser)
    for noun in _NOUNS:
        noun.add_commands(commands)
    return parser, commands
