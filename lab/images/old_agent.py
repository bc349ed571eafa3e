# SPDX-License-Identifier: Apache-2.0
"""The topmost layer of an image from before the upgrade feature: an old agent, nothing of ours."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.images.layers import digest_of, digest_of_tree

HERE = Path(__file__).parent / 'old_files'
PLACE = Path('usr/lib/trove-lab')
#: What an old guest needs of the lab's own files.
_SHARED = ('trove-lab-init', 'trove-lab-mounts.service', 'record-facts')


class OldAgentFiles:
    """Stand-in for `product.ProductFiles`: the image has no agent that takes our calls, and
    keeps its facts where no product of ours would look.
    """

    facts_file = PLACE / 'image-facts.json'

    def __init__(self, lab_files: Path, python: str) -> None:
        self._lab_files = lab_files
        self._python = python
        self.version = ''

    def digest(self, has_agent: bool) -> str:
        """Changes when a file that goes into the image does."""
        return digest_of(digest_of_tree(HERE), self._python, str(has_agent))

    def write(self, layer: Path, _site_packages: Path, *, has_agent: bool) -> None:
        """Write everything below `layer`.

        :raises ValueError: an old image cannot have an agent of ours.
        """
        if has_agent:
            raise ValueError('an image from before the upgrade feature has no agent of ours')
        target = layer / PLACE
        target.mkdir(parents=True, exist_ok=True)
        own = (path for path in sorted(HERE.iterdir()) if path.is_file())  # no caches of Python
        sources = [*(self._lab_files / name for name in _SHARED), *own]
        for path in sources:
            shutil.copyfile(path, target / path.name)
            (target / path.name).chmod(0o644 if path.suffix == '.service' else 0o755)

    def preparation(self, init: str, _kind: str) -> tuple[str, ...]:
        """Return the program that finishes the image, run inside of it."""
        return ('/bin/sh', f'/{PLACE}/prepare-old-image', init, self._python)
