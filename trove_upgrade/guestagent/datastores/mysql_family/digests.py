# SPDX-License-Identifier: Apache-2.0
"""Digests of what a server holds: equal ones for equal values, and no secret can be read from
them.
"""

import hashlib
import json


def digest(*parts: object) -> str:
    """Return one sha256 of several values; None and '' differ."""
    text = json.dumps([part if part is None else str(part) for part in parts])
    return hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()
