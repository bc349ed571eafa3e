# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage`: what an operator does to the database of trove-upgrade, without SQL.

Exit codes: 0 done, 1 it could not be done (one line on stderr says why), 2 usage; the others stand
in `db.migrations.exit_codes`.
"""

import argparse
from collections.abc import Sequence

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

PROGRAM = 'trove-upgrade-manage'
#: One file per noun; each adds its subcommands.
_NOUNS = (db, datastore, upgrade, instance, guest_key, service, queue)


def main(
    argv: Sequence[str] | None = None,
    *,
    outside: context.Outside = context.Outside(),  # noqa: B008 - it is frozen
) -> int:
    """Run one command and return its exit code."""
    parser, _ = build_parser()
    return program.run(
        parser,
        argv,
        lambda arguments: context.Context(program.configuration(arguments), outside),
    )


def build_parser() -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser of a command line, and the commands that it takes."""
    parser = program.parser(PROGRAM, 'Manages the database of trove-upgrade.')
    commands = Commands(parser)
    for noun in _NOUNS:
        noun.add_commands(commands)
    return parser, commands
