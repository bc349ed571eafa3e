# SPDX-License-Identifier: Apache-2.0
"""A loop device that a guest has from a boot until its mounts go: of its image, or of a disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lab import errors
from lab.commands import Commands
from trove_upgrade.waiting import wait_until

_FREE_SECONDS = 20


@contextlib.contextmanager
def attached(
    file: Path, record: Path, commands: Commands, *, read_only: bool = False
) -> Iterator[str]:
    """Give the file a device for the time of a boot; `record` notes which, and which use of it."""
    options = ['--read-only'] if read_only else []
    device = commands.run(['losetup', '--find', '--show', *options, str(file)]).output.strip()
    sequence = Path('/sys/block') / Path(device).name / 'diskseq'
    record.write_text(f'{device} {sequence.read_text("utf-8").strip()}', 'utf-8')
    try:
        yield device
    finally:
        # Busy, so the kernel takes the device away when the guest's mounts go, whichever process
        # ends the guest.
        commands.run(['losetup', '--detach', device], check=False)


def wait_free(record: Path) -> None:
    """Return when the use that `record` notes has ended, and forget it.

    :raises errors.TimedOut: a mount still holds the device.
    """
    try:
        device, sequence = record.read_text('utf-8').split()
    except FileNotFoundError:
        return
    if not wait_until(
        lambda: _disk_sequence(device) != sequence, _FREE_SECONDS, interval_seconds=0.02
    ):
        raise errors.TimedOut(
            f'device {device} to be free',
            _FREE_SECONDS,
            'A process still holds a mount of the guest.',
        )
    record.unlink(missing_ok=True)  # a delete that comes during a rebuild waits here, too


def _disk_sequence(device: str) -> str | None:
    """Return what tells one use of a loop device from the next; None while it has no backing
    file.
    """
    block = Path('/sys/block') / Path(device).name
    try:
        (block / 'loop' / 'backing_file').read_text('utf-8')
        return (block / 'diskseq').read_text('utf-8').strip()
    except OSError:
        return None
