# SPDX-License-Identifier: Apache-2.0
"""The console scripts: each takes charge of the signals, then loads its program.  That takes a
second.
"""

from trove_upgrade import signals


def api() -> int:
    """`trove-upgrade-api`."""
    signals.end_at_once('trove-upgrade-api', service=True)
    from trove_upgrade.cmd.api import main

    return main()


def taskmanager() -> int:
    """`trove-upgrade-taskmanager`."""
    signals.end_at_once('trove-upgrade-taskmanager', service=True)
    from trove_upgrade.cmd.taskmanager import main

    return main()


def guestagent() -> int:
    """`trove-upgrade-guestagent`."""
    signals.end_at_once('trove-upgrade-guestagent', service=True)
    from trove_upgrade.cmd.guestagent import main

    return main()


def manage() -> int:
    """`trove-upgrade-manage`."""
    signals.end_at_once('trove-upgrade-manage')
    from trove_upgrade.cmd.manage import main

    return main()


def status() -> int:
    """`trove-upgrade-status`, which only looks: a signal ends it at once to its end."""
    signals.end_at_once('trove-upgrade-status')
    from trove_upgrade.cmd.status import main

    return main()
