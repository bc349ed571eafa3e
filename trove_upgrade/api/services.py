# SPDX-License-Identifier: Apache-2.0
"""Services of the handlers, handed in by the composition of the application."""

import dataclasses
import enum
from typing import Protocol

from oslo_context import context as oslo_context
from oslo_policy import policy

from trove_upgrade.db import repositories
from trove_upgrade.domain import ports, versions
from trove_upgrade.domain.holds import LONGEST_SECONDS
from trove_upgrade.domain.upgrades import Upgrade


class TaskManager(Protocol):
    """Receiver of nudges.  Neither call waits for a broker or raises: the row is the truth,
    the nudge saves a delay.
    """

    def upgrade(self, context: oslo_context.RequestContext, upgrade: Upgrade) -> None:
        """Look at this upgrade now."""

    def check(self, context: oslo_context.RequestContext, check_id: str) -> None:
        """Look at this upgrade check now."""


class GuestWithoutAgent(enum.StrEnum):
    """Answer to a PATCH of an instance whose guest has not told of an agent of ours lately."""

    REFUSE = 'refuse'  #: 422
    LEAVE = 'pass'  #: the request goes on to Trove


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Options that the API reads with each request."""

    page_size: int  #: most items of one answer
    max_body_bytes: int
    public_endpoint: str | None  #: e.g. https://database.example.org; None: as the request came
    region: str  #: shown for instances whose row names none
    #: None: the service runs alone, and the precheck finds it
    guest_without_agent: GuestWithoutAgent | None = None
    #: a guest that was not heard for longer has no agent of ours; 0: once heard is enough
    guest_silence_seconds: float = 0
    #: what becomes of a failure where the user has chosen nothing
    rolls_back: bool = False
    longest_hold_seconds: float = LONGEST_SECONDS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Services:
    """One process' services; safe to share between its threads."""

    repos: repositories.Repositories
    taskmanager: TaskManager
    servers: ports.ServerDirectory | None  #: None in the filter, which shows no instances
    rules: versions.Rules
    enforcer: policy.Enforcer
    settings: Settings
    images: ports.Images | None = None  #: None: versions that have tags alone are not resolved
