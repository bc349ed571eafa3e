# SPDX-License-Identifier: Apache-2.0
"""openstack database upgrade abort, proceed, retry, rollback and action list."""

import argparse
from typing import ClassVar

from troveupgradeclient.osc.v1 import base, cells, progress
from troveupgradeclient.v1.resources import Action, ActionName, State


class _ActOnUpgrade(base.Following):
    """An action on one upgrade."""

    action: ClassVar[ActionName]
    wanted: ClassVar[State]
    ends_held: ClassVar[bool] = (
        False  #: whether the wait ends where it is held until it may proceed
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument('upgrade', type=base.given, metavar='<upgrade>', help=base.UPGRADE_HELP)
        base.add_wait(parser, f'Wait for the end; the exit status is 0 where it is {self.wanted}')

    def take_action(self, parsed_args: argparse.Namespace) -> base.Shown:
        upgrades = self.client.upgrades
        upgrade_id = upgrades.find(parsed_args.upgrade).id
        with self.sending(progress.of_action_unseen(upgrade_id, self.action)):
            found = upgrades.act(upgrade_id, self.action)
        if parsed_args.wait:
            found = self.follow_upgrade(found, parsed_args, self.wanted, ends_held=self.ends_held)
        return self.shown(found)


class AbortUpgrade(_ActOnUpgrade):
    """End an upgrade with the database as before, while its server is untouched"""

    action = ActionName.ABORT
    wanted = State.ABORTED


class ProceedUpgrade(_ActOnUpgrade):
    """Let an upgrade that is held begin now"""

    action = ActionName.PROCEED
    wanted = State.COMPLETED


class RetryUpgrade(_ActOnUpgrade):
    """Try an upgrade that has failed once more (admins)"""

    action = ActionName.RETRY
    wanted = State.COMPLETED
    ends_held = True


class RollbackUpgrade(_ActOnUpgrade):
    """Take an upgrade that has failed back to the former image (admins)"""

    action = ActionName.ROLLBACK
    wanted = State.ROLLED_BACK


class ListActions(base.Lister):
    """List what can be done with an upgrade now, and what not and why"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument('upgrade', type=base.given, metavar='<upgrade>', help=base.UPGRADE_HELP)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[cells.Cell, ...]]]:
        upgrades, names = self.client.upgrades, cells.field_names(Action)
        found = upgrades.actions(upgrades.find(parsed_args.upgrade).id)
        return cells.headings(names), [cells.row(each, names, self.now()) for each in found]
