# SPDX-License-Identifier: Apache-2.0
"""Files that the bridge brings into a guest.

`installer.sh` is a script for any POSIX shell: a guest gets it over the standard input of `sh`, and
nothing of it stays.  The service files are sent beside the bundle; the installer writes the agent's
place into them.
"""

import importlib.resources

INSTALLER = 'installer.sh'
#: A unit of systemd, and a script for /etc/init.d.
SERVICES = ('trove-upgrade-guestagent-bridge.service', 'trove-upgrade-guestagent-bridge')


def read(name: str) -> bytes:
    """Return the content of a file of this package."""
    return importlib.resources.files(__name__).joinpath(name).read_bytes()
