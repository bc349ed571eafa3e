# SPDX-License-Identifier: Apache-2.0
"""The topmost layer of an image: the agent of this checkout, the service files, and the lab's own
small init.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.commands import Commands
from lab.images import agent_wheel
from lab.images.layers import digest_of, digest_of_tree

_ENVIRONMENT = 'opt/trove-upgrade/venv'
_LAUNCHER = """#!/opt/trove-upgrade/venv/bin/python
# SPDX-License-Identifier: Apache-2.0
import sys

from trove_upgrade.cmd.scripts import guestagent

sys.exit(guestagent())
"""


class ProductFiles:
    """Installs the product into a layer.  `version` is the one that the image's agent reports."""

    facts_file = Path('etc/trove-upgrade/image-facts.json')

    def __init__(
        self, project_dir: Path, lab_files: Path, version: str, commands: Commands
    ) -> None:
        self._project = project_dir
        self._services = project_dir / 'etc' / 'trove-upgrade' / 'guest'
        self._lab_files = lab_files
        self._commands = commands
        self.version = version

    def digest(self, has_agent: bool) -> str:
        """Changes when a file that goes into the image does."""
        services = digest_of_tree(self._services)
        if not has_agent:
            return digest_of(services)
        return digest_of(services, agent_wheel.digest(self._project), self.version)

    def write(self, layer: Path, site_packages: Path, *, has_agent: bool) -> None:
        """Write everything below `layer`, as it shall stand below an image's root."""
        _copy_all(self._services / 'init.d', layer / 'etc/init.d', 0o755)
        _copy_all(self._services / 'systemd', layer / 'usr/lib/systemd/system', 0o644)
        _copy_all(self._services / 'lib', layer / 'usr/lib/trove-upgrade', 0o755)
        _copy_all(self._lab_files, layer / 'usr/lib/trove-lab', 0o755)
        if has_agent:
            self._write_agent(layer, site_packages)
            return
        for path in (
            'etc/init.d/trove-upgrade-guestagent',
            'usr/lib/trove-upgrade/guestagent-run',
            'usr/lib/systemd/system/trove-upgrade-guestagent.service',
        ):
            (layer / path).unlink()

    def preparation(self, init: str, kind: str) -> tuple[str, ...]:
        """Return the program that finishes the image, run inside of it; `kind` is `packages` or
        `containers`.
        """
        return ('/bin/sh', '/usr/lib/trove-lab/prepare-image', init, kind)

    def _write_agent(self, layer: Path, site_packages: Path) -> None:
        environment = layer / _ENVIRONMENT
        agent_wheel.install(
            self._project, self.version, environment, layer / site_packages, self._commands
        )
        launcher = environment / 'bin/trove-upgrade-guestagent'
        launcher.parent.mkdir(parents=True, exist_ok=True)
        launcher.write_text(_LAUNCHER, 'utf-8')
        launcher.chmod(0o755)


def _copy_all(source: Path, target: Path, mode: int) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file():
            shutil.copyfile(path, target / path.name)
            (target / path.name).chmod(mode)
