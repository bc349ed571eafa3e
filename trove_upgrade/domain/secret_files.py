# SPDX-License-Identifier: Apache-2.0
"""Files of a guest that hold the broker's account, and that the database server's user must not read.

A tenant reads with `LOAD_FILE` whatever the server's user can read.  User data writes these files, and the guest agent looks for them.
"""

import posixpath
import re

#: Trove's own: guest_info, the agents' configuration, and what else Trove injects.
DIRECTORY = '/etc/trove'

#: Options by which agents reach the broker, the registry and other services.  No plain `password`: an option file that the server
#: itself must read may set one.  Sources: oslo.messaging's options, trove/common/cfg.py (Trove 26).
_OPTIONS = re.compile(
    r'^[ \t]*(?:transport_url|(?:rabbit|kafka|container_registry)_[a-z_]*password|rabbit_hosts?|[a-z_]*_encr_key|'
    r'(?:nova_proxy|neutron|service)_[a-z_]*pass(?:word)?)[ \t]*[=:][ \t]*\S',
    re.MULTILINE | re.IGNORECASE,
)


def is_troves(path: str) -> bool:
    """Tell whether a file of this absolute path is one of Trove's own."""
    return posixpath.normpath(path).startswith(f'{DIRECTORY}/')


def holds_account(text: str) -> bool:
    """Tell whether a configuration sets an option that holds an agent's account or key."""
    return _OPTIONS.search(text) is not None
