# SPDX-License-Identifier: Apache-2.0
"""The WSGI application: authenticated requests in, answers out, and every error in one form.

In order: is there an identity that the token middleware has vouched for; is there a route; is the
project of the address the token's; does the policy allow it; is the body what the route takes.
Only then the handler runs.
"""

from collections.abc import Callable, Iterable
from typing import Any

import webob
from oslo_context import context as oslo_context
from oslo_db import exception as db_exception

from trove_upgrade.api import body, errors
from trove_upgrade.api.call import Call, HandedOn
from trove_upgrade.api.routes import Route, RouteMap
from trove_upgrade.api.services import Services
from trove_upgrade.db import errors as db_errors
from trove_upgrade.db import faults
from trove_upgrade.domain import exceptions, logs

LOG = logs.get_logger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

_ENV_REQUEST_ID = 'openstack.request_id'


class Application:
    """The API behind the token middleware.  `services` is called with each request: it makes them
    once per process.
    """

    def __init__(self, services: Callable[[], Services], route_map: RouteMap | None = None) -> None:
        self._services = services
        self._routes = route_map or RouteMap()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        response = answer_errors(lambda: self._respond(environ), request_id_of(environ))
        return response(environ, start_response)

    def _respond(self, environ: Environ) -> webob.Response:
        request = webob.Request(environ)
        context = context_of(environ)
        route, variables = self._routes.find(environ.get('PATH_INFO', ''), request.method)
        project_id = variables.pop('project_id')
        if not context.project_id or project_id != context.project_id:
            raise errors.Forbidden(
                found='the project in the address is not the project of the token'
            )
        services = self._services()
        if not services.enforcer.authorize(route.policy, {'project_id': project_id}, context):
            raise errors.Forbidden(found=f'the policy {route.policy} does not let you')
        document = _document(environ, route, services.settings.max_body_bytes)
        return route.handler(
            Call(http=request, context=context, services=services, document=document), **variables
        )


def request_id_of(environ: Environ) -> str:
    """The id that the request has; a new one where no middleware has given it one,
    which it has from then on.
    """
    return str(environ.setdefault(_ENV_REQUEST_ID, oslo_context.generate_request_id()))


def answer_errors(respond: Callable[[], webob.Response], request_id: str) -> webob.Response:
    """Return what `respond` returns, or the answer to what it raises: the edge where every error
    ends.

    :raises HandedOn: no error; the filter serves it.
    """
    try:
        return respond()
    except HandedOn:
        raise
    except Exception as error:
        known = faults.explain(error)
        if known is None:
            LOG.exception('Request %s could not be served', request_id)
            return errors.internal(request_id)
        if errors.status_of(known) >= 500:
            LOG.error(  # noqa: TRY400 - the message has the cause
                'Request %s could not be served: %s: %s',
                request_id,
                known.code,
                known.message,
                exc_info=error if isinstance(known, db_errors.StatementRefused) else None,
            )
        return errors.response_to(_for_client(known, error), request_id)


def _for_client(
    known: exceptions.TroveUpgradeError, error: Exception
) -> exceptions.TroveUpgradeError:
    """Faults of the database in words that name neither its address nor a statement."""
    match known:
        case db_errors.SchemaMissing():
            return errors.DatabaseSchemaMissing(advice=known.facts['advice'])
        case db_errors.DatabaseUnreachable():
            return errors.DatabaseUnavailable()
    return errors.DatabaseUnavailable() if isinstance(error, db_exception.DBDeadlock) else known


def context_of(environ: Environ, *, overwrite: bool = True) -> oslo_context.RequestContext:
    """Return the caller's context.  Headers alone could come from any client: the token middleware
    also leaves what no client can send.

    `overwrite`: it becomes the thread's context, which logs show.

    :raises NotAuthenticated: it did not vouch for the request.
    """
    if (
        environ.get('keystone.token_info') is None
        or environ.get('HTTP_X_IDENTITY_STATUS') != 'Confirmed'
    ):
        raise errors.NotAuthenticated
    return oslo_context.RequestContext.from_environ(environ, overwrite=overwrite)


def _document(environ: Environ, route: Route, bound: int) -> Any:
    if route.schema is None:
        return None
    body.check_type(environ)
    document = body.document_of(environ, bound)
    route.schema.check(document)
    return document
