# SPDX-License-Identifier: Apache-2.0
"""A client of the standard Docker Engine API, for what an upgrade needs of it, with the standard
library alone.
"""

import dataclasses
import json
import os
import pathlib
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol
from urllib import parse

from trove_upgrade.domain.image_reference import ImageReference
from trove_upgrade.guestagent.containers import answers, definitions, http, output
from trove_upgrade.guestagent.containers.answers import Container, Image
from trove_upgrade.guestagent.containers.errors import (
    ContainerFailed,
    ContainerNotFound,
    EngineError,
    EngineNotAnswering,
    EngineRefused,
    ImageNotFound,
)
from trove_upgrade.guestagent.containers.login import RegistryLogin
from trove_upgrade.guestagent.datastores.base import Progress
from trove_upgrade.guestagent.datastores.mysql_family.programs import Finished

__all__ = ['SOCKET', 'Container', 'DockerEngine', 'Engine', 'Finished', 'Image', 'Limits']

SOCKET = pathlib.Path('/run/docker.sock')
THROWAWAY = 'trove-upgrade.throwaway'

_OUTPUT_BYTES = 1 << 20
_LOOK_SECONDS = 0.1


@dataclasses.dataclass(frozen=True)
class Limits:
    """Times in seconds."""

    short: float = 30  #: for what the engine knows at once
    start: float = 120  #: making, starting, removing
    pull: float = 3600


