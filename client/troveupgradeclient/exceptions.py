# SPDX-License-Identifier: Apache-2.0
"""Errors of the client: a sentence with what happened and what to do next, and a stable code."""

from typing import ClassVar

from troveupgradeclient.printable import printable


class UpgradeClientError(Exception):
    """Base of all errors of the client; `code` never changes its meaning."""

    code: ClassVar[str]
    template: ClassVar[str]

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(printable(f'{self.template.format(**facts)} ({self.code})'))


class RequestRefused(Exception):  # its code and sentence are the server's
    """Refusal of a request by the server, in the server's own words."""

    def __init__(
        self,
        *,
        status: int,
        message: str,
        code: str | None,
        request_id: str,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds
        super().__init__(printable(message))

    @property
    def is_passing(self) -> bool:
        """Tell whether the same request may succeed some seconds later."""
        return self.status >= 500 or self.is_limit

    @property
    def is_limit(self) -> bool:
        """Tell whether there were too many requests: Trove tells so by 413, with which the service
        tells that a body is too large, too, and then there is a code.
        """
        return self.status == 429 or (self.status == 413 and self.code is None)


class ApiMissing(UpgradeClientError):
    """No upgrade service answers at the endpoint."""

    code = 'UPGRADE_API_MISSING'
    template = (
        "This cloud's Trove has no upgrade service: nothing of it answers at the database "
        'endpoint. Ask the operator whether it is to be installed.'
    )


class ApiTooOld(UpgradeClientError):
    """The service is of a release that lacks what was asked for."""

    code = 'UPGRADE_API_TOO_OLD'
    template = (
        'The upgrade service of this cloud is of an earlier release: it does not know {what}. '
        'Go without it, or ask the operator when a newer release comes.'
    )


class ApiSilent(UpgradeClientError):
    """No answer came, or one that tells to come again later."""

    code = 'UPGRADE_API_SILENT'
    is_passing = True
    is_limit = False
    retry_after_seconds = None
    template = (
        'The upgrade service gave no answer: {found}. Try again in some seconds. '
        'An upgrade that has begun goes on without this command.'
    )


class LoginFailed(UpgradeClientError):
    """No token came: Keystone refuses, or what it was asked with is not whole."""

    code = 'LOGIN_FAILED'
    template = (
        'Keystone gave no token: {found}. Look at the credentials, and at the address of Keystone.'
    )


class EndpointMissing(UpgradeClientError):
    """The catalog has no endpoint of the database service."""

    code = 'DATABASE_ENDPOINT_MISSING'
    template = (
        'No endpoint of type database was found: {found}. Look at the region and the interface '
        'that were chosen, and at: openstack catalog list.'
    )


class UpgradeNotListed(UpgradeClientError):
    """A request by the way of an earlier release was accepted, and no new upgrade came of it."""

    code = 'UPGRADE_NOT_LISTED'
    template = (
        'The request was accepted, and no new upgrade of instance {instance_id} is in the list. '
        "It may be Trove's own upgrade that begins, as the option guest_without_agent lets it. "
        'Look at the instance with: openstack database instance show {instance_id}.'
    )


class AnswerInvalid(UpgradeClientError):
    """The answer is not of the form that the API's reference describes."""

    code = 'UPGRADE_API_ANSWER_INVALID'
    template = (
        'The answer of the upgrade service was not understood: {found}. '
        'Look whether something else answers at the database endpoint.'
    )


class NameNotFound(UpgradeClientError):
    """Nothing has the name or the id that was given."""

    code = 'NAME_NOT_FOUND'
    template = 'No {kind} has the name or id {name}. {advice}'


class IdInvalid(UpgradeClientError):
    """A text that is no id of anything: as a part of an address it would lead elsewhere."""

    code = 'ID_INVALID'
    template = (
        'Nothing has the id "{given}": it is empty, or names a place in an address. '
        'Look whether the variable that it comes from is set.'
    )


class NameAmbiguous(UpgradeClientError):
    """More than one thing has the name."""

    code = 'NAME_AMBIGUOUS'
    template = 'More than one {kind} is named {name}. Give one of the ids: {ids}.'


class TimeUnreadable(UpgradeClientError):
    """A time is not in the form of ISO 8601, or has no zone."""

    code = 'TIME_UNREADABLE'
    template = (
        '{option} was not understood: {found}. Give a time with its zone, as '
        '2026-12-01T02:00:00Z or 2026-12-01T03:00+01:00.'
    )


class SortUnknown(UpgradeClientError):
    """A list cannot be sorted so."""

    code = 'SORT_UNKNOWN'
    template = (
        'The list cannot be sorted by {found}. Give created_at or updated_at, with :asc or :desc.'
    )


class ImageIsBooted(UpgradeClientError):
    """The instance has the version that was asked for, and runs its image."""

    code = 'IMAGE_IS_BOOTED'
    template = (
        'Instance {instance} has version {version} and was booted from its image: an upgrade would '
        'take the database away and bring the same image. Give --force for it all the same, as '
        'where a container image of the version was replaced.'
    )


class WaitOver(UpgradeClientError):
    """The time that the command was to wait is over."""

    code = 'WAIT_OVER'
    template = 'The wait of {seconds:g} s is over: {found}. Nothing of it was stopped.'
