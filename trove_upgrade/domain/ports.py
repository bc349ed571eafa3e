# SPDX-License-Identifier: Apache-2.0
"""Ports: the protocols that adapters implement and that a test can stand in for."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from trove_upgrade.domain import compute, guests, states
from trove_upgrade.domain.endings import Ending
from trove_upgrade.domain.events import EventKind
from trove_upgrade.domain.instances import (
    Datastore,
    DatastoreVersion,
    GuestClasses,
    Holder,
    Instance,
    ServiceStatus,
    StatusReport,
    Task,
)
from trove_upgrade.domain.turn import Turn
from trove_upgrade.domain.upgrade_checks import UpgradeCheck
from trove_upgrade.domain.upgrades import Upgrade


class Clock(Protocol):
    """Port of time, so that a test need not wait."""

    def now(self) -> datetime.datetime:
        """Return the time of day, aware and in UTC."""

    def monotonic(self) -> float:
        """Return seconds of a clock that is never set back, for time-outs."""


class Compute(Protocol):
    """Nova, as the service user sees it."""

    def server(self, server_id: str) -> compute.Server:
        """Read it without user data, lock and the sizes of its flavor.

        :raises ServerNotFound: Nova has no such server.
        :raises ComputeUnavailable: no answer in time; ask again later.
        """

    def server_with_user_data(self, server_id: str) -> compute.Server:
        """Read all of it, for a rebuild alone: user data holds accounts and
        keys.  Raises as `server`.
        """

    def flavor_id(self, server_id: str) -> str | None:
        """The id of the server's flavor; None where Nova does not name it.  Raises as `server`."""

    def max_microversion(self) -> tuple[int, int]:
        """Return the one that requests are made in, which Nova is asked for once.

        :raises ComputeUnavailable: no answer in time; ask again later.
        """

    def describe(self, server_id: str) -> compute.ServerDescription:
        """Read what Nova could refuse a rebuild for.  Raises as `server`."""

    def rebuild(
        self,
        server: compute.Server,
        image_id: str,
        marker: str,
        user_data: bytes | None,
        *,
        ends_at: float,
    ) -> None:
        """Ask for a rebuild.  Returns when Nova has accepted it, not when it is done.

        All other metadata of `server` is kept.  Not idempotent: a second call rebuilds again.
        Compare `server.marker` first.  Nothing is sent from `ends_at` on, in seconds of the
        monotonic clock: also where the process stood still before it came to that.

        :raises RebuildRefused: a definite no (4xx but 409); nothing was changed.
        :raises RebuildConflict: 409, the server has another task; wait and look again.
        :raises ComputeUnavailable: unknown whether accepted; read the marker.
        Source: Nova api-ref, "Rebuild Server (rebuild Action)".
        """

    def rebuild_result(self, server: compute.Server) -> compute.RebuildResult:
        """Return what became of the last accepted rebuild: the instance action's result
        with the server's status.
        """


class ServerDirectory(Protocol):
    """Nova's view of many servers, for lists of instances."""

    def servers(self, instances: Sequence[Instance]) -> Mapping[str, compute.ServerSummary]:
        """Return servers by id, in one list call; a server that Nova does not have is missing in
        the answer.

        :raises ComputeUnavailable: no answer within [trove_upgrade] server_list_timeout (seconds).
        """


class Images(Protocol):
    """Glance, as the service user sees it."""

    def image(self, image_id: str) -> compute.Image:
        """Return an image of Glance.

        :raises ImageNotFound: there is none.

        :raises ComputeUnavailable: no answer in time.
        """

    def newest(self, tags: Sequence[str]) -> compute.Image:
        """The newest active image with all these tags (how Trove resolves a version
        that has tags and no image).

        :raises ImageNotFound: there is none.
        """


class GuestBroker(Protocol):
    """The message broker, asked on behalf of a guest that is still to be rebuilt."""

    def refusal(self, instance_id: str, files: Mapping[str, str]) -> str | None:
        """Return why the agents of the guest would not be heard with these
        configuration files (name -> text).

        None where they would, where the broker lets no client in now, and where the files do not
        name it.  Changes nothing.
        """


