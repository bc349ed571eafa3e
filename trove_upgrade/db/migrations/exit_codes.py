# SPDX-License-Identifier: Apache-2.0
"""Exit codes of the database commands, so that a script can tell what comes next.

0 to 5 are Glance's numbers (glance-manage db check); a released number keeps its meaning.
"""

import enum


class ExitCode(enum.IntEnum):
    """Exit code of a command."""

    DONE = 0  #: or nothing was left to do
    ERROR = 1  #: it could not be done; one line on stderr says why
    USAGE = 2  #: the arguments, or the configuration, cannot be understood
    EXPAND_NEXT = 3  #: `db expand` comes first
    MIGRATE_NEXT = 4  #: `db migrate` comes first
    CONTRACT_NEXT = 5  #: `db contract` is what is left
    OLD_SERVICE = 6  #: a service older than the contract needs runs, or may run
    LEASE_HELD = 7  #: another run is at work
    LINT_REFUSED = 8  #: a revision breaks a rule without saying why
    MORE_ROWS = 9  #: a bounded data migration ended before its rows did
