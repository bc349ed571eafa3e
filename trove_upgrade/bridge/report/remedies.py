# SPDX-License-Identifier: Apache-2.0
"""Kinds of what is left to the operator."""

import dataclasses
import enum
import types
from collections.abc import Mapping


class Remedy(enum.StrEnum):
    """Kind of what is left to the operator.  Stable: programs read it."""

    NOTHING = 'NOTHING'
    WAIT = 'WAIT'  #: a host works on it, or will
    RESUME = 'RESUME'  #: the same run goes on with it
    RUN_AGAIN = 'RUN_AGAIN'  #: the cause is outside of the guest, and may be gone by then
    MANUAL_STEP = 'MANUAL_STEP'  #: one step by hand, then another run
    UPGRADE = 'UPGRADE'  #: the ordinary upgrade, without the bridge
    LOOK = 'LOOK'  #: the instance works; it, or an upgrade of it, needs an operator's look
    RECREATE = 'RECREATE'  #: no image can follow: a backup, and a new instance from it


#: The same in words that an operator reads.
REMEDIES: Mapping[Remedy, str] = types.MappingProxyType(
    {
        Remedy.NOTHING: 'nothing',
        Remedy.WAIT: 'wait',
        Remedy.RESUME: 'resume the run',
        Remedy.RUN_AGAIN: 'run again',
        Remedy.MANUAL_STEP: 'a manual step',
        Remedy.UPGRADE: 'the ordinary upgrade',
        Remedy.LOOK: 'a look',
        Remedy.RECREATE: 'backup and re-creation',
    }
)


@dataclasses.dataclass(frozen=True)
class Advice:
    """Task that is left, and its kind."""

    remedy: Remedy
    text: str  #: one or two sentences
