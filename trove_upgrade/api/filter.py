# SPDX-License-Identifier: Apache-2.0
"""The paste filter: in Trove's own pipeline it takes what is an upgrade and hands
everything else on untouched.

What it takes is our own resources, and every request that Trove itself would read as an upgrade:
PATCH and PUT on an instance with `datastore_version` in the body, also by `/mgmt/instances`, which
Trove's `extensions` lead any member to by the same handler: so it stands before those.  To know
that, the body must be read here exactly as it would be read behind us.  Where that cannot be told
for certain (no length, too long, a key twice, not to be parsed) the request ends here: were it
handed on, a second reader could find an upgrade in it that was never checked.
"""

import io
from collections.abc import Callable, Iterable
from typing import Any

from oslo_context import context as oslo_context

from trove_upgrade.api import application, body, errors
from trove_upgrade.api.call import HandedOn
from trove_upgrade.api.paths import OVERRIDE, Path, is_posted_form, names_method

Inner = Callable[[application.Environ, application.StartResponse], Iterable[bytes]]


class UpgradeFilter:
    """WSGI filter: `ours` answers what is claimed, `inner` everything else; `max_body_bytes` is
    called when a body is read.
    """

    def __init__(self, inner: Inner, ours: Inner, max_body_bytes: Callable[[], int]) -> None:
        self._inner = inner
        self._ours = ours
        self._max_body_bytes = max_body_bytes

    def __call__(
        self, environ: application.Environ, start_response: application.StartResponse
    ) -> Iterable[bytes]:
        try:
            path = Path.read(environ)
            _refuse_override(environ, path)
            is_upgrade = bool(path.instance) and _is_edit(environ) and self._is_upgrade(environ)
        except errors.RequestError as error:
            return refusal(error, environ, start_response)
        if not is_upgrade and not path.is_ours:
            return self._inner(environ, start_response)
        as_it_came, caller = environ['PATH_INFO'], oslo_context.get_current()
        environ['PATH_INFO'] = '/' + '/'.join(path.instance if is_upgrade else path.segments)
        try:
            return self._ours(
                environ, with_request_id(start_response, application.request_id_of(environ))
            )
        except HandedOn:
            environ['PATH_INFO'] = as_it_came
            body.forget(environ)
            # ours: only what was read and put back can be handed on here
            environ['wsgi.input'].seek(0)
            if caller is not None:
                oslo_context.RequestContext.update_store(caller)
            return self._inner(environ, start_response)

    def _is_upgrade(self, environ: application.Environ) -> bool:
        """Return whether Trove would read the body as an upgrade.  The body is read, and put back.

        :raises RequestError: it cannot be told.
        """
        content = body.read(environ, self._max_body_bytes())
        environ['wsgi.input'] = io.BytesIO(content)
        if not content:
            return False
        try:
            document = body.parse(content)
        except errors.RequestError:
            body.check_type(environ)  # what is announced as another type is refused for that
            raise
        edit = document.get('instance') if isinstance(document, dict) else None
        is_upgrade = isinstance(edit, dict) and 'datastore_version' in edit
        if is_upgrade:
            body.keep(environ, document)
        return is_upgrade


def _is_edit(environ: application.Environ) -> bool:
    return environ['REQUEST_METHOD'].upper() in {'PATCH', 'PUT'}


def _refuse_override(environ: application.Environ, path: Path) -> None:
    """Routes' middleware, which Trove uses, lets `_method` in the query or in a posted
    form stand for the method.

    :raises MethodOverridden: it might here, so that a POST or a GET would become an upgrade without
        a check.
    """
    if path.is_form_for_editing:  # whatever is sent there, a GET is enough
        raise errors.MethodOverridden(found='edit in its address')
    if not path.instance:
        return
    if names_method(environ):
        raise errors.MethodOverridden(found=f'{OVERRIDE} in its address')
    if is_posted_form(environ):
        raise errors.MethodOverridden(found='a form')


def refusal(
    error: errors.RequestError,
    environ: application.Environ,
    start_response: application.StartResponse,
) -> Iterable[bytes]:
    """The answer to a request that a filter refuses before any handler sees it."""
    request_id = application.request_id_of(environ)
    return errors.response_to(error, request_id)(
        environ, with_request_id(start_response, request_id)
    )


def with_request_id(
    start_response: application.StartResponse, request_id: str
) -> application.StartResponse:
    """The released client prints the request's id from this header alone."""

    def start(status: str, headers: list[tuple[str, str]], *args: Any) -> Any:
        return start_response(status, [*headers, ('x-compute-request-id', request_id)], *args)

    return start
