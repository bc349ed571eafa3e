# SPDX-License-Identifier: Apache-2.0
"""Context of a flow: its call, the guest's parts, and what it returns."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from trove_upgrade.domain import exceptions, ports
from trove_upgrade.domain import guests as wire
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.machine import identity, metadata_address, processors
from trove_upgrade.guestagent.machine import service as service_module
from trove_upgrade.guestagent.machine.progress import Progress
from trove_upgrade.guestagent.storage import volume as volume_module
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.storage.stash import accounts as accounts_module
from trove_upgrade.guestagent.trove import trove_agent_control
from trove_upgrade.guestagent.upgrade.mark_facts import ServerStartedFacts
from trove_upgrade.guestagent.upgrade.marks import Mark, Marks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The agent's options, as plain values."""

    volume_wait_seconds: float = 60
    volume_margin_bytes: int = 64 << 20
    stash_keep_hours: float = 72
    isolation_look_seconds: float = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guest:
    """The guest's identity and its ports."""

    instance_id: str
    agent_version: str
    boot_id: Callable[[], str]
    #: read anew each time: user data may be written while the agent runs
    marker: Callable[[], str | None]
    layout: Layout
    clock: ports.Clock
    volume: volume_module.VolumePort
    service: service_module.ServicePort
    driver: base.DatastoreDriver
    marks: Marks
    accounts: accounts_module.Accounts
    settings: Settings = dataclasses.field(default_factory=Settings)
    trove_agent: trove_agent_control.TroveAgentControl = dataclasses.field(
        default_factory=trove_agent_control.NoTroveAgent
    )
    #: of the container image on the volume, as user data tells; read anew each time
    carried: Callable[[], identity.CarriedArchive | None] = lambda: None
    metadata: metadata_address.MetadataAddress = dataclasses.field(
        default_factory=metadata_address.Closed
    )
    #: for what is done while the database is down
    awake: processors.Awake = contextlib.nullcontext

    def server_started(self, upgrade_id: str) -> bool:
        """Return whether the new server has been started on the data for this upgrade, as far as it
        can be seen now.
        """
        started = self.marks.get(ServerStartedFacts, upgrade_id)
        return started is not None and not started.rollback

    def server_started_for_certain(self, upgrade_id: str) -> bool | None:
        """Tell what `server_started` tells, with None where it cannot be told: the volume, which
        remembers, is not seen.

        A mark that is there and cannot be read counts as set: the caller wants to start another
        server.
        """
        if self.server_started(upgrade_id) or self.marks.is_unreadable(Mark.SERVER_STARTED):
            return True
        try:
            return None if self.volume.mounted() is None else False
        except exceptions.StepFailed:
            return None

    def serving(self) -> bool:
        """Return whether the database answers clients: it answers, and is not the isolated first
        start of an upgrade.
        """
        return not self.isolated() and self.driver.server_version() is not None

    def isolated(self) -> bool:
        """Return whether a server that runs would be one that no client reaches yet."""
        started = self.marks.get(ServerStartedFacts)
        return started is not None and not self.marks.has(Mark.OPENED, started.upgrade_id)


@dataclasses.dataclass(frozen=True)
class Work:
    """One job of one upgrade in this guest."""

    guest: Guest
    call: wire.GuestCall
    progress: Progress


@dataclasses.dataclass(frozen=True)
class JobOutcome:
    """Outcome of a flow: a message, and the result that the taskmanager reads."""

    message: str
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)
