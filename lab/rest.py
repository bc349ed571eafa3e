# SPDX-License-Identifier: Apache-2.0
"""Asks the cloud's own APIs in JSON, as one user in one project, with keystoneauth1."""

from collections.abc import Mapping
from typing import IO, Any

import requests
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

from lab import errors
from lab.handle import Credentials

TIMEOUT_SECONDS = 60.0
_DOMAIN = 'Default'
_QUOTED = 500  #: characters of a refusal


class Session:
    """Session of one user in one project; the token is taken at the first request."""

    def __init__(self, auth_url: str, username: str, password: str, project_name: str) -> None:
        self._auth = v3.Password(
            auth_url,
            username=username,
            password=password,
            project_name=project_name,
            user_domain_name=_DOMAIN,
            project_domain_name=_DOMAIN,
        )
        transport = requests.Session()
        transport.trust_env = False  # no proxy stands before loopback
        # an idle connection would hold a thread of the service
        transport.headers['Connection'] = 'close'
        self._session = session.Session(auth=self._auth, session=transport, timeout=TIMEOUT_SECONDS)

    @classmethod
    def of(cls, user: Credentials) -> 'Session':
        """Return the session of a user of the running cloud."""
        return cls(user.auth_url, user.username, user.password, user.project_name)

    def request(self, method: str, url: str, body: Any = None, subject: str | None = None) -> Any:
        """The parsed answer, or None where it is empty.  `subject` is the token that Keystone is
        asked about.

        :raises CommandFailed: the service refused it, or cannot be reached.
        """
        about = {} if subject is None else {'X-Subject-Token': subject}
        answer = self._send(method, url, json=body, headers=about)
        return answer.json() if answer.content else None

    def upload(self, url: str, content: IO[bytes], timeout_seconds: float) -> None:
        """PUT a file as it is.

        :raises CommandFailed: the service refused it, or cannot be reached.
        """
        kind = {'Content-Type': 'application/octet-stream'}
        self._send('PUT', url, data=content, headers=kind, timeout=timeout_seconds, log=False)

    def token(self) -> str:
        """The token, for a request that is not JSON."""
        return str(self._auth.get_token(self._session))

    def _send(
        self, method: str, url: str, *, headers: Mapping[str, str], **options: Any
    ) -> requests.Response:
        try:
            answer: requests.Response = self._session.request(
                url, method, headers=dict(headers), **options
            )
        except exceptions.HttpError as error:
            detail = (error.response.text if error.response is not None else str(error))[:_QUOTED]
            raise errors.CommandFailed(
                f'{method} {url} was answered with {error.http_status}: {detail}'
            ) from error
        except exceptions.ClientException as error:
            raise errors.CommandFailed(f'{method} {url} failed: {error}.') from error
        return answer
