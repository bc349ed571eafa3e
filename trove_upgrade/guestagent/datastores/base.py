# SPDX-License-Identifier: Apache-2.0
"""Interface of a datastore's driver.

The manager owns the order, the journal, the volume, the stash and the marks; a driver knows one
kind of server.  What has no driver is refused before anything is stopped: that is what this base
class does.
"""

import dataclasses
import datetime
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, Self

from trove_upgrade.domain import exceptions, guest_options, logs
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.image_archive import ImageArchive, ImageSource
from trove_upgrade.domain.notes import SettingChange
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.portable_image import Opened, PortableImage
from trove_upgrade.guestagent.datastores.table_facts import TableFacts
from trove_upgrade.guestagent.machine.progress import Progress

LOG = logs.get_logger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Facts that must be the same after the upgrade, or may only grow in ways that the driver
    knows.

    It is kept in full in the stash, as `to_document` makes it; only the digest of that travels.
    """

    server_version: str
    taken_at: str  #: ISO 8601 UTC
    tables: Mapping[str, TableFacts]  #: by 'schema.table'
    counted_only_by_file: Sequence[str]  #: tables that did not fit the budget of time
    users: Sequence[str]
    grants: Mapping[str, Sequence[str]]
    #: 'routine:schema.name', 'event:…', 'trigger:…', 'view:…' -> digest of the definition
    objects: Mapping[str, str]
    settings: Mapping[str, str]  #: global variables

    def to_document(self) -> bytes:
        """Return the JSON text of all of it: the same bytes for the same facts."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        tables = {name: table.to_json() for name, table in self.tables.items()}
        return json.dumps({**own, 'tables': tables}, sort_keys=True).encode()

    @classmethod
    def from_document(cls, document: bytes) -> Self:
        """Read what an agent of this or of another release has written; keys that only a later one
        knows are ignored.

        :raises ValueError, KeyError, TypeError: it is no document of a fingerprint.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        own = {key: value for key, value in json.loads(document).items() if key in names}
        own['tables'] = {name: TableFacts.from_json(one) for name, one in own['tables'].items()}
        return cls(**own)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A fingerprint before beside one after."""

    missing: Sequence[str]  #: sentences: what is gone or different.  Empty means nothing was lost
    settings_changed: Sequence[SettingChange]  #: reported, not a failure
    tables_compared: int
    rows_compared: int
    #: tables whose rows were not counted on one of the two sides: in memory alone, or no time left
    not_compared: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stashed:
    """Holdings of a stash, wherever it is."""

    paths: Sequence[str]  #: absolute ones, directories too
    files: Sequence[str]  #: of files and links
    links: Mapping[str, str]  #: each link with what it leads to
    content: Callable[[str], bytes]  #: of one file


@dataclasses.dataclass(frozen=True, kw_only=True)
class DriverContext:
    """Context of a driver; handed in, so that a test needs no patching."""

    volume: pathlib.Path  #: the mount point, /var/lib/mysql
    data_directory: pathlib.Path  #: /var/lib/mysql/data
    etc: pathlib.Path  #: /etc
    run: pathlib.Path  #: /run/trove-upgrade: for what must not outlive a boot
    #: /etc/trove-upgrade/image-facts.json of the running root disk; nothing is known if absent
    image_facts: ImageFacts
    now: Callable[[], datetime.datetime]
    monotonic: Callable[[], float]


def files_not_read(name: str, error: OSError) -> CheckResult:
    """The result of a check that could not look at what must be there: what merely goes meanwhile
    is no error of a check.
    """
    LOG.warning('Check %s could not be made', name, exc_info=error)
    place = error.filename if isinstance(error.filename, str) else 'a file of the guest'
    return CheckResult.refused(
        name,
        (
            f'The instance cannot be upgraded: {place} cannot be looked at ({error.strerror}). '
            'Mend that and try again.'
        ),
        'FILES_NOT_READ',
    )


