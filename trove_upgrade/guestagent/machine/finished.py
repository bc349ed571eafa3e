# SPDX-License-Identifier: Apache-2.0
"""The end of a program."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Finished:
    """End of a program.  A return code below zero is the signal that ended it."""

    return_code: int
    output: str  #: standard output and error, as they came
