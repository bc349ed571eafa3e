# SPDX-License-Identifier: Apache-2.0
"""Addresses of the operator's network in sentences: URLs, IP addresses, and names with a port.

The sentences come from guests, which are other people's machines.  So every pattern takes time that
grows with the length of the text and no faster: each consumes a whole run of characters without
going back into it, and starts only where a run does.
"""

import re

HIDDEN = '[address]'

_URL = re.compile(r'(?<![\w+.-])[\w+.-]++://\S++')
#: Not the beginning of a longer version number; the full stop of a sentence may follow.
_IPV4 = re.compile(r'(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?!\w|\.\w)')
_IPV6 = re.compile(r'(?<![\w:])[0-9a-f:]{2,40}+(?!\w)', re.IGNORECASE)
#: Which a port seems to follow.
_DAY_AND_HOUR = re.compile(r'\d{4}-\d\d-\d\dT\d\d')
_NAME_AND_PORT = re.compile(r'(?<![\w.-])(?P<name>[\w.-]++):\d{2,5}(?!\w|\.\w)')


def hide(text: str) -> str:
    """`text` with HIDDEN in the place of each address."""
    text = _IPV4.sub(HIDDEN, _URL.sub(HIDDEN, text))
    return _NAME_AND_PORT.sub(_without_name, _IPV6.sub(_without_ipv6, text))


def _without_ipv6(found: re.Match[str]) -> str:
    """Hide IPv6 addresses. Four groups make one, as of a MAC; so does `::` beside a digit, which
    names of programs do not have.
    """
    groups = found[0].strip(':').split(':')
    is_address = len(groups) > 3 or ('::' in found[0] and any(map(str.isdigit, found[0])))
    return HIDDEN if is_address and len(groups) <= 8 and max(map(len, groups)) <= 4 else found[0]


def _without_name(found: re.Match[str]) -> str:
    """The last label of a name has a letter; a time of day has none."""
    is_name = (
        any(map(str.isalpha, found['name'].rpartition('.')[2]))
        and _DAY_AND_HOUR.fullmatch(found['name']) is None
    )
    return HIDDEN if is_name else found[0]
