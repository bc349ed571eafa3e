# SPDX-License-Identifier: Apache-2.0
"""Exit statuses of the commands."""

import enum
from collections.abc import Iterable
from typing import Self

from troveupgradeclient.v1.resources import State, Upgrade


class ExitStatus(enum.IntEnum):
    """Ends of a command, as the shell sees them; a number never changes its meaning."""

    meaning: str  #: in the help of the commands

    AS_ASKED = 0, 'accepted; with a wait, it has ended as was asked'
    ERROR = 1, 'refused, or no answer: standard error tells why'
    USAGE = 2, 'the command line was not understood'
    ABORTED = 3, 'the upgrade ended with the database as before'
    ROLLED_BACK = 4, 'the former image runs again'
    FAILED = 5, 'an operator is needed'
    HELD = 6, 'the upgrade waits for proceed or abort'
    COMPLETED = 7, 'the upgrade is done, though another end was asked for'
    WAIT_OVER = 8, 'the time of --timeout is over; what was begun goes on'
    CHECK_REFUSED = 9, 'the upgrade would be refused'
    UNKNOWN_STATE = 10, 'the upgrade ended in a state of a later release'
    INTERRUPTED = 130, 'Ctrl-C; what was begun goes on'

    def __new__(cls, value: int, meaning: str) -> Self:
        """Make a status of its number and its meaning."""
        made = int.__new__(cls, value)
        made._value_ = value
        made.meaning = meaning
        return made


#: Of a check.
OF_CHECKS = (
    ExitStatus.AS_ASKED,
    ExitStatus.ERROR,
    ExitStatus.USAGE,
    ExitStatus.WAIT_OVER,
    ExitStatus.CHECK_REFUSED,
    ExitStatus.INTERRUPTED,
)
#: Of what follows an upgrade.
OF_UPGRADES = tuple(each for each in ExitStatus if each is not ExitStatus.CHECK_REFUSED)
_OF_STATE = {
    State.COMPLETED: ExitStatus.COMPLETED,
    State.ABORTED: ExitStatus.ABORTED,
    State.ROLLED_BACK: ExitStatus.ROLLED_BACK,
    State.FAILED: ExitStatus.FAILED,
    State.HELD: ExitStatus.HELD,
}


def in_words(statuses: Iterable[ExitStatus]) -> str:
    """Return a table of statuses, one on each line."""
    lines = (f'  {int(one):>3}  {one.name:<13}  {one.meaning}' for one in statuses)
    return '\n'.join(('exit statuses:', *lines))


def of_end(upgrade: Upgrade, wanted: State) -> ExitStatus:
    """Return the status of a command that has asked for `wanted`, by the state that came."""
    if upgrade.state == wanted:
        return ExitStatus.AS_ASKED
    known = upgrade.state in frozenset(State)
    return _OF_STATE[State(upgrade.state)] if known else ExitStatus.UNKNOWN_STATE
