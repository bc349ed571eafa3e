# SPDX-License-Identifier: Apache-2.0
"""An instance of real Trove for as long as something is measured on it."""

import contextlib
from collections.abc import Iterator

from lab.trove.datastores import Registered
from lab.trove.instances import TroveInstance
from lab.trove.stage import TroveStage


@contextlib.contextmanager
def created(
    stage: TroveStage,
    name: str,
    version: Registered | None = None,
    flavor: str = 'trove.small',
) -> Iterator[TroveInstance]:
    """HEALTHY, of the former version if no other is named; deleted afterwards, whatever has become
    of it.
    """
    instance_id = stage.instances.begin(name, version or stage.former, flavor=flavor)
    try:
        yield stage.instances.wait_healthy(instance_id)
    finally:
        stage.instances.delete(instance_id)
