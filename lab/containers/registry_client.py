# SPDX-License-Identifier: Apache-2.0
"""Puts images into a registry of containers, without a container engine.

Source: "Docker Registry HTTP API V2" of the distribution project: blobs first, each in one piece,
then the manifest by its tags.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import IO

from lab import errors
from lab.containers.image import MANIFEST_TYPE, Image

TIMEOUT_SECONDS = 120.0
_BINARY = 'application/octet-stream'


class RegistryClient:
    """One registry, by its address without a path; no proxy stands between."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip('/')
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ready(self) -> bool:
        """Tell whether the registry answers."""
        try:
            with self._opener.open(f'{self.url}/v2/', timeout=2) as answer:
                return int(answer.status) == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def push(self, image: Image) -> None:
        """Put an image there under all its tags.  What the registry has already is not sent again;
        safe to repeat.

        :raises errors.LabError: the registry refused it, or cannot be reached.
        """
        for layer in image.layers:
            if not self._has(image.repository, layer.digest):
                with layer.path.open('rb') as content:
                    self._put_blob(image.repository, layer.digest, content, layer.size)
        if not self._has(image.repository, image.config_digest):
            self._put_blob(image.repository, image.config_digest, image.config, len(image.config))
        for tag in image.tags:
            self._send(
                'PUT',
                f'{self.url}/v2/{image.repository}/manifests/{tag}',
                image.manifest,
                {'Content-Type': MANIFEST_TYPE},
            )

    def tags(self, repository: str) -> list[str]:
        """Return what it knows of a repository; nothing where it knows no such one.

        :raises errors.LabError: the registry cannot be reached.
        """
        try:
            with self._opener.open(
                f'{self.url}/v2/{repository}/tags/list', timeout=TIMEOUT_SECONDS
            ) as answer:
                return sorted(json.load(answer)['tags'] or [])
        except urllib.error.HTTPError as refused:
            if refused.code == http.HTTPStatus.NOT_FOUND:
                return []
            raise self._failure('list the tags of', repository, refused) from refused
        except OSError as error:
            raise self._failure('list the tags of', repository, error) from error

    def remove(self, repository: str, digest: str) -> None:
        """Forget a manifest and every tag that leads to it; its layers stay.

        :raises errors.LabError: the registry refused it, or cannot be reached.
        """
        self._send('DELETE', f'{self.url}/v2/{repository}/manifests/{digest}', None, {})

    def _has(self, repository: str, digest: str) -> bool:
        request = urllib.request.Request(
            f'{self.url}/v2/{repository}/blobs/{digest}', method='HEAD'
        )
        with (
            contextlib.suppress(urllib.error.HTTPError),
            self._opener.open(request, timeout=TIMEOUT_SECONDS),
        ):
            return True
        return False

    def _put_blob(
        self, repository: str, digest: str, content: IO[bytes] | bytes, size: int
    ) -> None:
        place = self._send('POST', f'{self.url}/v2/{repository}/blobs/uploads/', b'', {})
        location = urllib.parse.urljoin(self.url, place['Location'])
        location += ('&' if '?' in location else '?') + urllib.parse.urlencode({'digest': digest})
        self._send('PUT', location, content, {'Content-Type': _BINARY, 'Content-Length': str(size)})

    def _send(
        self, method: str, url: str, body: IO[bytes] | bytes | None, headers: Mapping[str, str]
    ) -> Mapping[str, str]:
        request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return answer.headers
        except OSError as error:
            raise self._failure(method, url, error) from error

    def _failure(self, verb: str, what: str, error: OSError) -> errors.LabError:
        said = (
            error.read().decode('utf-8', 'replace')
            if isinstance(error, urllib.error.HTTPError)
            else ''
        )
        return errors.LabError(
            f'Cannot {verb} {what} in the registry at {self.url}: {error}. {said}'.strip()
            + ' See the log of the registry.',
            code='lab_registry',
        )
