# SPDX-License-Identifier: Apache-2.0
"""HTTP: requests through a session of keystoneauth, pages of lists, and answers that refuse."""

import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ksa_exceptions

from troveupgradeclient import exceptions
from troveupgradeclient.v1.following import Clock, slower
from troveupgradeclient.v1.reading import read

SERVICE_TYPE = 'database'
Query = Mapping[str, str | Sequence[str]]
Record = TypeVar('Record')

#: Codes by which the service tells that its release has no such route.
NO_ROUTE = frozenset({'RESOURCE_NOT_FOUND', 'METHOD_NOT_ALLOWED'})
_UPGRADES = '/upgrades'
#: Parameters of an address that tell where a page begins.
_BEGIN = ('marker', 'marker_time')
#: A gateway before the service answers these while the service restarts.
_LATER = frozenset({502, 503, 504})
#: Longest time that a request may be without an answer, unless the session has one.
REQUEST_SECONDS = 60.0
#: Shortest one, where less is left of a wait.
_LEAST_SECONDS = 1.0
#: How long too many requests are borne by a request that is no look of a wait.
LIMIT_SECONDS = 60.0
#: First pause then.
_PAUSE_SECONDS = 1.0


class Api:
    """The endpoint of type `database` of one project."""

    def __init__(
        self, http: adapter.Adapter, clock: Clock, request_seconds: float = REQUEST_SECONDS
    ) -> None:
        self._http = http
        self._clock = clock
        self._request_seconds = request_seconds

    def get(
        self,
        path: str,
        key: str,
        what: str,
        query: Query | None = None,
        *,
        seconds: float | None = None,
    ) -> Any:
        """Return what `key` holds of the answer; `what` names the feature in an error, and
        `seconds` are left for the request where it is a look of a wait.
        """
        return _under(key, self._ours('GET', path, what, query=query, seconds=seconds))

    def post(self, path: str, key: str, what: str, body: Mapping[str, object]) -> Any:
        """Return what `key` holds of the answer to a body."""
        return _under(key, self._ours('POST', path, what, body=body))

    def foreign(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Any:
        """Return the answer of a resource that Trove has without the service, too; None where it
        is empty.

        :raises RequestRefused: it refuses.
        """
        return _document(_accepted(self._send(method, path, query=query, body=body)))

    def pages(
        self, kind: type[Record], path: str, key: str, what: str | None, query: Query
    ) -> Iterator[Record]:
        """Yield the items of a list; a page is asked for when its first item is.

        Where `what` is None, Trove has the list without the service, too.
        """
        asked = dict(query)
        while True:
            document = (
                self.foreign('GET', path, query=asked)
                if what is None
                else self._ours('GET', path, what, query=asked)
            )
            items = _under(key, document)
            if not isinstance(items, list):
                raise exceptions.AnswerInvalid(found=f'{key} is no list')
            for item in items:
                yield read(kind, item)
            begins = _next_begin(document)
            if not items or 'marker' not in begins or begins.items() <= asked.items():
                return
            asked |= begins

    def has_service(self) -> bool:
        """Tell whether the upgrade service answers, of whichever release."""
        answer = self._send('GET', _UPGRADES, query={'limit': '1'})
        return bool(answer.status_code < 400 or _fault(answer).code)

    def _ours(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Query | None = None,
        body: Mapping[str, object] | None = None,
        seconds: float | None = None,
    ) -> Any:
        """Return the answer of a resource of the service.

        :raises ApiMissing: there is no service.
        :raises ApiTooOld: there is one that does not know the resource.
        """
        answer = self._send(method, path, query=query, body=body, seconds=seconds)
        if answer.status_code in {404, 405}:
            code = _fault(answer).code
            if code is None and not self.has_service():
                raise exceptions.ApiMissing
            if code is None or code in NO_ROUTE:
                raise exceptions.ApiTooOld(what=what)
        return _document(_accepted(answer))

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, object] | None = None,
        seconds: float | None = None,
    ) -> Any:
        """Return the answer.  Where there were too many requests nothing was done, and the same one
        is sent again, unless it is a look of a wait, which has its own pauses.
        """
        longest = self._request_seconds
        if seconds is not None:
            longest = min(longest, max(seconds, _LEAST_SECONDS))
        address = path + (f'?{urllib.parse.urlencode(query, doseq=True)}' if query else '')
        content: dict[str, Any] = {'timeout': longest}
        if body is not None:
            content['json'] = body
        begun, pause = self._clock.monotonic(), _PAUSE_SECONDS
        while True:
            answer = self._answer(address, method, content)
            if answer.status_code < 400 or seconds is not None:
                return answer
            fault = _fault(answer)
            if not fault.is_limit or self._clock.monotonic() - begun >= LIMIT_SECONDS:
                return answer
            pause = slower(pause, fault.retry_after_seconds)
            self._clock.sleep(pause)

    def _answer(self, address: str, method: str, content: Mapping[str, Any]) -> Any:
        try:
            return self._http.request(address, method, raise_exc=False, **content)
        except ksa_exceptions.ClientException as error:
            raise _of_session(error) from error


