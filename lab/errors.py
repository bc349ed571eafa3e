# SPDX-License-Identifier: Apache-2.0
"""Errors of a lab that cannot go on: what could not be done, what was found, what to do next."""


class LabError(Exception):
    """Base of all errors of the lab.  `code` is stable; the text may improve."""

    code = 'lab_error'

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class MachineLacks(LabError):
    """Lack of what the machine must have; nothing was changed yet."""

    code = 'lab_machine_lacks'

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__('\n'.join(findings))
        self.findings = findings


class CommandFailed(LabError):
    """A program that has to end well did not."""

    code = 'lab_command_failed'


class ProgramFailed(CommandFailed):
    """A program of the machine or of a guest ended with an error, or did not end in time."""

    code = 'command_failed'

    def __init__(self, argv: list[str], returncode: int, output: str) -> None:
        super().__init__(
            f'Command {" ".join(argv)!r} failed: exit code {returncode}, output: '
            f'{output.strip()[-2000:] or "none"}. See the output for the cause.'
        )
        self.argv = argv
        self.returncode = returncode
        self.output = output


class TimedOut(LabError):
    """Something that must become true did not within its deadline."""

    code = 'timed_out'

    def __init__(self, what: str, seconds: float, hint: str) -> None:
        super().__init__(f'Gave up waiting for {what}: not seen within {seconds:g} seconds. {hint}')


class ImageBuildFailed(LabError):
    """A guest image could not be built."""

    code = 'image_build_failed'


class NotReady(LabError):
    """A service did not answer in time, or died before it did."""

    code = 'lab_not_ready'
