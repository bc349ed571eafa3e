# SPDX-License-Identifier: Apache-2.0
"""A row that waits for a worker, with all that decides when its turn comes."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Turn:
    """A row that wants to be worked on."""

    id: str
    project_id: str
    #: it has kept a worker waiting of late: it gets a share of the workers only
    is_slow: bool = False
