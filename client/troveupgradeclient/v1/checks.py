# SPDX-License-Identifier: Apache-2.0
"""Preflight reports."""

from troveupgradeclient.v1.api import Api
from troveupgradeclient.v1.names import quoted
from troveupgradeclient.v1.reading import read
from troveupgradeclient.v1.resources import Check

_WHAT = 'preflight reports'


class CheckManager:
    """Reports of an instance."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def create(self, instance_id: str, datastore_version: str) -> Check:
        """Ask for a report; it is made while the caller waits for its end."""
        path = f'/instances/{quoted(instance_id)}/upgrade-checks'
        body = {'upgrade_check': {'datastore_version': datastore_version}}
        return read(Check, self._api.post(path, 'upgrade_check', _WHAT, body))

    def get(self, instance_id: str, check_id: str, *, seconds: float | None = None) -> Check:
        """Return a report as far as it is, within these seconds."""
        path = f'/instances/{quoted(instance_id)}/upgrade-checks/{quoted(check_id)}'
        return read(Check, self._api.get(path, 'upgrade_check', _WHAT, seconds=seconds))
