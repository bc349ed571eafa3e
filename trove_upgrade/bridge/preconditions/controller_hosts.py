# SPDX-License-Identifier: Apache-2.0
"""Controllers: this host, and hosts behind SSH that have a POSIX shell."""

import contextlib
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from trove_upgrade.bridge.preconditions.controllers import TemplateNotCopied, TemplatesUnreadable
from trove_upgrade.bridge.preconditions.templates import FILE, PART, Copy
from trove_upgrade.bridge.reach.ports import Outcome, Shell

_SECONDS = 30.0
#: Arguments: the directories.  A shell alone runs it; each name ends with a zero byte.
_LIST = f"""
for directory in "$@"; do
    [ -d "$directory" ] || continue
    if ! [ -r "$directory" ] || ! [ -x "$directory" ]; then
        echo "$directory may not be read" >&2
        exit 1
    fi
    for file in "$directory"/*/{FILE} "$directory"/*/*/{FILE}; do
        case "${{file#"$directory"}}" in *{PART}/*) continue ;; esac
        if [ -f "$file" ]; then printf '%s\\0' "$file"; fi
    done
done
"""
#: Arguments: the source, the target.  It is made beside the target, and then gets its name.  A
#: part of a copy that was killed goes first; rm follows no link.
_COPY = f"""
set -u
if [ -e "$2" ]; then
    echo "it is there already" >&2
    exit 1
fi
mkdir -p "${{2%/*}}" || exit 1
part="$2{PART}"
rm -rf "$part" && mkdir "$part" || exit 1
if cp -R -p "$1/." "$part" && mv "$part" "$2"; then exit 0; fi
rm -rf "$part"
exit 1
"""


class ThisController:
    """Implements Controller: the host that this program runs on."""

    place = 'on this host'

    def templates(self, directories: Sequence[PurePosixPath]) -> frozenset[PurePosixPath]:
        try:
            return frozenset(
                PurePosixPath(below / FILE)
                for directory in directories
                for below in _two_levels_below(pathlib.Path(directory))
                if (below / FILE).is_file()
            )
        except OSError as error:
            raise TemplatesUnreadable(place=self.place, found=error) from error

    def copy(self, copy: Copy) -> None:
        target = pathlib.Path(copy.target)
        part = target.with_name(f'{target.name}{PART}')
        try:
            if target.exists():
                raise FileExistsError('it is there already')
            _remove(part)
            part.mkdir(parents=True)
            with contextlib.ExitStack() as undo:
                undo.callback(shutil.rmtree, part, ignore_errors=True)
                shutil.copytree(copy.source, part, dirs_exist_ok=True)
                part.rename(target)
                undo.pop_all()
        except OSError as error:
            raise TemplateNotCopied(
                source=copy.source, target=copy.target, place=self.place, found=error
            ) from error


def _remove(part: pathlib.Path) -> None:
    """Remove what a copy that was killed has left; a link goes, and not what it leads to."""
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)


def _two_levels_below(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield the directories; one that may not be read is an error, as `glob` would hide it."""
    if not directory.is_dir():
        return
    for first in _directories_in(directory):
        yield first
        yield from _directories_in(first)


def _directories_in(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    return (one for one in directory.iterdir() if one.is_dir() and not one.name.endswith(PART))


class RemoteController:
    """Implements Controller.  Its shell is opened when it is first needed."""

    def __init__(self, host: str, open_shell: Callable[[], Shell]) -> None:
        self._host = host
        self._open_shell = open_shell
        self._shell: Shell | None = None

    @property
    def place(self) -> str:
        return f'on {self._host}'

    def templates(self, directories: Sequence[PurePosixPath]) -> frozenset[PurePosixPath]:
        outcome = self._run(_LIST, *map(str, directories))
        if outcome.exit_code != 0 or outcome.truncated:
            found = 'there are too many' if outcome.truncated else _complaint(outcome)
            raise TemplatesUnreadable(place=self.place, found=found)
        names = outcome.stdout.decode(errors='surrogateescape').split('\0')
        return frozenset(PurePosixPath(name) for name in names if name)

    def copy(self, copy: Copy) -> None:
        outcome = self._run(_COPY, str(copy.source), str(copy.target))
        if outcome.exit_code != 0:
            raise TemplateNotCopied(
                source=copy.source,
                target=copy.target,
                place=self.place,
                found=_complaint(outcome),
            )

    def close(self) -> None:
        """End the connection, where there is one."""
        if self._shell is not None:
            self._shell.close()

    def _run(self, script: str, *words: str) -> Outcome:
        if self._shell is None:
            self._shell = self._open_shell()
        argv = ('sh', '-c', script, 'templates', *words)
        return self._shell.run(argv, timeout_seconds=_SECONDS, as_root=True)


def _complaint(outcome: Outcome) -> str:
    text = outcome.stderr.decode(errors='replace').strip()
    return text[-500:] or f'exit code {outcome.exit_code}'
