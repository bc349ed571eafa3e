# SPDX-License-Identifier: Apache-2.0
"""One directory, or one empty file, as it was on the former root disk."""

import contextlib
import os
import pathlib
import stat

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.machine import untrusted_files
from trove_upgrade.guestagent.storage.stash import attributes

LOG = logs.get_logger(__name__)

#: Until it has owner and mode; what a run that was cut short has left under this name is empty.
_UNFINISHED = '.trove-upgrade-made'


def make(path: pathlib.Path, copy: os.stat_result) -> None:
    """Make it where nothing is, with owner and mode of `copy`, by no link; it is there as a whole
    or not at all.
    """
    try:
        with contextlib.ExitStack() as opened:
            above = opened.enter_context(untrusted_files.directory('/'))
            for name in path.parts[1:-1]:
                above = opened.enter_context(untrusted_files.directory(name, below=above))
            if not untrusted_files.exists(path.name, above):
                _remove_unfinished(above)
                _make(copy, above)
                os.rename(_UNFINISHED, path.name, src_dir_fd=above, dst_dir_fd=above)
                os.fsync(above)
    except OSError as error:
        # a link or a file is on the way: the server, or its trial, tells what it lacks
        LOG.warning('What the configuration names at %s is not made anew: %s', path, error.strerror)


def _make(copy: os.stat_result, above: int) -> None:
    is_directory = stat.S_ISDIR(copy.st_mode)
    with contextlib.ExitStack() as opened:
        if is_directory:
            os.mkdir(_UNFINISHED, 0o700, dir_fd=above)
            made = opened.enter_context(untrusted_files.directory(_UNFINISHED, below=above))
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            made = os.open(_UNFINISHED, flags, 0o600, dir_fd=above)
            opened.callback(os.close, made)
        os.fchown(made, copy.st_uid, copy.st_gid)
        mode = stat.S_IMODE(copy.st_mode)
        os.fchmod(made, attributes.of_directory(mode) if is_directory else attributes.of_file(mode))


def _remove_unfinished(above: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(_UNFINISHED, dir_fd=above, follow_symlinks=False).st_mode):
            os.rmdir(_UNFINISHED, dir_fd=above)
        else:
            os.unlink(_UNFINISHED, dir_fd=above)
