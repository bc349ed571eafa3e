# SPDX-License-Identifier: Apache-2.0
"""Text that others wrote, on a terminal: names of instances are their owners'."""


def printable(text: str) -> str:
    """Return `text` as one line, with what a terminal would obey as escapes."""
    if text.isprintable():
        return text
    return ''.join(
        one if one.isprintable() else one.encode('unicode_escape').decode('ascii') for one in text
    )
