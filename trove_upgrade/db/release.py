# SPDX-License-Identifier: Apache-2.0
"""Release of this code. Revisions are named after it, and services say it when they register."""

import importlib.metadata

#: The newest release of the main chain; a test compares the two.
RELEASE = 'cygnus'
#: Its services registered without saying their release.
FIRST_RELEASE = 'aurora'


def package_version() -> str:
    """Return the version of the installed package, e.g. '1.1.0'."""
    return importlib.metadata.version('trove-upgrade')
