# SPDX-License-Identifier: Apache-2.0
"""Errors of the lab's guests; every error tells what failed, what was found and what to do next."""

from __future__ import annotations

from lab.errors import LabError


class GuestNotRunning(LabError):
    """The guest has no process 1 now."""

    code = 'guest_not_running'

    def __init__(self, guest_id: str) -> None:
        super().__init__(
            f'Cannot reach guest {guest_id}: it is not running. Start it, or read its console.log.'
        )


class GuestUnknown(LabError):
    """No state of such a guest under the run directory."""

    code = 'guest_unknown'

    def __init__(self, guest_id: str) -> None:
        super().__init__(
            f'Cannot find guest {guest_id}: it has no directory under the run directory. '
            'List the known guests with `trove-upgrade-lab status`.'
        )


class GuestBootFailed(LabError):
    """The guest's process 1 ended or never appeared."""

    code = 'guest_boot_failed'

    def __init__(self, guest_id: str, console: str) -> None:
        super().__init__(
            f'Cannot boot guest {guest_id}: its process 1 did not come up. The end of its console: '
            f'{console.strip()[-2000:] or "empty"}. Mend the image and boot it again.'
        )


class CleanupIncomplete(LabError):
    """Something of the lab could not be removed."""

    code = 'cleanup_incomplete'

    def __init__(self, failures: list[str]) -> None:
        super().__init__(
            f'Cannot remove everything of the lab: {"; ".join(failures)}. End what still uses it '
            'and clean up again.'
        )
