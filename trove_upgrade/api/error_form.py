# SPDX-License-Identifier: Apache-2.0
"""Filter of the API alone that gives errors of other parts of its pipeline the form of ours.

authtoken answers 401 as text and 503 as HTML, and oslo.middleware's bound of a body 413 as HTML;
the released clients print that as it is, and no code is in it.  Beside Trove the pipeline is
Trove's, and the filter stands in none.
"""

import json
from collections.abc import Iterable

import webob

from trove_upgrade.api import application, errors
from trove_upgrade.api.filter import Inner

#: Of the old body, or what the client cannot take (api/errors.py).
_DROPPED = frozenset(
    {
        'content-type',
        'content-length',
        'content-encoding',
        'content-language',
        'etag',
        'retry-after',
    }
)


class ErrorForm:
    """`inner`, with its answers of 400 and more in our form.  To stand behind what gives requests
    their id, and before all else.
    """

    def __init__(self, inner: Inner) -> None:
        self._inner = inner

    def __call__(
        self, environ: application.Environ, start_response: application.StartResponse
    ) -> Iterable[bytes]:
        request_id = application.request_id_of(environ)
        answer = application.answer_errors(
            lambda: webob.Request(environ).get_response(self._inner), request_id
        )
        if answer.status_int >= 400 and not _has_form(answer):
            answer = _in_form(answer, request_id)
        return answer(environ, start_response)


def _has_form(answer: webob.Response) -> bool:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return False
    fault = next(iter(document.values()), None) if isinstance(document, dict) else None
    return (
        answer.content_type == 'application/json'
        and isinstance(fault, dict)
        and {'message', 'error_code'} <= fault.keys()
    )


def _in_form(answer: webob.Response, request_id: str) -> webob.Response:
    """An answer of the same status, with the headers that are not of the old body, as
    WWW-Authenticate.
    """
    status = answer.status_int
    match status:
        case 401:
            error: errors.RequestError = errors.NotAuthenticated()
        case 403:
            error = errors.Forbidden(found='a part of the pipeline before the API refuses it')
        case 413:
            error = errors.BodyTooLarge(
                found='too many', bound='as many as a part of the pipeline before the API allows'
            )
        case 503:
            error = errors.PipelineUnavailable()
        case _ if status >= 500:
            return _with_headers(errors.internal(request_id, status), answer)
        case _:
            error = errors.PipelineRefused(found=answer.status)
    return _with_headers(errors.response(status, error.message, error.code), answer)


def _with_headers(made: webob.Response, answer: webob.Response) -> webob.Response:
    made.headerlist = [
        *made.headerlist,
        *((name, value) for name, value in answer.headerlist if name.lower() not in _DROPPED),
    ]
    return made
