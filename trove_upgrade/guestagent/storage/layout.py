# SPDX-License-Identifier: Apache-2.0
"""Places in a guest: Trove's layout, below one root so that a test can stand in a directory of its
own.
"""

import dataclasses
import pathlib

#: Mount point where no driver names one: no image has it.
NO_DATASTORE = 'var/lib/database'


@dataclasses.dataclass(frozen=True)
class Layout:
    """Every path that the agent reads or writes.

    The volume is mounted at `volume`; its top is root's, at the latest from the clean stop on.  The
    server's data directory is `data` in it, and what the agent keeps there is beside the data, in a
    directory that only root can enter.
    """

    root: pathlib.Path = pathlib.Path('/')
    #: of the volume, below the root; the composition takes the driver's
    mount_point: str = NO_DATASTORE

    @property
    def etc(self) -> pathlib.Path:
        """Configuration of the root disk."""
        return self.root / 'etc'

    @property
    def run(self) -> pathlib.Path:
        """Return what must not outlive a boot."""
        return self.root / 'run' / 'trove-upgrade'

    @property
    def state(self) -> pathlib.Path:
        """Return what the agent keeps on the root disk: gone after a rebuild, kept over a
        reboot.
        """
        return self.root / 'var' / 'lib' / 'trove-upgrade'

    @property
    def jobs(self) -> pathlib.Path:
        """The journal: one file per job."""
        return self.state / 'jobs'

    def differences(self, upgrade_id: str) -> pathlib.Path:
        """Return what the fingerprint after an upgrade lacks, all of it."""
        return self.state / f'differences-{upgrade_id}.json'

    def accepted(self, upgrade_id: str) -> pathlib.Path:
        """File with those of `differences` that an operator has looked at and accepts, in the same
        form.
        """
        return self.state / f'accepted-{upgrade_id}.json'

    @property
    def volume(self) -> pathlib.Path:
        """Mount point of the volume."""
        return self.root / self.mount_point

    @property
    def data_directory(self) -> pathlib.Path:
        """The server's data directory, on the volume."""
        return self.volume / 'data'

    @property
    def on_volume(self) -> pathlib.Path:
        """Stash and marks on the volume."""
        return self.volume / '.trove-upgrade'

    @property
    def fstab(self) -> pathlib.Path:
        """Return what is mounted at boot."""
        return self.etc / 'fstab'

    @property
    def volume_uuid(self) -> pathlib.Path:
        """The UUID that the database service wants to find mounted before it starts a server."""
        return self.etc / 'trove-upgrade' / 'volume-uuid'

    @property
    def image_facts(self) -> pathlib.Path:
        """Return what the image build recorded of itself."""
        return self.etc / 'trove-upgrade' / 'image-facts.json'

    @property
    def configuration_directory(self) -> pathlib.Path:
        """Directory in which user data puts the agent's own files."""
        return self.etc / 'trove' / 'conf.d'

    @property
    def guest_key(self) -> pathlib.Path:
        """The guest's key, for root alone.  Not beside the configuration: Trove's agent reads all
        of that, and is not root.
        """
        return self.etc / 'trove' / 'trove-upgrade-guest.key'

    def sequence(self, key_id: str) -> pathlib.Path:
        """The highest number of a request under this key."""
        return self.state / f'sequence-{key_id}'

    @property
    def proven_key(self) -> pathlib.Path:
        """Mark: a sealed request was opened under the key that is derived from Trove's."""
        return self.state / 'proven-key.json'

    @property
    def marker(self) -> pathlib.Path:
        """The upgrade's marker, written by user data."""
        return self.configuration_directory / 'trove-upgrade-marker.conf'

    @property
    def agent_files(self) -> tuple[pathlib.Path, pathlib.Path]:
        """The agent's own two files, as Trove names them."""
        return (
            self.configuration_directory / 'guest_info.conf',
            self.configuration_directory / 'trove-guestagent.conf',
        )
