# SPDX-License-Identifier: Apache-2.0
"""Entry of the Python API."""

from typing import Any

from keystoneauth1 import adapter

from troveupgradeclient.v1 import api, checks, drift, instances, targets, upgrades, versions
from troveupgradeclient.v1.following import Clock, SystemClock

_USER_AGENT = 'python-troveupgradeclient'


class Client:
    """Managers of the resources, over a session of keystoneauth.

    `options` are those of keystoneauth's Adapter: `region_name`, `interface`, `auth`,
    `endpoint_override`, `connect_retries` and others.  A request without an answer ends by the
    `timeout` of the session, or after 60 s where it has none; a login by that of the session alone.
    """

    def __init__(self, *, session: Any, clock: Clock | None = None, **options: Any) -> None:
        settings = {'service_type': api.SERVICE_TYPE, 'user_agent': _USER_AGENT, **options}
        seconds = session.timeout or api.REQUEST_SECONDS
        self.clock: Clock = clock or SystemClock()
        made = api.Api(adapter.Adapter(session, **settings), self.clock, seconds)
        self.instances = instances.InstanceManager(made)
        self.versions = versions.VersionManager(made)
        self.targets = targets.TargetManager(made)
        self.checks = checks.CheckManager(made)
        self.upgrades = upgrades.UpgradeManager(made, self.instances, self.clock)
        self.drift = drift.DriftManager(made)
