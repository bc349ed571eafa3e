# SPDX-License-Identifier: Apache-2.0
"""A very small JSON client for the cloud's own APIs: set-up only, so that the lab needs no client
library.
"""

import json
import urllib.error
import urllib.request
from typing import Any

from lab import errors

TIMEOUT_SECONDS = 60.0


class Session:
    """Session of one user in one project; the token is taken at the first request."""

    def __init__(self, auth_url: str, username: str, password: str, project_name: str) -> None:
        self._auth_url = auth_url
        self._identity = {
            'identity': {
                'methods': ['password'],
                'password': {
                    'user': {'name': username, 'domain': {'name': 'Default'}, 'password': password}
                },
            },
            'scope': {'project': {'name': project_name, 'domain': {'name': 'Default'}}},
        }
        self._token: str | None = None
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(self, method: str, url: str, body: Any = None, subject: str | None = None) -> Any:
        """The parsed answer, or None where it is empty.  `subject` is the token that Keystone is
        asked about.

        :raises CommandFailed: the service refused it, or cannot be reached.
        """
        about = {} if subject is None else {'X-Subject-Token': subject}
        answer = self._send(method, url, body, {'X-Auth-Token': self.token(), **about})[0]
        return json.loads(answer) if answer else None

    def token(self) -> str:
        """The token, for a request that is not JSON."""
        if self._token is None:
            self._token = self._authenticate()
        return self._token

    def _authenticate(self) -> str:
        headers = self._send('POST', f'{self._auth_url}/auth/tokens', {'auth': self._identity}, {})[
            1
        ]
        return str(headers['X-Subject-Token'])

    def _send(self, method: str, url: str, body: Any, headers: dict[str, str]) -> tuple[bytes, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            url,
            data=data,
            method=method,
            headers={'Content-Type': 'application/json', 'Accept': 'application/json', **headers},
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors='replace')[:500]
            raise errors.CommandFailed(
                f'{method} {url} was answered with {error.code}: {detail}'
            ) from error
        except OSError as error:
            raise errors.CommandFailed(f'{method} {url} failed: {error}.') from error