class Guest(Protocol):
    """The guest agent of one instance.  Every method starts or joins a journalled job
    and answers within seconds.

    :raises GuestUnavailable: no answer in time; ask again later, it is safe.
    """

    def check_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """All checks, nothing changed.  `result['checks']` is a list of check results."""

    def pre_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Check, fingerprint and stop in one session, stash,
        unmount.  `result['upgrade_info']` once DONE.
        """

    def abort_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Undo pre_upgrade, on the former image.  DONE and `serving` once the
        database answers clients again.
        """

    def post_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Restore the stash, start the new server isolated, upgrade the data, compare,
        open for clients.
        """

    def verify_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Version over SQL, write probe, durable mount and autostart."""

    def finish_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """The upgrade is COMPLETED: the stash may go after its hours."""

    def greet(self, instance_id: str) -> None:
        """Let a guest that has a key tell under it in which start of its agent it is;
        no job is begun.
        """


class UpgradeRepository(Protocol):
    """`instance_upgrades` with what a taskmanager does to it.  Leases are compared by the
    database's clock.
    """

    def due(self, limit: int) -> Sequence[Turn]:
        """PENDING or RUNNING rows that are due, with a lease that is
        free or has run out.

        The oldest first, and of each project the first before any other's second, so that a limit
        leaves out none.
        """

    def turn(self, upgrade_id: str) -> Turn | None:
        """Return the turn that a nudge may put in; None: it has ended, was never there, or rests
        after a call without answer.
        """

    def turn_of_instance(self, instance_id: str) -> Turn | None:
        """Return that of the upgrade that holds an instance; None where none does, too."""

    def get(self, upgrade_id: str, project_id: str | None = None) -> Upgrade:
        """Return an upgrade with its whole progress.

        :raises UpgradeNotFound: none, or of another project than
        `project_id` where that is given.
        """

    def claim(self, upgrade_id: str, owner: str, lease_seconds: float) -> Upgrade:
        """Take the row: generation + 1, PENDING becomes RUNNING.

        :raises LeaseLost: another taskmanager holds it, or it has ended.
        """

    def save(
        self,
        held: Upgrade,
        *,
        release_for_seconds: float | None = None,
        event: EventKind | None = None,
        status: ServiceStatus | None = None,
    ) -> Upgrade:
        """Write its journal, from step to stalls, WHERE the generation is still ours.

        With `release_for_seconds` the lease is let go and next_run_at set that far ahead (0: at
        once).  An `event` of it, and the service `status` of its instance, are written in the same
        transaction.

        The next save is of what this one returns, or of what has been made of it: it may write
        no more than what differs.  Where nothing is let go of, `updated_at` is as it was.

        :raises LeaseLost: overtaken; nothing was written.
        """

    def end(
        self,
        held: Upgrade,
        state: states.UpgradeState,
        *,
        cause: str | None = None,
        error_code: str | None = None,
    ) -> Ending:
        """One transaction: final state, outbox event, the instance's task FROM UPGRADING, its fault
        or its new version.

        COMPLETED and ROLLED_BACK also write the 'finish' event.  If the compare-and-set on the
        instance fails, its task is not overwritten, and the upgrade ends FAILED with
        INSTANCE_CHANGED or INSTANCE_DELETED (and its error event); only the version is told, where
        it COMPLETED.  A task that was set back to NONE meanwhile is no action's:
        it ends as it would have.

        :raises LeaseLost: overtaken; nothing was written.
        """

    def retry(self, upgrade_id: str) -> Upgrade:
        """FAILED -> RUNNING for the next attempt, UPGRADING_ERROR -> UPGRADING,
        'start' event: one transaction.

        :raises UpgradeNotFound, RetryRefused, InstanceChanged: and nothing was written.
        """

    def rollback(self, upgrade_id: str) -> Upgrade:
        """Continue as `retry` does, with an attempt that leads back to the former image.

        :raises UpgradeNotFound, RollbackRefused, InstanceChanged: and nothing was written.
        """


