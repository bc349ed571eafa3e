# SPDX-License-Identifier: Apache-2.0
"""A client of the standard Docker Engine API, for what an upgrade needs of it, with the standard
library alone.
"""

import contextlib
import dataclasses
import json
import pathlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from trove_upgrade.guestagent.machine.containers import (
    answers,
    definitions,
    http,
    output,
    throwaway,
)
from trove_upgrade.guestagent.machine.containers.answers import Container, Image
from trove_upgrade.guestagent.machine.containers.calls import Calls, not_found, quoted, refuse
from trove_upgrade.guestagent.machine.containers.engine_images import EngineImages
from trove_upgrade.guestagent.machine.containers.errors import (
    ContainerFailed,
    ContainerImageNotFound,
    EngineNotAnswering,
    EngineRefused,
)
from trove_upgrade.guestagent.machine.containers.executions import Executions
from trove_upgrade.guestagent.machine.containers.image_documents import Platform
from trove_upgrade.guestagent.machine.containers.login import RegistryLogin
from trove_upgrade.guestagent.machine.finished import Finished
from trove_upgrade.guestagent.machine.progress import Progress

SOCKET = pathlib.Path('/run/docker.sock')

_LOOK_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of calls to the engine, in seconds."""

    short: float = 30  #: for what the engine knows at once
    start: float = 120  #: making, starting, removing
    pull: float = 3600
    archive: float = 900  #: giving and taking an archive of an image, from and to a disk


class Pause(Protocol):
    """Port of time, so that a test need not wait."""

    def monotonic(self) -> float:
        """Return seconds of a clock that no program sets."""

    def sleep(self, seconds: float) -> None:
        """Suspend the calling thread for that long."""


class DockerEngine:
    """`Engine` by the API of Docker 20.10 and later."""

    def __init__(
        self,
        transport: http.Transport,
        pause: Pause,
        *,
        login: RegistryLogin | None = None,
        limits: Limits | None = None,
        processes: pathlib.Path = pathlib.Path('/proc'),
    ) -> None:
        """:param login: for the registry that wants one."""
        self._pause = pause
        self._limits = limits or Limits()
        self._calls = Calls(transport, self._limits.short)
        self._images = EngineImages(
            self._calls,
            login,
            start_seconds=self._limits.start,
            pull_seconds=self._limits.pull,
            archive_seconds=self._limits.archive,
        )
        self._executions = Executions(self._calls, processes)
        self._token = secrets.token_hex(8)

    def ping(self) -> bool:
        try:
            return (
                self._calls.transport.ask('GET', '/_ping', seconds=self._limits.short).status == 200
            )
        except EngineNotAnswering:
            return False

    def version(self) -> str:
        answer = self._calls.ask('GET', '/version', "tell the engine's version")
        return str((answer.json() or {}).get('Version', ''))

    def platform(self) -> Platform:
        return answers.platform(self._calls.ask('GET', '/version', 'tell its platform'))

    def inspect(self, name: str) -> Container | None:
        answer = self._calls.ask(
            'GET', f'/containers/{quoted(name)}/json', f'look at container {name}', allowed=(404,)
        )
        return None if answer.status == 404 else answers.container(answer)

    def create(
        self,
        name: str,
        definition: Mapping[str, Any],
        *,
        image: str | None = None,
        command: Sequence[str] | None = None,
        env: Mapping[str, str | None] | None = None,
        network: str | None = None,
        at_first: str | None = None,
        restart: str | None = None,
    ) -> None:
        self._create(
            name,
            definitions.creation(
                definition,
                image=image,
                command=command,
                env=env,
                network=network,
                at_first=at_first,
                restart=restart,
            ),
        )

    def _create(self, name: str, body: Mapping[str, Any]) -> None:
        answer = self._calls.ask(
            'POST',
            '/containers/create',
            f'make container {name}',
            query={'name': name},
            body=body,
            allowed=(400, 404, 409, 500),
            seconds=self._limits.start,
        )
        if answer.status == 404:
            raise ContainerImageNotFound(
                f'Container {name} cannot be made: image {body["Image"]} is not in the guest '
                f'({answer.said}). It is pulled first; look who has removed it.'
            )
        if answer.status >= 400:
            raise ContainerFailed(
                f'Container {name} cannot be made of {body["Image"]}: {answer.said}. Look at the '
                'log of the container engine.'
            )

    def start(self, name: str) -> None:
        answer = self._calls.ask(
            'POST',
            f'/containers/{quoted(name)}/start',
            f'start container {name}',
            allowed=(304, 400, 409, 500),
            seconds=self._limits.start,
        )
        if answer.status >= 400:
            raise ContainerFailed(
                f'Container {name} cannot be started: {answer.said}. Look at the log of the '
                'container engine.'
            )

    def stop(self, name: str, seconds: int) -> None:
        self._calls.ask(
            'POST',
            f'/containers/{quoted(name)}/stop',
            f'stop container {name}',
            query={'t': seconds},
            allowed=(304,),
            seconds=seconds + self._limits.short,
        )

    def kill(self, name: str) -> None:
        self._calls.ask(
            'POST', f'/containers/{quoted(name)}/kill', f'kill container {name}', allowed=(409,)
        )

    def remove(self, name: str, *, force: bool = False) -> None:
        answer = self._calls.ask(
            'DELETE',
            f'/containers/{quoted(name)}',
            f'remove container {name}',
            allowed=(404, 409),
            query={'v': 1, 'force': int(force)},
            seconds=self._limits.start,
        )
        if answer.status == 409 and 'already in progress' not in answer.said:
            raise EngineRefused(
                f'Container {name} cannot be removed: {answer.said}. Stop it first.'
            )

    def rename(self, name: str, new: str) -> None:
        self._calls.ask(
            'POST',
            f'/containers/{quoted(name)}/rename',
            f'rename container {name} to {new}',
            query={'name': new},
        )

    def connect(self, name: str, network: str) -> None:
        self._calls.ask(
            'POST',
            f'/networks/{quoted(network)}/connect',
            f'connect container {name} to network {network}',
            body={'Container': name},
            seconds=self._limits.start,
        )

    def disconnect(self, name: str, network: str) -> None:
        self._calls.ask(
            'POST',
            f'/networks/{quoted(network)}/disconnect',
            f'take container {name} off network {network}',
            body={'Container': name},
            seconds=self._limits.start,
        )

    def wait(self, name: str, seconds: float, progress: Progress) -> int:
        end = self._pause.monotonic() + seconds
        told = 0.0
        while True:
            container = self.inspect(name)
            if container is None:
                raise not_found(name)
            if container.status in {'exited', 'dead', 'created'}:
                return container.exit_code or 0
            now = self._pause.monotonic()
            if now >= end:
                raise TimeoutError(f'container {name} still runs after {seconds:.0f} s')
            if now - told >= 1:
                told = now
                progress(None, f'Container {name} is {container.status}')
            self._pause.sleep(_LOOK_SECONDS)

    def set_restart_policy(self, name: str, policy: str) -> None:
        self._calls.ask(
            'POST',
            f'/containers/{quoted(name)}/update',
            f'set the restart policy of container {name}',
            body={'RestartPolicy': {'Name': policy}},
        )

    def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float,
        on_line: Callable[[str], None] | None = None,
    ) -> Finished:
        return self._executions.run(
            name, argv, env=env, timeout_seconds=timeout_seconds, on_line=on_line
        )

    def run_throwaway(
        self,
        image: str,
        argv: Sequence[str],
        *,
        user: str,
        binds: Sequence[str] = (),
        tmpfs: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        network: str = 'none',
        entrypoint: Sequence[str] | None = None,
        timeout_seconds: float,
    ) -> Finished:
        self._remove_left_over()
        name = f'trove-upgrade-{secrets.token_hex(6)}'
        body = throwaway.creation(
            image,
            argv,
            self._token,
            user=user,
            binds=binds,
            tmpfs=tmpfs,
            env=env,
            network=network,
            entrypoint=entrypoint,
        )
        try:
            self._create(name, body)
            self.start(name)
            code = self.wait(name, timeout_seconds, lambda _percent, _text: None)
            return Finished(code, self.logs(name, 2000))
        finally:
            self.remove(name, force=True)

    def _remove_left_over(self) -> None:
        """Remove throwaway containers of an agent that was killed in the middle."""
        answer = self._calls.ask(
            'GET',
            '/containers/json',
            'list containers',
            query={'all': 1, 'filters': json.dumps({'label': [throwaway.THROWAWAY]})},
        )
        for found in answer.json() or ():
            if (found.get('Labels') or {}).get(throwaway.THROWAWAY) != self._token:
                self.remove(str(found['Id']), force=True)

    def image(self, reference: str) -> Image | None:
        return self._images.image(reference)

    def image_directory(self) -> pathlib.Path:
        return self._images.image_directory()

    def is_published(self, reference: str) -> bool:
        return self._images.is_published(reference)

    def pull(self, reference: str, progress: Progress) -> None:
        self._images.pull(reference, progress)

    def saved(
        self, image_id: str, seconds: float
    ) -> contextlib.AbstractContextManager[Iterator[bytes]]:
        return self._images.saved(image_id, seconds)

    def load(self, archive: Iterable[bytes], size_bytes: int) -> None:
        self._images.load(archive, size_bytes)

    def tag(self, image_id: str, reference: str) -> None:
        self._images.tag(image_id, reference)

    def remove_image(self, reference: str) -> None:
        self._images.remove_image(reference)

    def logs(self, name: str, lines: int) -> str:
        tail = output.Tail(output.KEPT_BYTES)
        try:
            with self._calls.transport.stream(
                'GET',
                f'/containers/{quoted(name)}/logs',
                seconds=self._limits.short,
                query={'stdout': 1, 'stderr': 1, 'tail': lines},
            ) as stream:
                if stream.status >= 400:
                    refuse(f'read the log of container {name}', stream.rest(), name)
                tail.take(answers.frames(stream))
        except TimeoutError as error:
            raise EngineNotAnswering(
                f'The log of container {name} cannot be read: no end within '
                f'{self._limits.short:.0f} s. Look at the log of the container engine.'
            ) from error
        return tail.text
