# SPDX-License-Identifier: Apache-2.0
"""Stash and restore of a tree, against `cp -a` of the same tree there and back, followed by a sync
of the file system.

Both run on a new file system of their own, as a new root disk has one.  On one from which files
were removed in the last minutes, ext4 looks at each removed inode before it gives out another: a
new file costs 460 us there and 11 us here, and which of the two programs meets them is chance.
"""

import contextlib
import io
import pathlib
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator

FILES = 2000
ROUNDS = 5
_DISK_BYTES = 2 << 30


def measure(stash_and_restore: Callable[[pathlib.Path, pathlib.Path], None]) -> dict[str, float]:
    """Median seconds of both, and their ratio."""
    with _new_file_system() as place:
        tree = pathlib.Path(place, 'etc', 'mysql')
        _make(tree)
        ours, baseline = [], []
        for number in range(ROUNDS):
            ours.append(
                _seconds(
                    lambda number=number: stash_and_restore(
                        pathlib.Path(place), pathlib.Path(place, f'stash-{number}')
                    )
                )
            )
            baseline.append(
                _seconds(lambda number=number: _copy(tree, pathlib.Path(place, f'copy-{number}')))
            )
        first, second = sorted(ours)[ROUNDS // 2], sorted(baseline)[ROUNDS // 2]
        return {
            'files': FILES,
            'stash_and_restore_seconds': first,
            'cp_a_seconds': second,
            'ratio': first / second,
        }


@contextlib.contextmanager
def _new_file_system() -> Iterator[pathlib.Path]:
    """A directory on a new ext4, which goes afterwards."""
    with tempfile.TemporaryDirectory(dir='/var/tmp') as directory:
        disk, place = pathlib.Path(directory, 'disk'), pathlib.Path(directory, 'root')
        place.mkdir()
        with disk.open('xb') as stream:
            stream.truncate(_DISK_BYTES)
        subprocess.run(['mkfs.ext4', '-q', str(disk)], check=True)
        subprocess.run(['mount', '-o', 'loop', str(disk), str(place)], check=True)
        try:
            yield place
        finally:
            subprocess.run(['umount', str(place)], check=True)


def _make(tree: pathlib.Path) -> None:
    source = random.Random(1)
    for number in range(FILES):
        path = tree / f'{number % 20:02d}' / f'file-{number}.cnf'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.randbytes(source.choice((200, 2000, 20000))))


def _copy(tree: pathlib.Path, copy: pathlib.Path) -> None:
    subprocess.run(['cp', '-a', str(tree), str(copy)], check=True)
    subprocess.run(['cp', '-a', str(copy), str(copy) + '-back'], check=True)
    subprocess.run(['sync', '--file-system', str(copy)], check=True)


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    return time.perf_counter() - started
