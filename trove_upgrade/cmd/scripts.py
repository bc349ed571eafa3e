# SPDX-License-Identifier: Apache-2.0
"""The console scripts: each takes charge of the signals and of what it prints, then loads its
program.  That takes a second.
"""

import io
import sys

from trove_upgrade import signals


def _begin(program: str, *, service: bool = False) -> None:
    """Take charge.  A name that the terminal has no characters for is printed with escapes: no
    program ends by it.
    """
    signals.end_at_once(program, service=service)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')


def api() -> int:
    """Run `trove-upgrade-api`; return its exit code."""
    _begin('trove-upgrade-api', service=True)
    from trove_upgrade.cmd.api import main

    return main()


def taskmanager() -> int:
    """Run `trove-upgrade-taskmanager`; return its exit code."""
    _begin('trove-upgrade-taskmanager', service=True)
    from trove_upgrade.cmd.taskmanager import main

    return main()


def guestagent() -> int:
    """Run `trove-upgrade-guestagent`; return its exit code."""
    _begin('trove-upgrade-guestagent', service=True)
    from trove_upgrade.cmd.guestagent import main

    return main()


def manage() -> int:
    """Run `trove-upgrade-manage`; return its exit code."""
    _begin('trove-upgrade-manage')
    from trove_upgrade.cmd.manage import main

    return main()


def status() -> int:
    """`trove-upgrade-status`, which only looks: a signal ends it at once to its end."""
    _begin('trove-upgrade-status')
    from trove_upgrade.cmd.status import main

    return main()


def bridge() -> int:
    """Run `trove-upgrade-bridge`; return its exit code."""
    _begin('trove-upgrade-bridge')
    from trove_upgrade.cmd.bridge import main

    return main()
