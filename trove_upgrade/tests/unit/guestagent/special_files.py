# SPDX-License-Identifier: Apache-2.0
"""Things that a tenant can put in the place of a plain file, so that a reader waits for ever or
reads for ever.
"""

import os
import pathlib
import socket
import stat

#: A device needs root, as the tests of the guest agent do.
KINDS = ('pipe', 'socket', 'directory', 'endless device', 'device that waits', 'link to a pipe')


def make(path: pathlib.Path, kind: str) -> None:
    """Put one at `path`, where nothing is."""
    match kind:
        case 'pipe':
            os.mkfifo(path)
        case 'socket':
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
        case 'directory':
            path.mkdir()
        case 'endless device':
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
        case 'device that waits':
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(5, 0))
        case 'link to a pipe':
            pipe = path.with_name(f'{path.name}.pipe')
            if not pipe.exists():
                os.mkfifo(pipe)
            path.symlink_to(pipe)


def remove(path: pathlib.Path) -> None:
    """Take it away again."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink()