class DatastoreDriver:
    """The base: refuses everything.  A driver overrides all of it.

    :raises StepRefused: from every method, if the driver does not override it.
    """

    manager = 'base'
    #: Whether the volume's top may be the database user's until it is claimed at the stop: Trove's
    #: agent gives it to that user.
    shares_volume = False
    #: Where the server is taken to run, and how that is known: a sentence for one who is told that
    #: it does not answer.
    runs_as = ''

    def __init__(self, context: DriverContext) -> None:
        self.context = context

    def volume_owner(self) -> int | None:
        """Return the number of the user besides root to whom the volume's top may belong until it
        is taken at the stop; None: to none.
        """
        return None

    def checks(self, target: TargetFacts, options: GuestOptions) -> Sequence[CheckResult]:
        """Check, while the database serves, what could make the upgrade fail. Changes nothing."""
        self._refuse()

    def bring_target(self, target: TargetFacts, progress: Progress) -> str | None:
        """Bring here what the new server needs and this guest lacks, without trying it.  Safe to
        repeat.  Return a sentence about it; None where the guest needs nothing.

        :raises StepRefused, StepFailed: it cannot be had; the database serves.
        """
        return None

    def prepare_target(
        self, target: TargetFacts, options: GuestOptions, progress: Progress
    ) -> None:
        """Bring here, and try, what the new server needs and this guest lacks, while the old one
        serves.  Safe to repeat.

        :raises StepRefused: it cannot be had, or does not take the configuration; the database
            serves.
        """

    def upgrade_bytes(self, target: TargetFacts, options: GuestOptions) -> int:
        """Return what the upgrade of the data needs of the volume's free space.

        :raises StepFailed: the server does not tell.
        """
        return 0

    def portable_target(self) -> PortableImage | None:
        """Return what `prepare_target` has brought here and tried, where the next root disk can be
        given it; None: it has its own.

        :raises StepFailed: it has gone meanwhile.
        """
        return None

    def portable_former(self) -> PortableImage | None:
        """Return the server that `prepare_target` has found here, as `portable_target` does."""
        return None

    def receive(self, archive: ImageArchive, opened: Opened) -> None:
        """Take the image that the former guest has tried, or has run where this is a way back, from
        its archive, if this root disk lacks it.  Safe to repeat.

        :raises StepFailed: it cannot be taken; `check_configuration` gets it in another way.
        """

    def image_source(self) -> ImageSource | None:
        """Return where this root disk has the server from, as far as this process knows."""
        return None

    def prefetch(self) -> None:
        """Begin, on a root disk that an upgrade has just booted, to bring here what
        `check_configuration` will want.

        Only a head start: no step waits for it.

        :raises StepRefused, StepFailed: it does not work; `check_configuration` tries again and
            says why.
        """

    def fingerprint_and_stop(self, options: GuestOptions, progress: Progress) -> Fingerprint:
        """Stop all writes, take the fingerprint and shut the server down cleanly, in one session;
        returns once it has gone.

        If anything fails before the shutdown was sent, the locks are released and the server goes
        on as before.

        :raises StepRefused: it cannot be fingerprinted or stopped cleanly; the message says why.
        """
        self._refuse()

    def shutdown_was_clean(self) -> bool:
        """Return whether the data directory is that of a server which ended cleanly."""
        self._refuse()

    def directories(self) -> Sequence[pathlib.Path]:
        """Return the directories of the root disk that root walks and keeps after the stop, and
        gives to the server's user after the rebuild.
        """
        return ()

    def stash_roots(self) -> Sequence[pathlib.Path]:
        """Files and directories of the root disk to keep: existing ones only."""
        self._refuse()

    def restore_paths(self, stashed: Stashed) -> Sequence[str]:
        """Return which of the stashed files and links come back now: configuration, what it names,
        the client file.

        Called again after each restore, until nothing is new: what has come names more.

        :raises StepFailed: one of them must not come to this root disk.
        """
        self._refuse()

    def left_alone(self, stashed: Stashed) -> Sequence[str]:
        """Return the stashed files that are named and do not come, as this root disk has one of its
        own there.
        """
        return ()

    def check_configuration(self, options: GuestOptions) -> CheckResult:
        """Try the restored configuration on an empty scratch data directory.  The real one is not
        touched.
        """
        self._refuse()

    def check_again(self, options: GuestOptions, progress: Progress) -> CheckResult | None:
        """Try the configuration again where what accepted it on this root disk may have been mended
        in place since.

        Called before each further first start, as long as the data has not been compared.  None:
        what accepted it is what it was.
        """
        return None

    def own_data(self) -> None:
        """Give the data directory to the server's user *by name*: uids differ between images."""
        self._refuse()

    def start_isolated(self) -> None:
        """Start the server for the first time: no network, no events, no replication. Through the
        database service, never as our child.  `is_isolated` tells whether none could come since.

        :raises StepFailed: it did not come up; the message ends with what its log says.
        """
        self._refuse()

    def upgrade_data(
        self, progress: Progress, former: str = '', options: GuestOptions = guest_options.DEFAULT
    ) -> None:
        """The engine's own upgrade, and look at its result.  Safe to repeat.

        `former`: version of the server that has stopped; '': not known.  Rows may be read meanwhile
        for the next `fingerprint`.

        :raises StepFailed: it failed.
        """
        self._refuse()

    def fingerprint(self, options: GuestOptions, progress: Progress) -> Fingerprint:
        """Take the fingerprint of the running server, without stopping it."""
        self._refuse()

    def compare(self, before: Fingerprint, after: Fingerprint) -> Comparison:
        """Compare two fingerprints, but for legitimate differences between their versions."""
        self._refuse()

    def keep_settings(
        self, before: Fingerprint, after: Fingerprint, options: GuestOptions
    ) -> Sequence[str]:
        """Give settings with a changed default their old value, where
        `options.keep_changed_defaults` asks for it.

        Called while the server runs isolated, after `compare`; takes effect with
        `open_for_clients`.  Returns the names.
        """
        return ()

    def keep_closed(self) -> None:
        """See, when the agent starts, that clients are still kept from an isolated server that
        runs.
        """

    def is_isolated(self) -> bool:
        """Return False where a server that was started isolated runs and clients may have come to
        it since: others have removed what keeps them away.
        """
        return True

    def open_for_clients(self) -> None:
        """End the isolation, and wait until the server answers; by another start of it where its
        isolation ends with none else.

        :raises StepFailed: it does not answer.
        """
        self._refuse()

    def start(self) -> None:
        """Start as it was started before the upgrade (undo, and healing), and wait until it
        answers.

        :raises StepFailed: it does not answer.
        """
        self._refuse()

    def installed_version(self) -> str | None:
        """Return the version of the server that this root disk has, as its image's build recorded
        it; None if it did not.
        """
        return self.context.image_facts.server_version

    def restore_first(self, stashed: Sequence[str]) -> Sequence[str]:
        """Return those of all stashed paths that come back first, for `prepare_places`."""
        return ()

    def prepare_places(self, stashed: Stashed, coming: Sequence[str]) -> None:
        """Make what the files that are `coming` stand in, and what is named by those that have
        come.  Safe to repeat.
        """

    def expect(self, target: TargetFacts) -> None:
        """Take the call's word for what this root disk shall run, where the stash has one, too."""

    def check_restored(self, stashed: Stashed) -> CheckResult | None:
        """Judge what has come as a whole, before anything reads it; None where there is nothing to
        judge.
        """
        return None

    def check_release(self, former: str, installed: str) -> CheckResult | None:
        """Compare the release of the installed server with that of the server that the data comes
        from; None where any may follow.
        """
        return None

    def server_version(self) -> str | None:
        """Return what the running server says over SQL; None if none answers."""
        return None

    def write_probe(self) -> None:
        """Write, read back and remove one row.

        :raises StepFailed: that does not work.
        """
        self._refuse()

    def set_autostart(self, *, enabled: bool) -> None:
        """Set durably what starts the server at boot: nothing with False (whichever unit ran it; it
        is remembered for undo), our database service with True.
        """
        self._refuse()

    def undo_autostart(self) -> None:
        """Bring back what `set_autostart(enabled=False)` switched off, on the former image."""
        self._refuse()

    def autostart_is_durable(self) -> CheckResult | None:
        """Return whether a plain reboot brings the server back; None where our database service
        does that and is to be asked.
        """
        return None

    def publish(self) -> None:
        """The database serves, and its watchers may say so: the last thing of an upgrade, and of an
        undo.  Safe to repeat.

        :raises StepFailed: they cannot be told.
        """

    def _refuse(self) -> NoReturn:
        reason = (
            'The instance cannot be upgraded in place: its guest agent has no driver for '
            f'datastore manager {self.manager!r}. Nothing was stopped. Dump and restore the data '
            'into a new instance instead.'
        )
        raise exceptions.StepRefused(reason, 'DATASTORE_NOT_SUPPORTED')
