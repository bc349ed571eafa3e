# SPDX-License-Identifier: Apache-2.0
"""Errors of the lab's guests; every error tells what failed, what was found and what to do next."""

from __future__ import annotations

from lab.errors import LabError


class LabGuestError(LabError):
    """Base of all errors of the lab's guests."""

    code = 'lab_guest_error'


class CommandFailed(LabGuestError):
    """A program of the host or of a guest ended with an error, or did not end in time."""

    code = 'command_failed'

    def __init__(self, argv: list[str], returncode: int, output: str) -> None:
        super().__init__(
            f'Command {" ".join(argv)!r} failed: exit code {returncode}, output: '
            f'{output.strip()[-2000:] or "none"}. See the output for the cause.'
        )
        self.argv = argv
        self.returncode = returncode
        self.output = output


class TimedOut(LabGuestError):
    """Failure of a condition to become true within its deadline."""

    code = 'timed_out'

    def __init__(self, what: str, seconds: float, hint: str) -> None:
        super().__init__(f'Gave up waiting for {what}: not seen within {seconds:g} seconds. {hint}')


class GuestNotRunning(LabGuestError):
    """The guest has no process 1 now."""

    code = 'guest_not_running'

    def __init__(self, guest_id: str) -> None:
        super().__init__(
            f'Cannot reach guest {guest_id}: it is not running. Start it, or read its console.log.'
        )


class GuestUnknown(LabGuestError):
    """Absence of such a guest's state under the run directory."""

    code = 'guest_unknown'

    def __init__(self, guest_id: str) -> None:
        super().__init__(
            f'Cannot find guest {guest_id}: it has no directory under the run directory. '
            'List the known guests with `trove-upgrade-lab status`.'
        )


class GuestBootFailed(LabGuestError):
    """The guest's process 1 ended or never appeared."""

    code = 'guest_boot_failed'

    def __init__(self, guest_id: str, console: str) -> None:
        super().__init__(
            f'Cannot boot guest {guest_id}: its process 1 did not come up. The end of its console: '
            f'{console.strip()[-2000:] or "empty"}. Mend the image and boot it again.'
        )


class ImageBuildFailed(LabGuestError):
    """A guest image could not be built."""

    code = 'image_build_failed'


class CleanupIncomplete(LabGuestError):
    """Failure to remove everything of the lab."""

    code = 'cleanup_incomplete'

    def __init__(self, failures: list[str]) -> None:
        super().__init__(
            f'Cannot remove everything of the lab: {"; ".join(failures)}. End what still uses it '
            'and clean up again.'
        )
