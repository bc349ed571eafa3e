# SPDX-License-Identifier: Apache-2.0
"""Progress of an installation of Debian packages, from what mmdebstrap prints."""

from __future__ import annotations

import re
from collections.abc import Callable

_TOLD_EVERY = 20
_FOUND = re.compile(r'(\d+) newly installed')


class PackageCount:
    """Counts packages that are fetched and set up, and tells every now and then.

    apt says twice how many it will install: the essential ones, then the others; the total grows in
    between.
    """

    def __init__(self, title: str, tell: Callable[[str], None]) -> None:
        self._title = title
        self._tell = tell
        self._total = 0
        self._done = 0
        self._fetched = 0

    def line(self, text: str) -> None:
        """Take one line of the program's output."""
        found = _FOUND.search(text)
        if found:
            self._total += int(found.group(1))
            self._fetched = 0  # lists of packages are fetched before, and are none
        elif text.startswith('Get:') and self._total:
            self._fetched += 1
            if self._fetched % _TOLD_EVERY == 0:
                self._tell(f'{self._title}, {self._fetched} packages fetched')
        elif text.startswith('Setting up '):
            self._done += 1
            if self._done % _TOLD_EVERY == 0:
                self._tell(
                    f'{self._title}, {self._done} of {max(self._total, self._done)} packages'
                )
