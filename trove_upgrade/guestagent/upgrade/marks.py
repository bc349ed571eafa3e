# SPDX-License-Identifier: Apache-2.0
"""Marks: what has happened, synced before the next thing may.

A mark on the root disk goes with the root disk: a rebuilt server has none.  A mark on the volume
outlives every rebuild.  Each one belongs to one upgrade; that of another upgrade counts as none.
"""

import dataclasses
import enum
import errno
import pathlib
import threading
from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeVar

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.codes import Code
from trove_upgrade.guestagent.machine import durable
from trove_upgrade.guestagent.storage import volume_ownership
from trove_upgrade.guestagent.storage.layout import Layout

LOG = logs.get_logger(__name__)


class Mark(enum.StrEnum):
    """The names are files; none is ever renamed."""

    #: root: autostart is about to go and the server to stop; undone unless QUIESCED follows
    QUIESCING = 'quiescing'
    QUIESCED = 'quiesced'  #: root: stopped, stashed, unmounted; holds the upgrade_info
    STASHED = 'stashed'  #: volume: the stash is published
    #: root: files are restored and the configuration was accepted on scratch
    CONFIGURED = 'configured'
    #: both, before the first start: the point of no return
    SERVER_STARTED = 'server_started_on_data'
    UPGRADED = 'upgraded'  #: volume: the engine's own upgrade is through
    #: volume: the fingerprint has been compared, nothing was missing: clients may come
    COMPARED = 'compared'
    OPENED = 'opened'  #: volume: when clients could come first
    RESTORED = 'restored'  #: root: this root disk is complete
    #: both: all of verify_upgrade held; the stash is not needed any more.  A root disk that was
    #: healed has it from the volume
    VERIFIED = 'verified'
    FINISHED = 'finished'  #: root: the upgrade is COMPLETED; holds when the stash goes


_ON_VOLUME = frozenset(
    {Mark.STASHED, Mark.SERVER_STARTED, Mark.UPGRADED, Mark.COMPARED, Mark.OPENED, Mark.VERIFIED}
)
_ON_ROOT = frozenset(Mark) - _ON_VOLUME | {Mark.SERVER_STARTED, Mark.VERIFIED}

#: How many upgrades' highest generations are remembered.
_GENERATIONS_KEPT = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """Content of a mark's file.  `mark_facts` has one record for each mark with more than the
    upgrade's id.
    """

    mark: ClassVar[Mark]

    upgrade_id: str  #: of the upgrade that the mark belongs to

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a file; keys that only a later release knows are ignored.

        :raises TypeError: a fact is missing that a flow needs.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in document.items() if name in names})


_Facts = TypeVar('_Facts', bound=Facts)


