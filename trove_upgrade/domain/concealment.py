# SPDX-License-Identifier: Apache-2.0
"""Sentences as a tenant reads them: without what belongs to the operator, which are addresses,
images and servers.

Causes, messages of steps and checks are written for operators: they have to find these. Linear in
the length of the text, as guests and other services write some of it.
"""

import re
from collections.abc import Iterable

from trove_upgrade.domain import addresses

HIDDEN = '[id]'

#: The id that follows a word for what is the operator's; the instance's own id stays.
_NAMED = re.compile(
    r'\b(?P<before>(?:image|server|user)s?(?:[ /]|: )(?:id )?["\']?)'
    r'(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})(?![0-9a-f-])',
    re.IGNORECASE,
)


def for_tenant(text: str, ids: Iterable[str | None] = ()) -> str:
    """Return `text` with HIDDEN in the place of ids of images and servers, and of `ids`, and
    without addresses.
    """
    for each in ids:
        if each:
            text = text.replace(each, HIDDEN)
    return addresses.hide(_NAMED.sub(rf'\g<before>{HIDDEN}', text))
