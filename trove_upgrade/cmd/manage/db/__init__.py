# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage db ...`: the schema, and the rows that must follow it."""

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.manage.db import data, lint, phases, plan, removal, revision, revisions

#: One file per group of commands; each adds its own.
_GROUPS = (phases, plan, revisions, revision, data, lint, removal)


def add_commands(commands: Commands) -> None:
    """Add `db` and its subcommands."""
    nested = commands.add_group(
        'db', 'the schema of the database', description='The schema of the database.'
    )
    for group in _GROUPS:
        group.add_commands(nested)
