# SPDX-License-Identifier: Apache-2.0
"""Progress of an upgrade: what its steps have found and done, and in which attempt.

Pure: each method returns the next Progress.  The repository maps it to the flat JSON of a row:
`db.progress_codec`.
"""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Any, Self

from trove_upgrade.domain.holds import NO_CHOICES, NO_HOLD, Choices, Hold
from trove_upgrade.domain.notes import NO_NOTES, Note, Notes
from trove_upgrade.domain.upgrade_info import NO_INFO, StoredInfo

#: The attempt of an act that a row tells in a form that this release cannot read: no attempt has
#: this number, and the act counts as done in an earlier one.
UNREADABLE_ATTEMPT = 0


class Way(enum.Enum):
    """Goal of an upgrade's steps."""

    FORWARD = 'forward'  #: to the target version
    UNDOING = 'undoing'  #: given up before the rebuild: the former guest is to serve again
    BACK = 'back'  #: by a rebuild to the former image


@dataclasses.dataclass(frozen=True, kw_only=True)
class Direction:
    """The way of an upgrade, and the reason for a way that does not lead to the target.

    It is stored, so that a taskmanager that takes the upgrade over goes on in the same direction.
    """

    way: Way = Way.FORWARD
    cause: str | None = None
    error_code: str | None = None
    attempt: int | None = None  #: the attempt that is undone; a retry goes forward again


FORWARD = Direction()


@dataclasses.dataclass(frozen=True, kw_only=True)
class FormerGuest:
    """The guest that served before the rebuild, as it was heard then."""

    boot_id: str = ''
    server_version: str | None = None  #: as its database named itself before it was stopped
    agent_version: str | None = None
    had_key: bool | None = None  #: at the beginning; None: an earlier release has made the checks
    #: its image, booted again, would be no guest of ours: what was brought into it after its boot
    #: is in no user data, and no agent of ours is known to be in the image
    cannot_return: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewGuest:
    """The guest of the rebuild."""

    boot_id: str = ''
    agent_version: str | None = None
    server_version: str | None = None  #: as verify has heard it


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuiesceProgress:
    """Facts that pre_upgrade has left."""

    told_in_attempt: int | None = None  #: from then on giving up means undoing
    info: StoredInfo = NO_INFO
    stopped_at: str | None = None  #: ISO 8601, by the guest's clock
    quiesced_at: str | None = None  #: the same: the volume is let go


@dataclasses.dataclass(frozen=True)
class Unasked:
    """Record that Nova was not asked for the rebuild of a number, as of a run of the step.

    Each run moves it on.  A taskmanager of a release that does not know it leaves it behind, and it
    counts no more: that one may have asked.
    """

    rebuild_attempt: int
    runs: int  #: of the step's entry, when this was written


