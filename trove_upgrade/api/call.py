# SPDX-License-Identifier: Apache-2.0
"""One request on its way through a handler."""

import dataclasses
import datetime
import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import webob
from oslo_context import context as oslo_context

from trove_upgrade.api import errors, policies
from trove_upgrade.api.services import Services

#: Where a server mounts this version of the API.
VERSION_PATH = '/v1.0'

_UUID = re.compile(r'[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}')
_UNFIT = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff]')


def is_uuid(text: str) -> bool:
    """Return whether `text` can be the id of anything: what cannot is not looked for."""
    return _UUID.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Return whether `text` can be a name in a database: bounded,
    and of characters that every database takes.
    """
    return 0 < len(text) <= 255 and _UNFIT.search(text) is None


def utc_of(text: str) -> datetime.datetime:
    """Read a time in ISO 8601.

    :raises ValueError: it is none, has no zone, or is out of all bounds; the text says which.
    """
    try:
        moment = datetime.datetime.fromisoformat(text)
        has_zone = moment.utcoffset() is not None
        moment = moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError('no time in ISO 8601') from error
    if not has_zone:
        raise ValueError('a time without its zone')
    return moment


class HandedOn(Exception):
    """Signal, and no error: the request is claimed by its form and not ours to serve, so the
    application behind the filter gets it as it came.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """Input of a handler: the caller, the request, and the services to answer with.  Its policy has
    been enforced already.
    """

    http: webob.Request
    context: oslo_context.RequestContext
    services: Services
    #: the body's JSON, valid under the route's schema; None where the route takes no body
    document: Any = None

    @functools.cached_property
    def is_admin(self) -> bool:
        """Return whether the caller sees every project."""
        return bool(self.services.enforcer.authorize(policies.ADMIN, {}, self.context))

    @property
    def project_id(self) -> str:
        """The project of the token, which is the one of the address."""
        return str(self.context.project_id)

    @property
    def scope(self) -> str | None:
        """The project that a look-up is bounded to; None for an admin."""
        return None if self.is_admin else self.project_id

    @property
    def public_endpoint(self) -> str | None:
        """Return what the operator wants before /v1.0, without a slash at its end;
        None: as the request came.
        """
        public = self.services.settings.public_endpoint
        return public.rstrip('/') if public else None

    @functools.cached_property
    def base_url(self) -> str:
        """Return what stands before /v1.0 in the addresses of our resources, without a slash at its
        end.

        Scheme, host and prefix are the request's, after http_proxy_to_wsgi has put
        a proxy's in their place.
        """
        return self.public_endpoint or str(self.http.application_url).removesuffix(VERSION_PATH)

    def href(self, path: str) -> str:
        """An address of the API's version 1.0, as the client reached it."""
        return f'{self.base_url}{VERSION_PATH}{path}'

    def query(self, name: str) -> str | None:
        """A parameter of the address.

        :raises QueryInvalid: it holds what cannot be text.
        """
        return next(reversed(self.queries(name)), None)

    def queries(self, name: str) -> Sequence[str]:
        """Return every value of a parameter of the address.  Raises as `query`."""
        try:
            return [str(value) for value in self.http.GET.getall(name)]
        except UnicodeDecodeError as error:
            raise errors.QueryInvalid(
                name='the query', found='not UTF-8', wanted='text in UTF-8'
            ) from error

    def query_choice(self, name: str, choices: Sequence[str]) -> str | None:
        """Return a parameter that is one of these words.

        :raises QueryInvalid: it is none of them.
        """
        value = self.query(name)
        if value is not None and value not in choices:
            raise errors.QueryInvalid(
                name=name, found='none of its values', wanted='one of ' + ', '.join(choices)
            )
        return value

    def query_time(self, name: str) -> datetime.datetime | None:
        """Return a parameter that is a time with its zone.

        :raises QueryInvalid: it is none.
        """
        value = self.query(name)
        if value is None:
            return None
        try:
            return utc_of(value)
        except ValueError as error:
            raise errors.QueryInvalid(
                name=name, found=str(error), wanted='a time as 2026-12-01T02:00:00Z'
            ) from error

    def query_flag(self, name: str) -> bool:
        """A parameter that is `true` in any case, or false: Python's
        clients send True and False.
        """
        return (self.query(name) or '').lower() == 'true'

    def query_uuid(self, name: str) -> str | None:
        """A parameter that is an id.

        :raises QueryInvalid: it is none.
        """
        value = self.query(name)
        if value is not None and not is_uuid(value):
            raise errors.QueryInvalid(
                name=name, found='not an id', wanted='a uuid, or leave it out'
            )
        return value

    def query_limit(self) -> int:
        """Return how many items the answer may have: what is asked for, capped at the page size.

        :raises QueryInvalid: no positive number.
        """
        page_size = self.services.settings.page_size
        value = self.query('limit')
        if not value:
            return page_size
        if not (value.isascii() and value.isdigit() and int(value[:9]) > 0):
            raise errors.QueryInvalid(
                name='limit',
                found='not a positive number',
                wanted=f'a number from 1 to {page_size}',
            )
        return min(int(value[:9]), page_size)


def json_response(status: int, document: Mapping[str, Any]) -> webob.Response:
    """An answer with a body."""
    return webob.Response(
        status=status,
        body=json.dumps(document).encode(),
        content_type='application/json',
        charset='UTF-8',
    )
