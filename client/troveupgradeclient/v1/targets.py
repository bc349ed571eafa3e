# SPDX-License-Identifier: Apache-2.0
"""Versions that an instance may be upgraded to."""

from troveupgradeclient.v1.api import Api
from troveupgradeclient.v1.names import quoted
from troveupgradeclient.v1.reading import read
from troveupgradeclient.v1.resources import Target

_WHAT = 'what an instance may be upgraded to'


class TargetManager:
    """Targets of an instance."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def list(self, instance_id: str) -> tuple[Target, ...]:
        """Return every version of the instance's datastore, with whether it is allowed."""
        path = f'/instances/{quoted(instance_id)}/upgrade-targets'
        found = self._api.get(path, 'upgrade_targets', _WHAT)
        return tuple(read(Target, each) for each in found)