@dataclasses.dataclass(frozen=True, kw_only=True)
class RebuildProgress:
    """Rebuilds that Nova was asked for, and those that it has accepted."""

    asked_in_attempt: int | None = None  #: the attempt that the current marker was made for
    times_asked: int = 1  #: markers in that attempt
    #: Nova has been seen to carry our marker: the former guest is gone or going.
    accepted_in_attempt: int | None = None
    #: Until then, by the database's clock, a call to Nova may be under way of which no answer is
    #: recorded; None: there is none.
    post_until: datetime.datetime | None = None
    #: None: Nova was asked for the current number, or it is not known.
    unasked: Unasked | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RestoreProgress:
    """Attempts that post_upgrade was sent in, and facts that it has found."""

    #: post_upgrade was last sent to the target's guest.  From then on the point of no return counts
    #: as passed, unless that attempt's guest has denied it.
    sent_in_attempt: int | None = None
    #: The target's guest has told, at its end, that no server was started on the data.
    untouched_in_attempt: int | None = None
    #: post_upgrade was last sent to the former image's guest: its server may have written.
    sent_back_in_attempt: int | None = None
    #: When Trove's conductor had last been told of the database before post_upgrade was sent;
    #: ISO 8601.
    status_seen_at: str | None = None
    boot_id: str = ''  #: of the root disk that was restored
    fingerprint: Mapping[str, Any] | None = None
    downtime_seconds: float | None = None
    #: Clients were let in: by the guest's clock, or the taskmanager's where the guest tells none.
    opened_at: datetime.datetime | None = None
    open_seconds: float | None = None  #: part of the downtime, after the comparison
    open_told_in_attempt: int | None = None  #: listeners were told of the opening

    @property
    def is_past_no_return(self) -> bool:
        """Return whether the new server may have been started on the instance's data."""
        sent = self.sent_in_attempt
        return sent is not None and self.untouched_in_attempt != sent


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifyProgress:
    """Facts that verify has seen to hold, where it waits for Trove's agent after that."""

    passed_in_attempt: int | None = None
    passed_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """All of it.  A part that no step has written yet is empty."""

    direction: Direction = FORWARD
    former: FormerGuest = FormerGuest()
    quiesce: QuiesceProgress = QuiesceProgress()
    rebuild: RebuildProgress = RebuildProgress()
    new: NewGuest = NewGuest()
    restore: RestoreProgress = RestoreProgress()
    verify: VerifyProgress = VerifyProgress()
    notes: Notes = NO_NOTES
    choices: Choices = NO_CHOICES
    hold: Hold = NO_HOLD
    #: What only a newer release knows, by its name in the row: kept as it is.
    others: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: The row's own JSON, so that an entry that no step has changed is written as it was read.
    stored: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def evolve(self, **changes: Any) -> Self:
        """Return a copy with `changes`."""
        return dataclasses.replace(self, **changes)

    def checked(self, former: FormerGuest, warnings: tuple[Note, ...]) -> Self:
        """Return a copy that records the former guest and the warnings of checks that passed."""
        return self.evolve(former=former, notes=dataclasses.replace(self.notes, warnings=warnings))

    def told_to_stop(self, attempt: int) -> Self:
        """The guest is told to stop its database."""
        return self._quiesce(told_in_attempt=attempt)

    def quiesced(self, info: StoredInfo, boot_id: str, quiesced_at: str | None = None) -> Self:
        """The former guest has stopped its database and kept what must survive."""
        known = dataclasses.replace(self.former, boot_id=boot_id or self.former.boot_id)
        stopped = self._quiesce(info=info, stopped_at=info.stopped_at, quiesced_at=quiesced_at)
        return stopped.evolve(former=known)

    def former_had_key(self, had_key: bool) -> Self:
        """The checks were an earlier release's, and did not write it."""
        return self.evolve(former=dataclasses.replace(self.former, had_key=had_key))

    def rebuild_asked(self, attempt: int, times: int) -> Self:
        """A new marker is made; `times`: how many were made in this attempt, with this one."""
        return self._rebuild(asked_in_attempt=attempt, times_asked=times)

    def nova_unasked(self, unasked: Unasked | None) -> Self:
        """Nova has not been asked for the current number; None: it may have been."""
        return self._rebuild(unasked=unasked)

    def post_announced(self, until: datetime.datetime) -> Self:
        """Nova is about to be asked; the call has ended by then, whatever becomes of us."""
        return self._rebuild(post_until=until, unasked=None)

    def post_ended(self) -> Self:
        """The call to Nova has returned, or was not made."""
        return self._rebuild(post_until=None)

    def rebuild_accepted(self, attempt: int | None) -> Self:
        """Nova carries our marker; None: it has fallen back to the guest before."""
        return self._rebuild(accepted_in_attempt=attempt, post_until=None)

    def booted(self, boot_id: str, agent_version: str | None) -> Self:
        """The agent of the new root disk was heard."""
        return self._new(boot_id=boot_id, agent_version=agent_version)

    def restore_sent(self, attempt: int, status_seen_at: str | None) -> Self:
        """post_upgrade is sent, to the guest of the image that the direction leads to."""
        back = self.direction.way is Way.BACK
        sent: dict[str, Any] = {'sent_back_in_attempt' if back else 'sent_in_attempt': attempt}
        return self._restore(status_seen_at=status_seen_at, **sent)

    def restore_was_sent(self, attempt: int) -> bool:
        """Return whether post_upgrade was sent in this attempt, in this direction."""
        back = self.direction.way is Way.BACK
        sent = self.restore.sent_back_in_attempt if back else self.restore.sent_in_attempt
        return sent == attempt

    def data_untouched(self, attempt: int | None) -> Self:
        """The guest has told that no server was started on the data; None: it does not any more."""
        return self._restore(untouched_in_attempt=attempt)

    def data_touched(self, attempt: int) -> Self:
        """The former image's guest has found that the new server was started on the data."""
        return self._restore(sent_in_attempt=attempt, untouched_in_attempt=None)

    def restored(
        self,
        boot_id: str,
        fingerprint: Mapping[str, Any],
        downtime_seconds: float | None,
        found: Notes,
    ) -> Self:
        """The guest serves again: `found` are its changed settings and remarks."""
        told = dataclasses.replace(
            self.notes, settings_changed=found.settings_changed, remarks=found.remarks
        )
        restored = self._restore(
            boot_id=boot_id, fingerprint=fingerprint, downtime_seconds=downtime_seconds
        )
        return restored.evolve(notes=told)

    def opened(self, moment: datetime.datetime, seconds: float | None) -> Self:
        """Clients were let in at `moment`; the opening took so many seconds, where it is known."""
        return self._restore(opened_at=moment, open_seconds=seconds)

    def open_told(self, attempt: int) -> Self:
        """Listeners are told of the opening, in the write that records this."""
        return self._restore(open_told_in_attempt=attempt)

    def served(self, server_version: str | None, agent_version: str | None) -> Self:
        """Verify has heard the version of the server and of the agent."""
        return self._new(server_version=server_version, agent_version=agent_version)

    def verified(self, attempt: int, moment: datetime.datetime) -> Self:
        """Verify has passed; what is left is that Trove's agent reports it."""
        return self.evolve(verify=VerifyProgress(passed_in_attempt=attempt, passed_at=moment))

    def held(self, since: datetime.datetime, until: datetime.datetime | None) -> Self:
        """It waits from now on; at `until` it ends by itself."""
        return self.evolve(hold=Hold(since=since, until=until))

    def kept_held(self, why: str) -> Self:
        """Its time has come, and it could not proceed."""
        return self.evolve(hold=dataclasses.replace(self.hold, kept_by=why))

    def hold_over(self, moment: datetime.datetime) -> Self:
        """It waits no more, and is not held again."""
        return self.evolve(hold=dataclasses.replace(self.hold, over_at=moment, kept_by=None))

    def remarked(self, remark: Note) -> Self:
        """One more sentence for the tenant."""
        return self.evolve(notes=self.notes.with_remark(remark))

    def given_up(self, attempt: int, cause: str, error_code: str | None) -> Self:
        """The former guest is to serve again: nothing has been rebuilt."""
        return self.evolve(
            direction=Direction(
                way=Way.UNDOING, cause=cause, error_code=error_code, attempt=attempt
            )
        )

    def turned_back(self, cause: str | None, error_code: str | None) -> Self:
        """The former image is to serve again, by way of a rebuild that is asked anew."""
        return self._redirected(Direction(way=Way.BACK, cause=cause, error_code=error_code))

    def turned_forward(self) -> Self:
        """The target is to serve, by way of a rebuild that is asked anew."""
        return self._redirected(FORWARD)

    def _redirected(self, direction: Direction) -> Self:
        return self.evolve(
            direction=direction,
            rebuild=dataclasses.replace(self.rebuild, asked_in_attempt=None, times_asked=1),
            restore=dataclasses.replace(self.restore, sent_back_in_attempt=None),
        )

    def _quiesce(self, **changes: Any) -> Self:
        return self.evolve(quiesce=dataclasses.replace(self.quiesce, **changes))

    def _rebuild(self, **changes: Any) -> Self:
        return self.evolve(rebuild=dataclasses.replace(self.rebuild, **changes))

    def _new(self, **changes: Any) -> Self:
        return self.evolve(new=dataclasses.replace(self.new, **changes))

    def _restore(self, **changes: Any) -> Self:
        return self.evolve(restore=dataclasses.replace(self.restore, **changes))


#: Of an upgrade that has not begun.
NOTHING = Progress()