def _of_session(error: ksa_exceptions.ClientException) -> exceptions.UpgradeClientError:
    """Return why there was no answer of the service: the session has none, or no token for it."""
    found = ' '.join(str(error).split()).rstrip('.') or type(error).__name__
    away = (ksa_exceptions.ConnectionError, ksa_exceptions.DiscoveryFailure)
    if isinstance(error, away) or _is_passing(error):
        return exceptions.ApiSilent(found=found)
    if isinstance(error, ksa_exceptions.CatalogException):
        return exceptions.EndpointMissing(found=found)
    return exceptions.LoginFailed(found=found)


def _is_passing(error: ksa_exceptions.ClientException) -> bool:
    """Tell whether Keystone's answer tells to come again later."""
    return isinstance(error, ksa_exceptions.HttpError) and (
        error.http_status >= 500 or error.http_status == 429
    )


def _under(key: str, document: Any) -> Any:
    if not isinstance(document, dict) or key not in document:
        raise exceptions.AnswerInvalid(found=f'it has no {key}')
    return document[key]


def _document(answer: Any) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError as error:
        raise exceptions.AnswerInvalid(found='it is not JSON') from error


def _accepted(answer: Any) -> Any:
    if answer.status_code < 400:
        return answer
    fault = _fault(answer)
    if answer.status_code in _LATER and fault.code is None:
        raise exceptions.ApiSilent(found=f'HTTP {answer.status_code}')
    raise fault


def _fault(answer: Any) -> exceptions.RequestRefused:
    """Read the error of an answer: one key that names the status, as Trove has it."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    fault = next(iter(document.values()), None) if isinstance(document, dict) else None
    fault = fault if isinstance(fault, dict) else {}
    code, message = fault.get('error_code'), fault.get('message')
    status = answer.status_code
    return exceptions.RequestRefused(
        status=status,
        code=code if isinstance(code, str) else None,
        message=f'{message or answer.reason or "The request was refused."}'
        + ('' if code else f' (HTTP {status})'),
        request_id=answer.headers.get('x-openstack-request-id', ''),
        retry_after_seconds=_seconds(answer.headers.get('Retry-After')),
    )


def _seconds(text: str | None) -> float | None:
    """Return a number of seconds; None for a date, and for what is none."""
    return float(text) if text and text.isascii() and text.isdigit() else None


def _next_begin(document: Any) -> dict[str, str]:
    """Return the begin of the next page; its address may name another host than ours, as behind
    a proxy, so that this alone is taken.
    """
    links = document.get('links') if isinstance(document, dict) else None
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get('rel') == 'next':
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(str(link.get('href'))).query))
            return {name: query[name] for name in _BEGIN if name in query}
    return {}
