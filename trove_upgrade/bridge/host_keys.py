# SPDX-License-Identifier: Apache-2.0
"""Host keys of guests in the database, where every host finds them."""

from typing import Protocol

from trove_upgrade.bridge.reach.errors import HostKeyChanged
from trove_upgrade.bridge.reach.host_key import HostKey


class KeyTexts(Protocol):
    """Durable record of keys as texts."""

    def known(self, server_id: str) -> str | None:
        """Return the key of a server; None before the first sight."""

    def pin(self, server_id: str, host_key: str) -> str:
        """Record a key unless there is one, and return the one that counts."""


class PinnedHostKeys:
    """Implements bridge.reach.ports.HostKeys."""

    def __init__(self, texts: KeyTexts) -> None:
        self._texts = texts

    def known(self, server_id: str) -> HostKey | None:
        """Return the key that was pinned for a server; None before the first sight."""
        text = self._texts.known(server_id)
        return None if text is None else HostKey.from_text(text)

    def pin(self, server_id: str, key: HostKey) -> None:
        """Record the key at first sight.

        :raises HostKeyChanged: another key was pinned meanwhile.
        """
        counts = HostKey.from_text(self._texts.pin(server_id, key.text))
        if counts != key:
            raise HostKeyChanged(
                server_id=server_id, pinned=counts.fingerprint, found=key.fingerprint
            )
