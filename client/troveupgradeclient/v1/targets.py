# SPDX-License-Identifier: Apache-2.0
"""Versions that an instance may be upgraded to."""

from troveupgradeclient import exceptions
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

    def is_booted(self, instance_id: str, datastore_version: str) -> bool:
        """Tell whether an instance has a version, by its id or name, and was booted from its image;
        not where the service or the policy does not let that be known.
        """
        try:
            found = self.list(instance_id)
        except exceptions.ApiTooOld:
            return False
        except exceptions.RequestRefused as refused:
            if refused.status != 403:
                raise
            return False
        return any(
            each.current and each.image_is_booted and datastore_version in {each.id, each.name}
            for each in found
        )
