# SPDX-License-Identifier: Apache-2.0
"""Every error that a user, an operator or another part of the system has to tell apart.

The class is the kind. `code` is stable: never changed, never given to another kind, and documented;
the text may improve. A message has three parts: what could not be done, what was found,
what to do next.
"""

from typing import Any

from trove_upgrade.domain.codes import Code


class TroveUpgradeError(Exception):
    """Base of all our errors.

    `template` is filled with the keyword arguments, which stay readable in
    `facts` for a report or a log.
    """

    code: str = Code.INTERNAL_ERROR
    template = 'An internal error was found. Look into the service log for its request id.'

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        self.message = self.template.format(**facts)
        super().__init__(self.message)

    @property
    def public_message(self) -> str:
        """Return what a tenant may read: no addresses and statements of the operator's services."""
        return self.message


class Dropped(TroveUpgradeError):
    """A message that counts as never sent.  Its sender is told; the log gets no line for each
    (`domain.drops`).
    """


class Unanswered(Dropped):
    """A message that gets no answer at all: its sender waits and asks again, where an error would
    make it give up.
    """


class IllegalMove(TroveUpgradeError):
    """A state was to follow one that it cannot follow: a fault of the program, not of a user."""

    code = 'ILLEGAL_MOVE'
    template = (
        'An upgrade cannot go from {current} to {new}: what may follow is {allowed}. '
        'Report this as a bug.'
    )


class InstanceNotFound(TroveUpgradeError):
    """Absence of an instance, or one of another project: which of the two is never told."""

    code = 'INSTANCE_NOT_FOUND'
    template = (
        'Instance {instance_id} cannot be found. Look its id up with a list of your instances.'
    )


class DatastoreNotFound(TroveUpgradeError):
    """Absence of a datastore with this id or name."""

    code = 'DATASTORE_NOT_FOUND'
    template = (
        'Datastore {datastore} cannot be found. List the datastores to see the ones there are.'
    )


class DatastoreVersionNotFound(TroveUpgradeError):
    """Absence of a version with this id or name in the datastore."""

    code = 'DATASTORE_VERSION_NOT_FOUND'
    template = (
        'Datastore version {version} cannot be found in datastore {datastore}. '
        'Name one of the versions of {datastore}.'
    )


class DatastoreVersionAmbiguous(TroveUpgradeError):
    """One name, several version numbers."""

    code = 'DATASTORE_VERSION_AMBIGUOUS'
    template = (
        'Datastore version {version} of datastore {datastore} is ambiguous: {count} versions have '
        'this name. Use the id of one of them: {ids}.'
    )


class DatastoreVersionOfOther(TroveUpgradeError):
    """The id names a version, but one of another datastore."""

    code = 'DATASTORE_VERSION_OF_OTHER_DATASTORE'
    template = (
        'Datastore version {version} cannot be used for instance {instance_id}: it belongs to '
        'datastore {other}, and the instance runs {datastore}. Name a version of {datastore}.'
    )


class DatastoreVersionInactive(TroveUpgradeError):
    """The operator has switched the version off."""

    code = Code.DATASTORE_VERSION_INACTIVE
    template = (
        'Datastore version {version} of {datastore} cannot be used: it is not active. '
        'Choose an active version, or ask the operator to activate it.'
    )


class VersionNotAllowed(TroveUpgradeError):
    """A downgrade, a skip, or a version name that no rule can read."""

    code = 'VERSION_NOT_ALLOWED'
    template = (
        'Instance {instance_id} cannot be upgraded from {datastore} {former} to {target}: '
        '{reason}. Choose one of the upgrade targets of the instance.'
    )


class InstanceBusy(TroveUpgradeError):
    """The instance is not in a state in which an upgrade may begin; nothing was written."""

    code: str = Code.INSTANCE_BUSY
    template = (
        'Instance {instance_id} cannot be upgraded now: its status is {status}. '
        'Wait until it is ACTIVE and try again.'
    )


class InstanceNeedsRetry(InstanceBusy):
    """A former upgrade has failed and holds the instance until an operator has ended it."""

    code = 'INSTANCE_NEEDS_RETRY'
    template = (
        'Instance {instance_id} cannot be upgraded now: its upgrade {upgrade_id} has failed '
        '({error_code}). The operator can continue it: by the action retry, as with "openstack '
        'database upgrade retry {upgrade_id}", or with "trove-upgrade-manage upgrade retry '
        '{upgrade_id}".'
    )


