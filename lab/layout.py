# SPDX-License-Identifier: Apache-2.0
"""Places of the one-machine cloud's files; every other module of the lab asks here.

Two roots, because they live for different times: the *cache* is shared by all checkouts of one user
and survives `down`; the *run directory* belongs to the one running cloud and goes away with it.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

CACHE_VARIABLE = 'TROVE_UPGRADE_LAB_CACHE'
RUN_VARIABLE = 'TROVE_UPGRADE_LAB_RUN'
#: Every process of the lab carries this variable (value: its run directory), and so do all its
#: descendants.
MARK_VARIABLE = 'TROVE_UPGRADE_LAB_PROCESS_OF'

#: Databases and guests' disks live in the run directory: /run is a small tmpfs on most machines,
#: /var/tmp is a disk.
DEFAULT_RUN_DIR = pathlib.Path('/var/tmp/trove-upgrade-lab')  # nosec B108 # of a machine for trials, whose users are trusted


@dataclasses.dataclass(frozen=True)
class Layout:
    """All paths of one lab.  Creates nothing by itself but in `prepare()`."""

    cache_dir: pathlib.Path
    run_dir: pathlib.Path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> 'Layout':
        """The layout that the environment asks for; absolute paths, whatever was given."""
        home = pathlib.Path(environ.get('HOME') or '/root')
        cache_home = pathlib.Path(environ.get('XDG_CACHE_HOME') or home / '.cache')
        return cls(
            cache_dir=pathlib.Path(
                environ.get(CACHE_VARIABLE) or cache_home / 'trove-upgrade'
            ).absolute(),
            run_dir=pathlib.Path(environ.get(RUN_VARIABLE) or DEFAULT_RUN_DIR).absolute(),
        )

    def prepare(self) -> None:
        """Create both roots and what is directly in them.  Safe to repeat."""
        for path in (self.cache_dir, self.run_dir):
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        for path in (
            self.images_cache,
            self.templates_dir,
            self.pids_dir,
            self.logs_dir,
            self.etc_dir,
            self.state_dir,
            self.guests_dir,
            self.networks_dir,
            self.volumes_dir,
        ):
            path.mkdir(mode=0o755, parents=True, exist_ok=True)

    # The cache: kept between runs.

    @property
    def venvs_dir(self) -> pathlib.Path:
        """The cloud's virtual environments, one per digest of its pins."""
        return self.cache_dir / 'venvs'

    @property
    def templates_dir(self) -> pathlib.Path:
        """Directory of freshly migrated databases with the keys that match them, one per digest of
        pins and configuration.
        """
        return self.cache_dir / 'templates'

    @property
    def images_cache(self) -> pathlib.Path:
        """Guest images as built, and their unpacked root file systems (the hypervisor's lower
        layers).
        """
        return self.cache_dir / 'images'

    # The run directory: one running cloud.

    @property
    def pids_dir(self) -> pathlib.Path:
        """One file per started process; see supervisor.py."""
        return self.run_dir / 'pids'

    @property
    def logs_dir(self) -> pathlib.Path:
        """Directory of the logs, one for each service."""
        return self.run_dir / 'log'

    @property
    def etc_dir(self) -> pathlib.Path:
        """Rendered configuration, one directory per service."""
        return self.run_dir / 'etc'

    @property
    def state_dir(self) -> pathlib.Path:
        """Databases, keys and image files of the services, one directory per service."""
        return self.run_dir / 'state'

    @property
    def hypervisor_config(self) -> pathlib.Path:
        """JSON that the virt driver reads when nova-compute starts."""
        return self.run_dir / 'hypervisor.json'

    @property
    def handle_file(self) -> pathlib.Path:
        """JSON of the running cloud's `CloudHandle`; its presence says that `up` has finished.
        Mode 0600.
        """
        return self.run_dir / 'cloud.json'

    @property
    def lock_file(self) -> pathlib.Path:
        """File that is locked while `up` or `down` works. Beside the run directory, which `down`
        removes.
        """
        return self.run_dir.with_name(self.run_dir.name + '.lock')

    @property
    def hypervisor_dir(self) -> pathlib.Path:
        """All that belongs to guests; the hypervisor part alone writes below it."""
        return self.run_dir / 'hypervisor'

    @property
    def guests_dir(self) -> pathlib.Path:
        """One directory per guest, named by server id: upper layer, work directory, mount points,
        records.
        """
        return self.hypervisor_dir / 'guests'

    @property
    def networks_dir(self) -> pathlib.Path:
        """One directory per Neutron network, named by network id."""
        return self.hypervisor_dir / 'networks'

    @property
    def volumes_dir(self) -> pathlib.Path:
        """Volume files (ext4 images), which outlive a rebuild of the guest."""
        return self.hypervisor_dir / 'volumes'

    @property
    def faults_dir(self) -> pathlib.Path:
        """Return what the virt driver was told to fail or delay, one file per server."""
        return self.hypervisor_dir / 'faults'

    def log_file(self, name: str) -> pathlib.Path:
        """The log of the process called `name`."""
        return self.logs_dir / f'{name}.log'