class InstanceRepository(Protocol):
    """Trove's instances, as its tables have them."""

    def get(self, instance_id: str, project_id: str | None = None) -> Instance:
        """Return an instance that is not deleted.

        :raises InstanceNotFound: none, deleted, or of another project than
        `project_id` where that is given.
        """

    def task(self, instance_id: str) -> Task:
        """The task now, re-read (Trove saves whole stale objects)."""

    def holder(self, instance_id: str) -> Holder:
        """Task, version, deletion and backups now; a row that is gone is a deleted one."""

    def service_status(self, instance_id: str) -> StatusReport | None:
        """Return what `service_statuses` says now; None: nothing yet."""

    def ssl_mode(self, instance_id: str) -> str | None:
        """Return the mode of TLS as guest_info.conf has it ('None' where TLS is off); None: this
        Trove has no such setting.
        """


class UpgradeCheckRepository(Protocol):
    """Checks that were asked for, in the table `upgrade_checks`."""

    def due(self, limit: int) -> Sequence[Turn]:
        """PENDING ones, and RUNNING ones without a lease;
        project by project as those of upgrades.
        """

    def turn(self, check_id: str) -> Turn | None:
        """Return the turn that a nudge may put in; None: it has ended, or was never there."""

    def claim(self, check_id: str, owner: str, lease_seconds: float) -> UpgradeCheck:
        """Take a free check for `owner`, for `lease_seconds`.

        :raises LeaseLost: another taskmanager has it, or it has ended.
        """

    def finish(self, check: UpgradeCheck, owner: str) -> None:
        """Write state, results, cause and error_code of a check that `owner` has claimed.

        :raises LeaseLost: another taskmanager has it, or it has ended; nothing was written.
        """


class GuestRepository(Protocol):
    """`upgrade_guests`: the last heartbeat of each guest,
    and the image that its server was booted from.
    """

    def record(self, heartbeat: guests.Heartbeat, key_id: str | None = None) -> bool:
        """Insert or update, seen_at by the database's clock; False: there is no such instance, and
        nothing was kept.

        :param key_id: the key that it came under; None: it came unsealed.
        """

    def heartbeat(self, instance_id: str) -> guests.Heartbeat | None:
        """The last one, or None if none ever came."""

    def heard_under(self, instance_id: str) -> str | None:
        """The key that the last heartbeat came under; None: it came unsealed, or none ever came."""

    def last_word(self, instance_id: str) -> guests.LastWord | None:
        """Return when and in which boot its agent was heard last; None if it never was."""

    def heard(self, instance_id: str, within_seconds: float) -> bool:
        """Return whether one came in the last seconds by the database's clock; 0: ever."""

    def keep_known(self, instance_id: str) -> None:
        """Record that the guest has answered now; what its last heartbeat said stays."""

    def forget_agent(self, instance_id: str) -> None:
        """Forget all that was heard of its agent, which was removed; the image stays."""

    def image(self, instance_id: str) -> str | None:
        """The image that the instance's server runs as far as we know."""


class DatastoreRepository(Protocol):
    """Trove's datastores and versions, and the target facts registered with a version."""

    def list(self) -> Sequence[Datastore]:
        """Return all datastores, by name."""

    def get(self, id_or_name: str) -> Datastore:
        """Return a datastore by its id, else by its name.

        :raises DatastoreNotFound: none.
        """

    def versions(self, datastore_id: str, *, active_only: bool) -> Sequence[DatastoreVersion]:
        """The versions of one datastore."""

    def version(self, datastore_id: str, id_or_name: str) -> DatastoreVersion:
        """Return a version by id, else by name within the datastore, inactive ones too.

        :raises DatastoreVersionNotFound: neither.
        :raises DatastoreVersionAmbiguous: several of that name.
        """

    def version_by_id(self, version_id: str) -> DatastoreVersion:
        """Return a version of any datastore.

        :raises DatastoreVersionNotFound: none.
        """

    def guest_classes(self, version_id: str) -> GuestClasses:
        """Return what Trove's agent loads for this version."""

    def target_facts(self, version_id: str) -> Mapping[str, Any]:
        """Return what the image build recorded and registering loaded; empty where nothing was."""

    def agents_by_image(self, version_id: str) -> Mapping[str, Any]:
        """Return the fact `guest_rpc` of each image that the version was registered with facts
        for.
        """

    def configuration_parameters(self, version_id: str) -> Sequence[str]:
        """Names of Trove's datastore_configuration_parameters of this version."""

    def configured_parameters(self, configuration_id: str) -> Sequence[str]:
        """Names of what a configuration group sets; empty for one that is deleted,
        or unknown.
        """