class UpgradeNotFound(TroveUpgradeError):
    """Absence of an upgrade, or one of another project."""

    code = 'UPGRADE_NOT_FOUND'
    template = 'Upgrade {upgrade_id} cannot be found. Look for it in the list of upgrades.'


class UpgradeCheckNotFound(TroveUpgradeError):
    """Absence of a check, or one of another project."""

    code = 'UPGRADE_CHECK_NOT_FOUND'
    template = (
        'Upgrade check {check_id} of instance {instance_id} cannot be found. Begin a new check.'
    )


class RetryRefused(TroveUpgradeError):
    """Refusal to try again: the upgrade has not failed."""

    code = 'RETRY_REFUSED'
    template = (
        'Upgrade {upgrade_id} cannot be retried: it is {state}, and only a FAILED one can. {advice}'
    )


class RetryLeadsBack(RetryRefused):
    """The former server may have been started by a rollback: going forward could
    lose what it has written.
    """

    code = Code.ROLLBACK_UNFINISHED
    template = (
        'Upgrade {upgrade_id} cannot be retried: its rollback has begun to restore the former '
        'version on the data. Finish that: by the action rollback, as with "openstack database '
        'upgrade rollback {upgrade_id}", or with "trove-upgrade-manage upgrade rollback '
        '{upgrade_id}".'
    )


class RetryOfLaterRelease(RetryRefused):
    """A later release has written the upgrade's step, and its taskmanagers alone can go on."""

    code = 'STEP_OF_LATER_RELEASE'
    template = (
        'Upgrade {upgrade_id} cannot be retried by this release: it failed at {step}, a step of a '
        'later release. Retry it with the API or the tools of that release, while its '
        'taskmanagers run.'
    )


class RollbackRefused(TroveUpgradeError):
    """The way back is not open."""

    code = 'ROLLBACK_REFUSED'
    template = 'Upgrade {upgrade_id} cannot be rolled back: {found}. {advice}'


# --- what a taskmanager meets ---------------------------------------------------------------------


class LeaseLost(TroveUpgradeError):
    """Another taskmanager has claimed the row: stop at once and write nothing."""

    code = 'LEASE_LOST'
    template = (
        'Upgrade {upgrade_id} belongs to another taskmanager by now: generation {generation} has '
        'been overtaken. Nothing was written; that one goes on with it.'
    )


class InstanceChanged(TroveUpgradeError):
    """Another action has changed the instance while the upgrade held it: nothing
    of theirs is overwritten.
    """

    code = 'INSTANCE_CHANGED'
    template = (
        'Upgrade {upgrade_id} found instance {instance_id} changed by another action: its task is '
        '{task}, expected {expected}. Nothing was overwritten. '
        'Look who changed it before anything else.'
    )


class InstanceDeleted(InstanceChanged):
    """Deletion of an instance in the middle of its upgrade: there is nothing left to undo, to
    restore or to mark.
    """

    code = 'INSTANCE_DELETED'
    template = (
        'Upgrade {upgrade_id} has ended because instance {instance_id} was deleted meanwhile. '
        'There is nothing left to do.'
    )


class StepRefused(TroveUpgradeError):
    """A check said no before anything was changed; the upgrade ends ABORTED."""

    code: str = Code.CHECK_REFUSED
    template = '{reason}'

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason=reason)
        self.code = code


class NotServingBefore(StepRefused):
    """Refusal by a guest that says itself that its database did not serve when it was looked at."""


class StepFailed(TroveUpgradeError):
    """A step cannot be brought to its end; the upgrade ends FAILED,
    or is rolled back where that is allowed.
    """

    code = 'STEP_FAILED'
    template = '{reason}'

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason=reason)
        self.code = code


class ComputeUnavailable(TroveUpgradeError):
    """Nova gave no definite answer: ask again later, and look before a POST is repeated."""

    code = 'COMPUTE_UNAVAILABLE'
    template = 'Nova cannot be asked for {what}: {found}. Look at Nova if this lasts.'

    @property
    def public_message(self) -> str:
        """The message without the library's words, which name Nova's own address."""
        return self.template.format(what=self.facts['what'], found="the taskmanager's log says why")


