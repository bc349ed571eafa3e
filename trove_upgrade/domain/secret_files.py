# SPDX-License-Identifier: Apache-2.0
"""Files of a guest that hold the broker's account, and that the database
server's user must not read.

A tenant reads with `LOAD_FILE` whatever the server's user can read.  User data writes these files,
and the guest agent looks for them.
"""

import posixpath
import re

#: Trove's own: guest_info, the agents' configuration, and what else Trove injects.
DIRECTORY = '/etc/trove'

#: Something that is set, as files of oslo.config, of environments and of JSON do: `name =`,
#: `export NAME=`, `"name":`.
_SET = re.compile(
    r'(?:^|[{,;\[])[ \t]*(?:export[ \t]{1,8})?["\']?([a-z][a-z0-9_-]{0,127})["\']?'
    r'[ \t]{0,64}[=:][ \t]{0,64}[^\s]',
    re.MULTILINE | re.IGNORECASE,
)
#: Options by which agents reach the broker, the registry and other services.  No plain `password`:
#: an option file that the server itself must read may set one.  Sources: oslo.messaging's options,
#: oslo.config's names of variables, trove/common/cfg.py (Trove 26).
_OPTION = re.compile(
    r'(?:.*_)?(?:transport_url|(?:rabbit|kafka|container_registry)_(?:.*_)?password|rabbit_hosts?|'
    r'[a-z0-9]+_encr_key|'
    r'(?:nova_proxy|neutron|service)_(?:.*_)?(?:admin_)?pass(?:word)?)'
)
#: An account in the address of a broker, under whichever name and on whichever line of an option.
_ADDRESS = re.compile(
    r'\b(?:rabbit|amqps?|kafka)(?:\+[a-z]{1,16})?://[^\s/@]{1,512}@', re.IGNORECASE
)


def is_troves(path: str) -> bool:
    """Tell whether a file of this absolute path is one of Trove's own."""
    return posixpath.normpath(path).startswith(f'{DIRECTORY}/')


def holds_account(text: str) -> bool:
    """Tell whether a configuration sets an option that holds an agent's account or key."""
    names = (found[1].lower().replace('-', '_') for found in _SET.finditer(text))
    return _ADDRESS.search(text) is not None or any(_OPTION.fullmatch(name) for name in names)