class Marks:
    """The marks of one guest.  Those on the volume can be read only while it is mounted: ask
    `volume.mounted()` first.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        #: RPC threads and the job's read, compare and write
        self._generations_lock = threading.Lock()

    def _files(self, mark: Mark) -> list[pathlib.Path]:
        files = []
        if mark in _ON_VOLUME:
            files.append(self._layout.on_volume / f'mark-{mark}.json')
        if mark is Mark.RESTORED:
            files.append(self._layout.state / 'restored')
        elif mark in _ON_ROOT:
            files.append(self._layout.state / 'marks' / f'{mark}.json')
        return files

    def set(self, mark: Mark, upgrade_id: str) -> None:
        """Set a mark without facts durably, in every place of it, before this returns.

        :raises StepFailed: MARK_NOT_WRITTEN; what the mark announces must not happen.
        """
        self._write(mark, {'upgrade_id': upgrade_id})

    def record(self, facts: Facts) -> None:
        """Set the mark that these facts are of.  Durable and refused as `set`."""
        self._write(facts.mark, facts.to_json())

    def _write(self, mark: Mark, document: Mapping[str, Any]) -> None:
        for path in self._files(mark):
            try:
                durable.make_directory(path.parent, 0o700)
                if not self._is_believed(path):
                    raise PermissionError(
                        errno.EPERM, 'others than root can write beside it', str(path.parent)
                    )
                durable.write_json(path, document)
            except OSError as error:
                raise _not_written(path, error) from error

    def _is_believed(self, path: pathlib.Path) -> bool:
        """Tell whether a mark may be read or written: not where others than root can write."""
        return path.parent != self._layout.on_volume or volume_ownership.is_ours(path.parent)

    def _readable(self, mark: Mark) -> list[pathlib.Path]:
        return [path for path in self._files(mark) if self._is_believed(path)]

    def get(self, kind: type[_Facts], upgrade_id: str | None = None) -> _Facts | None:
        """Return what the mark of these facts says; None if there is none, or only one of another
        upgrade than `upgrade_id`.

        :raises TypeError: a fact is missing that a flow needs.
        """
        document = self._read(kind.mark, upgrade_id)
        return None if document is None else kind.from_json(document)

    def _read(self, mark: Mark, upgrade_id: str | None) -> Mapping[str, Any] | None:
        for path in self._readable(mark):
            try:
                document = durable.read_json(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                LOG.warning(
                    'Mark %s in %s cannot be read and counts as none: %s', mark, path, error
                )
                continue
            if upgrade_id is None or document.get('upgrade_id') == upgrade_id:
                return document
        return None

    def is_unreadable(self, mark: Mark) -> bool:
        """Return whether it is there, in one of its places, and does not say of which upgrade it
        is; or its place is not root's alone.
        """
        if mark in _ON_VOLUME and volume_ownership.is_of_others(self._layout.on_volume):
            return True
        for path in self._readable(mark):
            try:
                durable.read_json(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError):
                return True
        return False

    def has(self, mark: Mark, upgrade_id: str | None = None) -> bool:
        """Return whether it is set, for `upgrade_id` where one is given."""
        return self._read(mark, upgrade_id) is not None

    def clear(self, *marks: Mark) -> None:
        """Take them away durably.  Safe to repeat."""
        for mark in marks:
            for path in self._files(mark):
                if path.parent.is_dir() and self._is_believed(path):
                    durable.remove(path)

    def highest_generation(self, upgrade_id: str) -> int:
        """The highest generation seen of this upgrade, on the root disk or on the volume while that
        is mounted; 0 if none.
        """
        return max(self.generations(upgrade_id))

    def generations(self, upgrade_id: str) -> tuple[int, int]:
        """The highest on the root disk, and the highest on the volume while that is mounted; 0 if
        none.
        """
        on_root, on_volume = (_number(known.get(upgrade_id)) for known in self._generations())
        return on_root, on_volume

    def see_generation(self, upgrade_id: str, generation: int) -> None:
        """Remember `generation`, wherever it can be remembered now: the job may unmount the volume
        meanwhile.

        :raises StepFailed: MARK_NOT_WRITTEN; not on the root disk, or the volume takes no writes.
        """
        with self._generations_lock:
            for path, known in zip(self._generation_files(), self._generations(), strict=True):
                if not self._is_believed(path) or _number(known.get(upgrade_id)) >= generation:
                    continue
                newest = {
                    **{key: value for key, value in known.items() if key != upgrade_id},
                    upgrade_id: generation,
                }
                try:
                    durable.write_json(path, dict(list(newest.items())[-_GENERATIONS_KEPT:]))
                except OSError as error:
                    if path.parent != self._layout.on_volume or not isinstance(
                        error, FileNotFoundError
                    ):
                        raise _not_written(path, error) from error

    def _generation_files(self) -> list[pathlib.Path]:
        durable.make_directory(self._layout.state, 0o700)
        return [
            self._layout.state / 'generations.json',
            self._layout.on_volume / 'generations.json',
        ]

    def _generations(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for path in self._generation_files():
            try:
                found.append(durable.read_json(path) if self._is_believed(path) else {})
            except FileNotFoundError:
                found.append({})
            except (OSError, ValueError) as error:
                LOG.warning('Generations in %s cannot be read and count as none: %s', path, error)
                found.append({})
        return found


def _not_written(path: pathlib.Path, error: OSError) -> exceptions.StepFailed:
    return exceptions.StepFailed(
        f'The upgrade cannot go on: {path} cannot be written ({error.strerror}), and what it '
        'announces was not done. Look at the disk of the guest and at its volume, then try again.',
        Code.MARK_NOT_WRITTEN,
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