class ServerNotFound(TroveUpgradeError):
    """Nova knows no such server."""

    code = Code.SERVER_NOT_FOUND
    template = (
        'Server {server_id} cannot be found in Nova. The instance has lost its server; '
        'restore it from a backup.'
    )


class RebuildRefused(TroveUpgradeError):
    """A definite no of Nova's: nothing was changed."""

    code = 'REBUILD_REFUSED'
    template = (
        'Nova refused to rebuild server {server_id}: {found}. Nothing was changed; mend it '
        'and upgrade again.'
    )


class RebuildConflict(TroveUpgradeError):
    """Nova's 409: the server has another task just now. Not a refusal: wait and look again."""

    code = 'REBUILD_CONFLICT'
    template = 'Nova cannot rebuild server {server_id} now: {found}. It is asked again.'


class ImageNotFound(TroveUpgradeError):
    """Glance knows no such image, or does not show it to us."""

    code = 'IMAGE_NOT_FOUND'
    template = (
        'Image {image_id} cannot be found in Glance. Register the datastore version with '
        'an image that exists.'
    )


class GuestUnavailable(TroveUpgradeError):
    """Silence of the guest agent, or an answer that cannot be used: ask again later. The agent may
    have heard the call.
    """

    code = 'GUEST_UNAVAILABLE'
    template = (
        'The guest agent of instance {instance_id} did not answer {method} within '
        '{timeout_seconds} s. Look at the guest if this lasts.'
    )


class GuestNeverHeard(GuestUnavailable):
    """Silence of a guest that was never heard: there is probably no agent of ours in the guest."""

    code = 'GUEST_NEVER_HEARD'
    template = (
        'The guest of instance {instance_id} did not answer {method} within {timeout_seconds} s, '
        'and no upgrade agent was ever heard from it: its image probably holds none, or it does '
        'not reach the message broker. Ask the operator to put the agent into the guest; operators '
        'find how under "Images and versions" in the guide.'
    )


class GuestSilent(GuestUnavailable):
    """Silence of a guest whose agent was heard before."""

    code = 'GUEST_SILENT'
    template = (
        'The guest of instance {instance_id} did not answer {method} within {timeout_seconds} s. '
        'Its upgrade agent was last heard at {seen_at}: since then the guest stopped or hangs, '
        'lost the message broker, or got a root disk without the agent. Try again in some minutes; '
        'if it stays silent, ask the operator to look at the console and the image of its server.'
    )


class GuestRestarted(GuestUnavailable):
    """Silence of a guest whose last word was of another boot than the upgrade counts on."""

    code = 'GUEST_RESTARTED'
    template = (
        'The guest of instance {instance_id} did not answer {method} within {timeout_seconds} s. '
        'Its upgrade agent was last heard at {seen_at}, in another boot than the one that the '
        'upgrade has to do with: the guest was restarted or rebuilt meanwhile. Ask the operator to '
        'look at the console of its server, and at what restarted it.'
    )


class GuestStillWorking(GuestUnavailable):
    """The agent answers, and has not finished."""

    code = 'GUEST_STILL_WORKING'
    template = (
        'The guest agent of instance {instance_id} answers, and had not finished {method} after '
        '{timeout_seconds} s. Try again later; if it stays so, ask the operator to look into the '
        'log of the agent.'
    )


class GuestNotAsked(GuestUnavailable):
    """The broker did not take the question: nothing is known of the guest."""

    code = 'GUEST_NOT_ASKED'
    template = (
        'The guest agent of instance {instance_id} was not asked for {method}: the message broker '
        'gave no answer within {timeout_seconds} s. Look at the broker if this lasts.'
    )


class GuestKeyUnusable(GuestNotAsked):
    """The guest was not asked, as its key cannot be read here."""

    code = 'GUEST_KEY_UNUSABLE'
    template = 'The guest agent of instance {instance_id} was not asked for {method}. {found}'


class MessagingUnavailable(TroveUpgradeError):
    """The broker did not take a message: try later."""

    code = 'MESSAGING_UNAVAILABLE'
    template = 'A message of {what} could not be sent: {found}. Look at the broker if this lasts.'
