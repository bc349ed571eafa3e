# SPDX-License-Identifier: Apache-2.0
"""Progress of upgrades by the entries that a row has for it."""

from trove_upgrade.db import progress_codec


def progress(**entries):
    """As it is read from a row with these entries."""
    return progress_codec.decode(entries)


def entries_of(upgrade):
    """As the upgrade is written into a row."""
    return progress_codec.encode(upgrade.progress)


def adding(upgrade, **entries):
    """The upgrade as a row says it that has these entries besides; None takes one away."""
    return upgrade.evolve(progress=progress(**{**entries_of(upgrade), **entries}))
