# SPDX-License-Identifier: Apache-2.0
"""The topmost layer of an image as Trove's project makes it: Trove's agent, nothing of ours."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.images.layers import digest_of, digest_of_tree

HERE = Path(__file__).parent / 'stock_files'
PLACE = Path('usr/lib/trove-lab')
_OUR_PYTHON = '/opt/trove-upgrade/venv/bin/python'
#: Of Trove's own agent; the image has no other one with the parser of user data.
_PYTHON = '/opt/guest-agent-venv/bin/python'


class StockFiles:
    """Stand-in for `product.ProductFiles`: the image has no agent of ours, and keeps its facts
    where no product of ours would look.
    """

    facts_file = PLACE / 'image-facts.json'

    def __init__(self, lab_files: Path) -> None:
        self._lab_files = lab_files
        self.version = ''

    def digest(self, has_agent: bool) -> str:
        """Changes when a file that goes into the image does."""
        return digest_of(digest_of_tree(HERE), str(has_agent))

    def write(self, layer: Path, _site_packages: Path, *, has_agent: bool) -> None:
        """Write everything below `layer`.

        :raises ValueError: such an image cannot have an agent of ours.
        """
        if has_agent:
            raise ValueError("an image of Trove's project has no agent of ours")
        target = layer / PLACE
        target.mkdir(parents=True, exist_ok=True)
        for path in (*sorted(self._lab_files.iterdir()), *sorted(HERE.iterdir())):
            if path.is_file():
                shutil.copyfile(path, target / path.name)
                (target / path.name).chmod(0o755)
        reader = target / 'apply-seed'
        reader.write_text(reader.read_text('utf-8').replace(_OUR_PYTHON, _PYTHON, 1), 'utf-8')

    def preparation(self, init: str, _kind: str) -> tuple[str, ...]:
        """Return the program that finishes the image, run inside of it."""
        return ('/bin/sh', f'/{PLACE}/prepare-stock-image', init)
