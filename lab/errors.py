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


class NotReady(LabError):
    """A service did not answer in time, or died before it did."""

    code = 'lab_not_ready'
