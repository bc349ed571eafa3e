# SPDX-License-Identifier: Apache-2.0
"""Puts images into a registry of containers, with skopeo: no container engine has to run.

Source: containers-transports(5), "dir:path".
"""

from __future__ import annotations

import http.client
import tempfile
import urllib.request
from pathlib import Path

from lab.commands import Commands, HostCommands
from lab.containers.image import Image

_PUSH_SECONDS = 600
_COPY = ('skopeo', 'copy', '--quiet', '--insecure-policy', '--dest-tls-verify=false')


class RegistryClient:
    """One registry, by its address without a path; it speaks plain HTTP, on loopback."""

    def __init__(self, url: str, commands: Commands | None = None) -> None:
        self.url = url.rstrip('/')
        self._commands = commands or HostCommands()

    def ready(self) -> bool:
        """True once it answers."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f'{self.url}/v2/', timeout=2) as answer:
                return int(answer.status) == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def push(self, image: Image) -> None:
        """Put an image there under all its tags, as it is.  What the registry has already is not
        sent again; safe to repeat.

        :raises errors.CommandFailed: the registry refused it, or cannot be reached.
        """
        place = f'docker://{self.url.partition("://")[2]}/{image.repository}'
        with tempfile.TemporaryDirectory() as folder:
            _lay_out(image, Path(folder))
            for tag in image.tags:
                self._commands.run(
                    [*_COPY, '--preserve-digests', f'dir:{folder}', f'{place}:{tag}'],
                    timeout_seconds=_PUSH_SECONDS,
                )


def _lay_out(image: Image, folder: Path) -> None:
    """Make the directory that skopeo takes for an image: each part by its digest."""
    (folder / 'version').write_text('Directory Transport Version: 1.1\n', 'ascii')
    (folder / 'manifest.json').write_bytes(image.manifest)
    (folder / _name(image.config_digest)).write_bytes(image.config)
    for layer in image.layers:
        (folder / _name(layer.digest)).symlink_to(layer.path.absolute())


def _name(digest: str) -> str:
    return digest.partition(':')[2]
