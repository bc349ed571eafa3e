# SPDX-License-Identifier: Apache-2.0
"""The key under which the product of one lab encrypts its guests' keys: made once, and gone with
the lab.
"""

import os
import pathlib

from cryptography import fernet

from lab.layout import Layout

#: What the taskmanager's configuration calls it.
OPTION = 'guest_key_encryption_keys'


def encryption_key(layout: Layout) -> str:
    """Return the lab's entry for `guest_key_encryption_keys`, made with the first question; later
    ones get the same.
    """
    path = _path(layout)
    try:
        return path.read_text('ascii')
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f'{path.name}.{os.getpid()}')
    with os.fdopen(
        os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w', encoding='ascii'
    ) as sink:
        sink.write(fernet.Fernet.generate_key().decode())
    unfinished.rename(path)
    return path.read_text('ascii')


def _path(layout: Layout) -> pathlib.Path:
    """Return where it lies: with the data of the lab's services, which `down` removes."""
    return layout.state_dir / 'trove-upgrade' / 'guest-key-encryption-key'
