# SPDX-License-Identifier: Apache-2.0
"""Calls of the engine's API: an answer, or an error that names what was asked of the engine."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn
from urllib import parse

from trove_upgrade.guestagent.machine.containers import http
from trove_upgrade.guestagent.machine.containers.errors import ContainerNotFound, EngineRefused


class Calls:
    """Calls of one engine's API, with its refusals as errors."""

    def __init__(self, transport: http.Transport, short_seconds: float) -> None:
        """`short_seconds`: for what the engine knows at once."""
        self.transport = transport
        self._short_seconds = short_seconds

    def ask(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        allowed: Sequence[int] = (),
        seconds: float | None = None,
    ) -> http.Answer:
        """One exchange about `what`, with a status below 300 or one of those `allowed`.

        :raises EngineError: ENGINE_NOT_ANSWERING, ENGINE_REFUSED, CONTAINER_NOT_FOUND.
        """
        answer = self.transport.ask(
            method, path, seconds=seconds or self._short_seconds, query=query, body=body
        )
        if answer.status >= 300 and answer.status not in allowed:
            refuse(what, answer, path.split('/')[2] if path.startswith('/containers/') else None)
        return answer


def refuse(what: str, answer: http.Answer, container: str | None = None) -> NoReturn:
    """Raise the error that the engine's answer means.

    :raises EngineError: ENGINE_REFUSED, CONTAINER_NOT_FOUND; always one of them.
    """
    if answer.status == 404 and container is not None:
        raise not_found(parse.unquote(container))
    raise EngineRefused(
        f'The container engine cannot {what}: {answer.status}, {answer.said}. Look at its log.'
    )


def quoted(name: str) -> str:
    """The name as a part of a path."""
    return parse.quote(name, safe='/:@')


def not_found(name: str) -> ContainerNotFound:
    """The error for a container that is not there."""
    return ContainerNotFound(
        f'Container {name} cannot be found: the engine has none of that name. Look who has removed '
        'it.'
    )
