# SPDX-License-Identifier: Apache-2.0
"""Exit statuses of the commands."""

import enum

from troveupgradeclient.v1.resources import State, Upgrade


class ExitStatus(enum.IntEnum):
    """Ends of a command, as the shell sees them; a number never changes its meaning."""

    AS_ASKED = 0  #: accepted; with a wait, the upgrade has ended as the command asked
    ERROR = 1  #: refused, or no answer: the sentence on stderr tells which
    USAGE = 2  #: the command line was not understood
    ABORTED = 3  #: the upgrade ended with the database as before
    ROLLED_BACK = 4  #: the former image runs again
    FAILED = 5  #: an operator is needed
    HELD = 6  #: the upgrade waits for proceed or abort
    COMPLETED = 7  #: the upgrade is done, though an abort or a rollback was asked for
    WAIT_OVER = 8  #: the time given by --timeout is over; the upgrade goes on
    CHECK_REFUSED = 9  #: the preflight report does not allow the upgrade
    UNKNOWN_STATE = 10  #: the upgrade ended in a state of a later release
    INTERRUPTED = 130  #: Ctrl-C: the upgrade goes on


_OF_STATE = {
    State.COMPLETED: ExitStatus.COMPLETED,
    State.ABORTED: ExitStatus.ABORTED,
    State.ROLLED_BACK: ExitStatus.ROLLED_BACK,
    State.FAILED: ExitStatus.FAILED,
    State.HELD: ExitStatus.HELD,
}


def of_end(upgrade: Upgrade, wanted: State) -> ExitStatus:
    """Return the status of a command that has asked for `wanted`, by the state that came."""
    if upgrade.state == wanted:
        return ExitStatus.AS_ASKED
    known = upgrade.state in frozenset(State)
    return _OF_STATE[State(upgrade.state)] if known else ExitStatus.UNKNOWN_STATE