class Pause(Protocol):
    """Time, handed in."""

    def monotonic(self) -> float:
        """Seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Engine(Protocol):
    """The port.  Every method may raise an EngineError: ENGINE_NOT_ANSWERING, ENGINE_REFUSED,
    CONTAINER_NOT_FOUND and those named.
    """

    def ping(self) -> bool:
        """Return whether it answers.  Never raises."""

    def version(self) -> str:
        """Of the engine, e.g. 20.10.24."""

    def inspect(self, name: str) -> Container | None:
        """The container of that name; None if there is none."""

    def create(
        self,
        name: str,
        definition: Mapping[str, Any],
        *,
        image: str | None = None,
        command: Sequence[str] | None = None,
        env: Mapping[str, str | None] | None = None,
        network: str | None = None,
        restart: str | None = None,
    ) -> None:
        """Make one like a saved definition; it is not started.

        :raises ImageNotFound: that image is not here.
        :raises ContainerFailed: the engine cannot make it.
        """

    def start(self, name: str) -> None:
        """Start it; one that runs goes on.

        :raises ContainerFailed: it cannot be started.
        """

    def stop(self, name: str, seconds: int) -> None:
        """End it in good order; it is killed after `seconds`, which its exit code (137) tells."""

    def kill(self, name: str) -> None:
        """End it at once; one that does not run stays as it is."""

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove it; what is not there is removed already."""

    def rename(self, name: str, new: str) -> None:
        """Give it another name."""

    def wait(self, name: str, seconds: float, progress: Progress) -> int:
        """Until it has ended; its exit code.

        :raises TimeoutError: it still runs.
        """

    def set_restart_policy(self, name: str, policy: str) -> None:
        """Set it, durably: `no` is a container that stays stopped over boots."""

    def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float,
        on_line: Callable[[str], None] | None = None,
    ) -> Finished:
        """Run a program in a running container, to its end.

        If `on_line` raises, the program is ended first.

        :raises TimeoutError: it did not end in time, and has been killed.
        """

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
        """Run a program in a container of its own, which is always removed again.

        :raises ImageNotFound, ContainerFailed: as `create`.
        :raises TimeoutError: it did not end in time, and has been killed.
        """

    def image(self, reference: str) -> Image | None:
        """The image of that name or id; None if it is not here."""

    def image_directory(self) -> pathlib.Path:
        """Where images are written, in the guest."""

    def is_published(self, reference: str) -> bool:
        """Return whether its registry has it; nothing is brought here.

        :raises EngineRefused: the registry cannot be asked.
        """

    def pull(self, reference: str, progress: Progress) -> None:
        """Bring it here.

        :raises ImageNotFound: the registry does not know it.
        :raises ImageNotPulled: it cannot be brought here.
        """

    def remove_image(self, reference: str) -> None:
        """Remove it; what is not there is removed already, and what a container still uses
        stays.
        """

    def logs(self, name: str, lines: int) -> str:
        """The last lines of its outputs."""


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
        self._transport = transport
        self._pause = pause
        self._login = login
        self._limits = limits or Limits()
        self._processes = processes
        self._token = secrets.token_hex(8)

    def ping(self) -> bool:
        """See the port."""
        try:
            return self._transport.ask('GET', '/_ping', seconds=self._limits.short).status == 200
        except EngineNotAnswering:
            return False

    def version(self) -> str:
        """See the port."""
        answer = self._ask('GET', '/version', "tell the engine's version")
        return str((answer.json() or {}).get('Version', ''))

    def inspect(self, name: str) -> Container | None:
        """See the port."""
        answer = self._ask(
            'GET', f'/containers/{_quoted(name)}/json', f'look at container {name}', allowed=(404,)
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
        restart: str | None = None,
    ) -> None:
        """See the port."""
        self._create(
            name,
            definitions.creation(
                definition, image=image, command=command, env=env, network=network, restart=restart
            ),
        )

    def _create(self, name: str, body: Mapping[str, Any]) -> None:
        answer = self._ask(
            'POST',
            '/containers/create',
            f'make container {name}',
            query={'name': name},
            body=body,
            allowed=(400, 404, 409, 500),
            seconds=self._limits.start,
        )
        if answer.status == 404:
            raise ImageNotFound(
                f'Container {name} cannot be made: image {body["Image"]} is not in the guest '
                f'({answer.said}). It is pulled first; look who has removed it.'
            )
        if answer.status >= 400:
            raise ContainerFailed(
                f'Container {name} cannot be made of {body["Image"]}: {answer.said}. Look at the '
                'log of the container engine.'
            )

    def start(self, name: str) -> None:
        """See the port."""
        answer = self._ask(
            'POST',
            f'/containers/{_quoted(name)}/start',
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
        """See the port."""
        self._ask(
            'POST',
            f'/containers/{_quoted(name)}/stop',
            f'stop container {name}',
            query={'t': seconds},
            allowed=(304,),
            seconds=seconds + self._limits.short,
        )

    def kill(self, name: str) -> None:
        """See the port."""
        self._ask(
            'POST', f'/containers/{_quoted(name)}/kill', f'kill container {name}', allowed=(409,)
        )

    def remove(self, name: str, *, force: bool = False) -> None:
        """See the port."""
        answer = self._ask(
            'DELETE',
            f'/containers/{_quoted(name)}',
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
        """See the port."""
        self._ask(
            'POST',
            f'/containers/{_quoted(name)}/rename',
            f'rename container {name} to {new}',
            query={'name': new},
        )

    def wait(self, name: str, seconds: float, progress: Progress) -> int:
        """See the port."""
        end = self._pause.monotonic() + seconds
        told = 0.0
        while True:
            container = self.inspect(name)
            if container is None:
                raise _not_found(name)
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
        """See the port."""
        self._ask(
            'POST',
            f'/containers/{_quoted(name)}/update',
            f'set the restart policy of container {name}',
            body={'RestartPolicy': {'Name': policy}},
        )

    def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float,
        on_line: Callable[[str], None] | None = None,
    ) -> Finished:
        """See the port."""
        body = {
            'Cmd': list(argv),
            'AttachStdout': True,
            'AttachStderr': True,
            'Tty': False,
            'Env': _environment(env),
            'User': user or '',
        }
        made = self._ask(
            'POST',
            f'/containers/{_quoted(name)}/exec',
            f'run {argv[0]} in container {name}',
            body=body,
        )
        run = str((made.json() or {}).get('Id', ''))
        tail = output.Tail(_OUTPUT_BYTES, on_line)
        try:
            with self._transport.stream(
                'POST',
                f'/exec/{run}/start',
                seconds=timeout_seconds,
                body={'Detach': False, 'Tty': False},
            ) as stream:
                if stream.status >= 400:
                    self._refuse(f'run {argv[0]} in container {name}', stream.rest())
                tail.take(answers.frames(stream))
            code = self._exec_state(run).get('ExitCode')
        except BaseException as error:
            self._end_exec(run)
            if isinstance(error, TimeoutError):
                raise TimeoutError(
                    f'{argv[0]} did not end within {timeout_seconds:.0f} s in container {name}'
                ) from error
            raise
        if code is None:
            raise EngineNotAnswering(
                f'{argv[0]} cannot be followed in container {name}: the engine let go of it before '
                'its end. Look at the log of the container engine.'
            )
        return Finished(int(code), tail.text)

    def _exec_state(self, run: str) -> Mapping[str, Any]:
        answer = self._ask('GET', f'/exec/{run}/json', 'look at a program in a container')
        found: Mapping[str, Any] = answer.json() or {}
        return found

    def _end_exec(self, run: str) -> None:
        """The API cannot end a program that was brought into a container: its process is killed, if
        it is that container's.
        """
        try:
            state = self._exec_state(run)
        except EngineError:
            return  # the engine has gone, and what made us come here says so
        pid = int(state.get('Pid') or 0)
        if not state.get('Running') or pid <= 1:
            return
        try:
            belongs = str(state.get('ContainerID', '-')) in (
                self._processes / str(pid) / 'cgroup'
            ).read_text(encoding='utf-8')
            if belongs:
                os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            return  # it has ended meanwhile

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
        """See the port."""
        self._remove_left_over()
        name = f'trove-upgrade-{secrets.token_hex(6)}'
        body: dict[str, Any] = {
            'Image': image,
            'Cmd': list(argv),
            'User': user,
            'Env': _environment(env),
            'Labels': {THROWAWAY: self._token},
            'Healthcheck': {'Test': ['NONE']},
            'HostConfig': {
                'NetworkMode': network,
                'Binds': list(binds),
                'Tmpfs': dict(tmpfs or {}),
                'RestartPolicy': {'Name': 'no'},
                'LogConfig': {'Type': 'json-file', 'Config': {'max-size': '4m', 'max-file': '1'}},
            },
        }
        if entrypoint is not None:
            body['Entrypoint'] = list(entrypoint)
        try:
            self._create(name, body)
            self.start(name)
            code = self.wait(name, timeout_seconds, lambda _percent, _text: None)
            return Finished(code, self.logs(name, 2000))
        finally:
            self.remove(name, force=True)

    def _remove_left_over(self) -> None:
        """Of an agent that was killed in the middle."""
        answer = self._ask(
            'GET',
            '/containers/json',
            'list containers',
            query={'all': 1, 'filters': json.dumps({'label': [THROWAWAY]})},
        )
        for found in answer.json() or ():
            if (found.get('Labels') or {}).get(THROWAWAY) != self._token:
                self.remove(str(found['Id']), force=True)

    def image(self, reference: str) -> Image | None:
        """See the port."""
        answer = self._ask(
            'GET',
            f'/images/{_quoted(reference)}/json',
            f'look at image {reference}',
            allowed=(404,),
        )
        return None if answer.status == 404 else answers.image(answer)

    def image_directory(self) -> pathlib.Path:
        """See the port."""
        return answers.image_directory(
            self._ask('GET', '/info', 'tell where its images are'), pathlib.Path.is_dir
        )

    def is_published(self, reference: str) -> bool:
        """See the port."""
        what = f'ask the registry for image {reference}'
        try:
            with self._transport.stream(
                'GET',
                f'/distribution/{_quoted(reference)}/json',
                seconds=self._limits.start,
                headers=self._headers(reference),
            ) as stream:
                answer = stream.rest()
        except TimeoutError as error:
            raise EngineRefused(
                f'The container engine cannot {what}: no answer within {self._limits.start:.0f} s. '
                'See that the guest reaches the registry.'
            ) from error
        if answer.status not in {200, 404}:
            self._refuse(what, answer)
        return answer.status == 200

    def _headers(self, reference: str) -> Mapping[str, str] | None:
        return self._login.headers(reference) if self._login is not None else None

    def pull(self, reference: str, progress: Progress) -> None:
        """See the port."""
        try:
            wanted = ImageReference.parse(reference)
        except ValueError as error:
            raise answers.not_pulled(reference, str(error)) from error
        try:
            with self._transport.stream(
                'POST',
                '/images/create',
                seconds=self._limits.pull,
                headers=self._headers(reference),
                query={'fromImage': wanted.name, 'tag': wanted.digest or wanted.tag or 'latest'},
            ) as stream:
                if stream.status >= 400:
                    raise answers.not_pulled(reference, stream.rest().said)
                for line in output.lines(stream.pieces()):
                    answers.pull_line(reference, line, progress)
        except TimeoutError as error:
            raise answers.not_pulled(
                reference, f'not there after {self._limits.pull:.0f} s'
            ) from error
        if self.image(reference) is None:
            raise answers.not_pulled(
                reference, 'the engine ended without an error, and without the image'
            )

    def remove_image(self, reference: str) -> None:
        """See the port."""
        self._ask(
            'DELETE',
            f'/images/{_quoted(reference)}',
            f'remove image {reference}',
            allowed=(404, 409),
            seconds=self._limits.start,
        )

    def logs(self, name: str, lines: int) -> str:
        """See the port."""
        tail = output.Tail(_OUTPUT_BYTES)
        try:
            with self._transport.stream(
                'GET',
                f'/containers/{_quoted(name)}/logs',
                seconds=self._limits.short,
                query={'stdout': 1, 'stderr': 1, 'tail': lines},
            ) as stream:
                if stream.status >= 400:
                    self._refuse(f'read the log of container {name}', stream.rest(), name)
                tail.take(answers.frames(stream))
        except TimeoutError as error:
            raise EngineNotAnswering(
                f'The log of container {name} cannot be read: no end within '
                f'{self._limits.short:.0f} s. Look at the log of the container engine.'
            ) from error
        return tail.text

    def _ask(
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
        answer = self._transport.ask(
            method, path, seconds=seconds or self._limits.short, query=query, body=body
        )
        if answer.status >= 300 and answer.status not in allowed:
            self._refuse(
                what, answer, path.split('/')[2] if path.startswith('/containers/') else None
            )
        return answer

    @staticmethod
    def _refuse(what: str, answer: http.Answer, container: str | None = None) -> NoReturn:
        if answer.status == 404 and container is not None:
            raise _not_found(parse.unquote(container))
        raise EngineRefused(
            f'The container engine cannot {what}: {answer.status}, {answer.said}. Look at its log.'
        )


def _quoted(name: str) -> str:
    return parse.quote(name, safe='/:@')


def _environment(given: Mapping[str, str] | None) -> list[str]:
    return [f'{name}={value}' for name, value in (given or {}).items()]


def _not_found(name: str) -> ContainerNotFound:
    return ContainerNotFound(
        f'Container {name} cannot be found: the engine has none of that name. Look who has removed '
        'it.'
    )
