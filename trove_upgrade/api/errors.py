# SPDX-License-Identifier: Apache-2.0
"""Errors of HTTP's own, and the form in which every error reaches a client.

The form is Trove's, because the released clients take the first value of the answer's object for
the error: one key that names the status, holding `code` and `message`. Our stable `error_code`
stands inside that object, where no client trips over it, and once more at the end of `message`,
which is all that those clients print.

No answer has Retry-After: python-troveclient 8.11 hands it to exceptions that do not take it, and
dies of that in place of the message. Source: troveclient/apiclient/exceptions.py (from_response).
"""

import json
from collections.abc import Mapping
from typing import Any

import webob

from trove_upgrade.domain import exceptions, refusals
from trove_upgrade.domain.codes import Code


class RequestError(exceptions.TroveUpgradeError):
    """A request that HTTP itself, or the form of the body, gives reason to refuse."""

    status = 400


class NotAuthenticated(RequestError):
    """Answer 401: the request has no token, or one that Keystone does not know."""

    status = 401
    code = 'NOT_AUTHENTICATED'
    template = (
        'The request was not authenticated: no valid token was found. '
        'Get a new token and send the request again.'
    )


class Forbidden(RequestError):
    """The policy says no, or the project of the address is not the token's."""

    status = 403
    code = 'FORBIDDEN'
    template = (
        'The request is not allowed: {found}. '
        'Ask for a role that allows it, or log in to the project that is asked about.'
    )


class NoSuchResource(RequestError):
    """Answer 404: the API has no route for this path."""

    status = 404
    code = 'RESOURCE_NOT_FOUND'
    template = 'Nothing was found at {path}. Look the address up in the API reference.'


class MethodNotAllowed(RequestError):
    """The resource exists and does not know the method."""

    status = 405
    code = 'METHOD_NOT_ALLOWED'
    template = 'Method {method} cannot be used at {path}: it takes {allowed}. Use one of these.'


class BodyTooLarge(RequestError):
    """The body is over the bound."""

    status = 413
    code = 'BODY_TOO_LARGE'
    template = (
        'The body was not read: it has {found} bytes, and at most {bound} are taken. '
        'Send a smaller one.'
    )


class UnsupportedMediaType(RequestError):
    """The body is of another type than JSON."""

    status = 415
    code = 'UNSUPPORTED_MEDIA_TYPE'
    template = (
        'The body was not read: its type is {found}. Send it with "Content-Type: application/json".'
    )


class BodyLengthUnknown(RequestError):
    """Refusal of a body without its length: a proxy in front of this server could read another
    one.
    """

    code = 'BODY_LENGTH_UNKNOWN'
    template = 'The body was not read: {found}. Send its length in bytes as Content-Length.'


class BodyNotJson(RequestError):
    """The body cannot be parsed."""

    code = 'BODY_NOT_JSON'
    template = (
        'The body was not understood: it is not JSON ({found}). Send one JSON object in UTF-8.'
    )


class BodyDuplicateKey(RequestError):
    """Refusal of a repeated key: two readers may take two different values of it, so neither is
    taken.
    """

    code = 'BODY_DUPLICATE_KEY'
    template = (
        'The body was not understood: the key {key} occurs more than once in '
        'one object. Send it once.'
    )


class BodyInvalid(RequestError):
    """JSON, and not of the form that the resource takes."""

    code = 'BODY_INVALID'
    template = 'The body was not taken: {where}: {found}. Send {wanted}.'


class NotBeforeInvalid(RequestError):
    """Refusal of a time at which an upgrade is to begin."""

    code = 'NOT_BEFORE_INVALID'
    template = (
        'The upgrade was not begun: not_before is refused, {found}. Give a time in ISO 8601 with '
        'its zone, as 2026-12-01T02:00:00Z, that is to come and not farther ahead than the '
        'operator allows; leave it out to begin now.'
    )


class HoldAndNotBefore(RequestError):
    """Refusal of two choices of which one would make the other void."""

    code = 'HOLD_AND_NOT_BEFORE'
    template = (
        'The upgrade was not begun: hold and not_before exclude each other, as the first waits for '
        'proceed and the second begins by itself at its time. Give one of them; one with '
        'not_before may proceed before its time, too.'
    )


class MethodOverridden(RequestError):
    """Trove's router would take the request for another method than the one that HTTP names."""

    code = 'METHOD_OVERRIDDEN'
    template = (
        'The request was not taken: {found} would make another method of it. '
        'Send the method that is meant.'
    )


class PathInvalid(RequestError):
    """Refusal of a path: two readers may take one with such a character for two different ones, so
    none is asked.
    """

    code = 'PATH_INVALID'
    template = (
        'The address was not taken: it has the character {found}, which is not printed. '
        'Send the address without it; a space may stand there as %20.'
    )


class QueryInvalid(RequestError):
    """A parameter of the address has an impossible value."""

    code = 'QUERY_INVALID'
    template = 'The query was not taken: {name} is {found}. Give {wanted}.'


class VersionHasNoImage(RequestError):
    """A version that names neither an image nor tags cannot be booted from."""

    code = Code.DATASTORE_VERSION_HAS_NO_IMAGE
    template = (
        'Datastore version {version} cannot be used: it names neither an image nor image tags. '
        'Choose another version, or ask the operator to register an image with it.'
    )


