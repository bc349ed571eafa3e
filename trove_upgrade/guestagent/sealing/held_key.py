# SPDX-License-Identifier: Apache-2.0
"""The key that this guest has: from its file, derived from Trove's own, or none.

The file is root's alone, and is no part of what a stash keeps: the next root disk gets a key of its
own.  It is looked at again and again, as an operator may put one there, or another one in its
place, while the agent runs.
"""

import dataclasses
import os
import stat
import threading
from collections.abc import Callable

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.machine import durable, untrusted_files
from trove_upgrade.guestagent.sealing import sequence
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.sealing.keys import GuestKey, KeyFileInvalid

LOG = logs.get_logger(__name__)

#: More than any file of a key has.
_BYTES = 4096
_RIGHTS_OF_OTHERS = 0o077


@dataclasses.dataclass(frozen=True)
class Held:
    """The guest's key at one moment."""

    key: GuestKey | None
    sealed_only: bool  #: nothing unsealed is sent or taken


_BROKEN = Held(None, sealed_only=True)
#: A file as it was when it was read: device, inode, size and time.
_Version = tuple[int, int, int, int]


def _no_one() -> None:
    """Ignore that the key is another one now."""


class HeldKey:
    """The key of one guest.  Safe to share between threads.

    A file that cannot be read, is another's or is of another form: nothing is sent or taken, until
    it is mended or gone.  Where a key was read from it before, that one counts on.
    """

    def __init__(
        self,
        layout: Layout,
        instance_id: str,
        troves_key: str | None,
        on_change: Callable[[], None] = _no_one,
    ) -> None:
        """`troves_key`: the option `instance_rpc_encr_key` of this guest, where Trove has set it.

        `on_change` is called when a key was read: the taskmanagers go on with the former one until
        they hear something under it.
        """
        self._layout = layout
        self._instance_id = instance_id
        self._derived = GuestKey.of_trove(instance_id, troves_key) if troves_key else None
        self._lock = threading.Lock()
        self._on_change = on_change
        self._of_file: Held | None = None
        self._version: _Version | None = None
        self._told: str | None = None
        self._proven = self._recorded = self._derived is not None and self._is_proven(self._derived)

    def current(self) -> Held:
        """Return what the guest has now; the file is read unless it is as it was."""
        with self._lock:
            version = self._seen()
            if self._of_file is not None and version in {None, self._version}:
                return self._of_file
            try:
                key = self._read()
            except KeyFileInvalid as error:
                if error.message != self._told:
                    LOG.error('%s', error.message)  # noqa: TRY400 - a traceback tells nothing more
                self._told = error.message
                return self._of_file or _BROKEN
            self._told = None
            if key is None:
                return self._of_file or Held(self._derived, self._proven)
            self._version = version
            is_same = self._of_file is not None and self._of_file.key == key
            self._of_file = held = Held(key, sealed_only=True)
        if not is_same:
            LOG.info(
                'The key of this guest was read from %s: only what it seals counts from now on',
                self._layout.guest_key,
            )
            self._on_change()
        return held

    def prove(self, key: GuestKey) -> None:
        """Remember durably that a request under `key`, a derived one, was opened: from now on only
        sealed messages count.

        :raises StepFailed: MARK_NOT_WRITTEN; it holds until the agent ends.
        """
        with self._lock:
            if self._derived is None or key.id != self._derived.id or self._recorded:
                return
            self._proven = True
            path = self._layout.proven_key
            try:
                durable.make_directory(path.parent, 0o700)
                durable.write_json(path, {'key_id': key.id})
            except OSError as error:
                raise sequence.not_written(path, error) from error
            self._recorded = True

    def _is_proven(self, key: GuestKey) -> bool:
        """A mark that cannot be read counts: it is there because a sealed request was opened
        once.
        """
        try:
            return durable.read_json(self._layout.proven_key).get('key_id') == key.id
        except FileNotFoundError:
            return False
        except (OSError, ValueError) as error:
            LOG.warning('%s cannot be read and counts as set: %s', self._layout.proven_key, error)
            return True

    def _seen(self) -> _Version | None:
        """Return which file the key is in; None: there is no file, or it cannot be told."""
        try:
            status = self._layout.guest_key.lstat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def _read(self) -> GuestKey | None:
        """Return the key of the file; None: there is no file.

        :raises KeyFileInvalid: see there.
        """
        path = self._layout.guest_key
        try:
            with os.fdopen(untrusted_files.open_regular(path), 'rb') as stream:
                status = os.fstat(stream.fileno())
                content = stream.read(_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeyFileInvalid(
                path=path, found=f'it cannot be opened as a plain file ({error.strerror})'
            ) from None
        if status.st_uid != 0 or stat.S_IMODE(status.st_mode) & _RIGHTS_OF_OTHERS:
            raise KeyFileInvalid(
                path=path,
                found='it is not of root, or others have rights to it (chown root, chmod 0600)',
            )
        if len(content) > _BYTES:
            raise KeyFileInvalid(path=path, found='it is longer than a key')
        key = GuestKey.from_file(content, str(path))
        if key.instance_id != self._instance_id:
            raise KeyFileInvalid(path=path, found='it is the key of another instance')
        return key
