# SPDX-License-Identifier: Apache-2.0
"""Answers of the engine, as values."""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from trove_upgrade.guestagent.machine.containers import definitions, http, output
from trove_upgrade.guestagent.machine.containers.errors import (
    ContainerImageNotFound,
    EngineError,
    EngineNotAnswering,
    ImageNotPulled,
)
from trove_upgrade.guestagent.machine.containers.image_documents import Platform
from trove_upgrade.guestagent.machine.progress import Progress

#: What registries, and the engine about them, say of a name that they do not have.
_UNKNOWN = (
    'manifest unknown',
    'not found',
    'repository does not exist',
    'name unknown',
    'no such image',
)
#: The kind of driver of an engine whose images are in containerd's store.
_SNAPSHOTTER = 'io.containerd.snapshotter.v1'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Container:
    """A container as the engine tells of it."""

    id: str
    image: str  #: the name it was made of
    image_id: str  #: what that name meant then
    running: bool
    status: str  #: created, running, paused, restarting, removing, exited, dead
    exit_code: int | None  #: of its last end; None while it runs, or if it never ran
    restart_policy: str  #: no, always, unless-stopped, on-failure
    health: str | None  #: starting, healthy, unhealthy; None without a health check
    definition: Mapping[str, Any]  #: raw


@dataclasses.dataclass(frozen=True, kw_only=True)
class Image:
    """An image that is there."""

    id: str
    digests: Sequence[str]  #: registry/repository@sha256:...; empty for one that no registry gave
    labels: Mapping[str, str]
    env: Mapping[str, str]
    created: str
    config: Mapping[str, Any]  #: raw: what containers get unless they say otherwise
    size_bytes: int = 0


@contextlib.contextmanager
def understood(what: str) -> Iterator[None]:
    """Turn errors of parsing into one that says what could not be understood.

    :raises EngineNotAnswering: what came is of another form.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EngineNotAnswering(
            f'The container engine cannot be understood: what it says of {what} is of another form '
            f'({type(error).__name__}: {error}). See that it is a Docker engine of API 1.40 or '
            'later.'
        ) from error


def container(answer: http.Answer) -> Container:
    """Parse the engine's JSON of a container."""
    told = answer.json()
    with understood('a container'):
        state, config, host = told['State'], told['Config'], told['HostConfig']
        never_ran = state['Status'] == 'created'
        running = bool(state['Running'])
        return Container(
            id=str(told['Id']),
            image=str(config['Image']),
            image_id=str(told['Image']),
            running=running,
            status=str(state['Status']),
            exit_code=None if running or never_ran else int(state['ExitCode']),
            restart_policy=str((host.get('RestartPolicy') or {}).get('Name') or 'no'),
            health=_health(state),
            definition=told,
        )


def _health(state: Mapping[str, Any]) -> str | None:
    status = (state.get('Health') or {}).get('Status')
    return str(status) if status and status != 'none' else None


def image(answer: http.Answer) -> Image:
    """Parse the engine's JSON of an image."""
    told = answer.json()
    with understood('an image'):
        config = told.get('Config') or {}
        return Image(
            id=str(told['Id']),
            digests=tuple(told.get('RepoDigests') or ()),
            labels=dict(config.get('Labels') or {}),
            env=definitions.environment_of(config.get('Env')),
            created=str(told.get('Created', '')),
            config=config,
            size_bytes=int(told.get('Size') or 0),
        )


def platform(answer: http.Answer) -> Platform:
    """Parse the engine's JSON of its version: it names its platform as images do."""
    told = answer.json()
    with understood('its platform'):
        return Platform(os=str(told['Os']), architecture=str(told['Arch']))


def image_directory(answer: http.Answer, exists: Callable[[pathlib.Path], bool]) -> pathlib.Path:
    """Tell, by the JSON of /info, where the engine writes its images: its own directory, or
    containerd's, as the engine may use containerd's store.

    The containerd is a service, or one that the engine has started; an engine before API 1.46 does
    not tell which, and then a state of its own that `exists` counts. Source: moby, daemon/info.go
    (DriverStatus, Containerd.Address) and cmd/dockerd (containerd's root).
    """
    told = answer.json()
    with understood('itself'):
        own = pathlib.Path(str(told.get('DockerRootDir') or '/var/lib/docker'))
        address = str((told.get('Containerd') or {}).get('Address') or '')
        if ['driver-type', _SNAPSHOTTER] not in [
            list(entry) for entry in told.get('DriverStatus') or ()
        ]:
            return own
    started = own / 'containerd/daemon'
    if address.endswith('docker/containerd/containerd.sock') or (not address and exists(started)):
        return started
    return pathlib.Path('/var/lib/containerd')


def frames(stream: http.Stream) -> Iterator[bytes]:
    """The outputs of a container.

    :raises EngineNotAnswering: they are no frames.
    """
    pieces = output.unframed(stream.pieces())
    while True:
        with understood('an output'):
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def pull_line(reference: str, line: bytes, progress: Progress) -> None:
    """One line of a pull: the status of all was 200 long before it can fail.

    :raises ContainerImageNotFound, ImageNotPulled: the line says so.
    """
    if not line.strip():
        return
    try:
        told = json.loads(line)
        error, status = (
            told.get('error') or (told.get('errorDetail') or {}).get('message'),
            told.get('status'),
        )
    except (ValueError, AttributeError, RecursionError) as reason:
        raise not_pulled(
            reference, f'the answer of the engine cannot be understood: {line[:80]!r}'
        ) from reason
    if error:
        raise not_pulled(reference, str(error))
    detail = told.get('progressDetail')
    if status:
        progress(None, f'Image {reference}: {_amount(detail)}{" ".join(str(status).split())[:200]}')


def error_in(line: bytes) -> str | None:
    """Return the error that one line of the engine's progress tells; None where it tells none.

    A line that cannot be read is one: nothing good is known of it.
    """
    if not line.strip():
        return None
    try:
        told = json.loads(line)
        found = told.get('error') or (told.get('errorDetail') or {}).get('message')
    except (ValueError, AttributeError, RecursionError):
        return f'the answer of the engine cannot be understood: {line[:80]!r}'
    return None if not found else str(found)


def _amount(detail: Any) -> str:
    if (
        not isinstance(detail, dict)
        or not detail.get('total')
        or not isinstance(detail.get('current'), int)
    ):
        return ''
    return f'{detail["current"] >> 20} of {int(detail["total"]) >> 20} MiB of a layer, '


def not_pulled(reference: str, found: str) -> EngineError:
    """The error for an image that did not come: the registry has none, or something else."""
    found = ' '.join(found.split())[:500]
    if any(word in found.lower() for word in _UNKNOWN):
        return ContainerImageNotFound(
            f'Image {reference} cannot be found: {found}. Push it to the registry, or correct the '
            'version of the datastore.'
        )
    return ImageNotPulled(
        f'Image {reference} cannot be pulled: {found}. See that the guest reaches the registry, '
        'and what its log says.'
    )
