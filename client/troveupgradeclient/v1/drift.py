# SPDX-License-Identifier: Apache-2.0
"""Instances whose booted image is not their version's current one; for admins."""

from collections.abc import Iterator

from troveupgradeclient.v1.api import Api
from troveupgradeclient.v1.names import quoted
from troveupgradeclient.v1.resources import InstanceDrift, ProjectDrift

_PATH = '/mgmt/upgrade-drift'
_WHAT = 'the drift of instances'


class DriftManager:
    """Figures by project, and the instances of one project."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def projects(self, *, page_size: int | None = None) -> Iterator[ProjectDrift]:
        """Yield the figures of each project."""
        query = {} if page_size is None else {'limit': str(page_size)}
        return self._api.pages(ProjectDrift, _PATH, 'upgrade_drift', _WHAT, query)

    def instances(
        self, project_id: str, *, page_size: int | None = None
    ) -> Iterator[InstanceDrift]:
        """Yield the instances of a project that have drifted."""
        query = {} if page_size is None else {'limit': str(page_size)}
        path = f'{_PATH}/{quoted(project_id)}'
        return self._api.pages(InstanceDrift, path, 'instances', _WHAT, query)
