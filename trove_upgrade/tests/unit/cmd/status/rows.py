# SPDX-License-Identifier: Apache-2.0
"""Checks as the program runs them: behind their edge."""

from trove_upgrade.cmd import status


def run(checks, name):
    """The row of `check_<name>`."""
    [check] = [
        check for _, check in status.Checks._upgrade_checks if check.__name__ == f'check_{name}'
    ]
    return check(checks)


def run_all(checks):
    """By the row's name."""
    return {name: check(checks) for name, check in status.Checks._upgrade_checks}
