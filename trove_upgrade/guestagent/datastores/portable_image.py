# SPDX-License-Identifier: Apache-2.0
"""A server as one file, where this guest has it and the next root disk need not."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from trove_upgrade.guestagent.machine.containers.image_archives import Rewritten
from trove_upgrade.guestagent.machine.containers.image_documents import Platform

#: Gives the archive of the image that is wanted alone, for a platform.  Before the last of them its
#: pieces raise NotOneImage where what they are made from is another image.
Opened = Callable[[Platform], AbstractContextManager[Rewritten]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PortableImage:
    """Image of a server that this guest has."""

    image_id: str
    platform: Platform  #: of the engine that has it
    size_bytes: int  #: about; of the file
    #: the file, piece by piece, within so many seconds
    saved: Callable[[float], AbstractContextManager[Iterator[bytes]]]
