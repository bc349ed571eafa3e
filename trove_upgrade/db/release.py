# SPDX-License-Identifier: Apache-2.0
"""Which release this code is.  Revisions are named after it, and services say it when they
register.
"""

import importlib.metadata

#: The newest release of the main chain; a test compares the two.
RELEASE = 'cygnus'
#: Its services registered without saying their release.
FIRST_RELEASE = 'aurora'


def package_version() -> str:
    """Of the installed package, e.g. '1.1.0'."""
    return importlib.metadata.version('trove-upgrade')