class BackupOfFormerVersion(RequestError):
    """Trove would put an incremental backup on top of one that another release of the server has
    made, and no restore would work.
    """

    status = 422
    code = 'BACKUP_OF_FORMER_VERSION'
    template = (
        'Instance {instance_id} cannot be backed up incrementally: {found}. Make a full backup of '
        'it first, and name it as the parent where another one is newer.'
    )
    other_version = (
        'backup {backup_id}, or one that it builds on, is of datastore version {former}, and the '
        'instance has {present}'
    )
    other_release = (
        'backup {backup_id}, or one that it builds on, is from before the upgrade of {moment}, '
        'since when another release of the database server runs'
    )


class DatabaseUnavailable(RequestError):
    """Our database gave no answer."""

    status = 503
    code = 'DATABASE_UNAVAILABLE'
    template = (
        'The request was not served: the database gave no answer. '
        'Look whether the instance has changed, and try again in some seconds.'
    )


class DatabaseSchemaMissing(RequestError):
    """Our tables are not there, as where the filter came into Trove's pipeline before they were
    made; or they are an earlier release's.
    """

    status = 503
    code = 'DATABASE_SCHEMA_MISSING'
    template = (
        'The request was not served: the database lacks tables that it needs. '
        'Tell the operator: {advice}.'
    )


class PipelineUnavailable(RequestError):
    """A part of the pipeline before the API is not available: mostly authtoken,
    which cannot ask Keystone.
    """

    status = 503
    code = 'SERVICE_UNAVAILABLE'
    template = (
        'The request was not served: a service that is asked first, as Keystone for the token, '
        'gave no answer. Try again in some seconds, and tell the operator if it stays so.'
    )


class PipelineRefused(RequestError):
    """A part of the pipeline before the API refuses the request,
    for a reason that only its status names.
    """

    code = 'REQUEST_REFUSED'
    template = (
        'The request was refused by a part of the pipeline before the API: {found}. '
        'Look at the form of the request, and ask the operator what stands before the API.'
    )


#: The status of each kind of the domain's errors; a kind that is not here has the status of its
#: nearest parent, else 500.
STATUSES: Mapping[type[exceptions.TroveUpgradeError], int] = {
    exceptions.InstanceNotFound: 404,
    exceptions.DatastoreNotFound: 404,
    exceptions.DatastoreVersionNotFound: 404,
    exceptions.UpgradeNotFound: 404,
    exceptions.UpgradeCheckNotFound: 404,
    exceptions.DatastoreVersionAmbiguous: 400,
    exceptions.DatastoreVersionOfOther: 400,
    exceptions.DatastoreVersionInactive: 400,
    exceptions.VersionNotAllowed: 400,
    exceptions.InstanceBusy: 422,
    exceptions.InstanceChanged: 422,
    exceptions.RetryRefused: 409,
    exceptions.RollbackRefused: 409,
    refusals.AbortRefused: 409,
    refusals.ProceedRefused: 409,
    refusals.ActionOvertaken: 409,
    refusals.OlderService: 422,
    refusals.InstanceHasNoServer: 422,
    refusals.GuestAgentMissing: 422,
}

#: How Trove names the object of each status.
_NAMES = {
    400: 'badRequest',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    409: 'conflict',
    413: 'overLimit',
    415: 'badMediaType',
    422: 'unprocessableEntity',
    500: 'instanceFault',
    501: 'notImplemented',
    503: 'serviceUnavailable',
}


def status_of(error: exceptions.TroveUpgradeError) -> int:
    """The HTTP status of an error; 500 for one that no client can be blamed for."""
    return status_of_kind(type(error))


def status_of_kind(kind: type[exceptions.TroveUpgradeError]) -> int:
    """The HTTP status of all errors of a kind."""
    if issubclass(kind, RequestError):
        return kind.status
    return next((STATUSES[each] for each in kind.__mro__ if each in STATUSES), 500)


def response(
    status: int, message: str, error_code: str, *, headers: Mapping[str, str] | None = None
) -> webob.Response:
    """An error's answer in Trove's form."""
    fault: dict[str, Any] = {
        'code': status,
        'message': f'{message} ({error_code})',
        'error_code': error_code,
    }
    name = _NAMES.get(status, _NAMES[500 if status >= 500 else 400])
    answer = webob.Response(
        status=status,
        body=json.dumps({name: fault}).encode(),
        content_type='application/json',
        charset='UTF-8',
    )
    answer.headers.update(headers or {})
    return answer


def response_to(error: exceptions.TroveUpgradeError, request_id: str) -> webob.Response:
    """The answer to a refused request; what is our own fault is told by its request id alone."""
    status = status_of(error)
    if status >= 500 and not isinstance(error, RequestError):
        return internal(request_id)
    headers = {'Allow': error.facts['allowed']} if isinstance(error, MethodNotAllowed) else {}
    if isinstance(error, NotAuthenticated):
        headers = {'WWW-Authenticate': 'Keystone'}
    return response(status, error.message, error.code, headers=headers)


def internal(request_id: str, status: int = 500) -> webob.Response:
    """The answer where the fault is ours: the log has the rest, found by the request id."""
    return response(
        status,
        (
            'The request could not be served: an internal error was found. Tell the operator its '
            f'id: {request_id}.'
        ),
        Code.INTERNAL_ERROR,
    )
