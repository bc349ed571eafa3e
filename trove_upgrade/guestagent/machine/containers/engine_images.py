# SPDX-License-Identifier: Apache-2.0
"""Images of the engine: looked at, asked for at a registry, brought here and removed."""

import contextlib
import pathlib
from collections.abc import Iterable, Iterator, Mapping

from trove_upgrade.domain.image_reference import ImageReference
from trove_upgrade.guestagent.machine.containers import answers, http, output
from trove_upgrade.guestagent.machine.containers.answers import Image
from trove_upgrade.guestagent.machine.containers.calls import Calls, quoted, refuse
from trove_upgrade.guestagent.machine.containers.errors import (
    ContainerImageNotFound,
    EngineRefused,
    ImageNotLoaded,
)
from trove_upgrade.guestagent.machine.containers.login import RegistryLogin
from trove_upgrade.guestagent.machine.progress import Progress

#: A load lasts as long as the database is down: one that is slower than that is given up.
_LOAD_SECONDS = 60
_LOAD_BYTES_PER_SECOND = 20_000_000


class EngineImages:
    """Images of one engine; each method is that of the port."""

    def __init__(
        self,
        calls: Calls,
        login: RegistryLogin | None,
        *,
        start_seconds: float,
        pull_seconds: float,
        archive_seconds: float,
    ) -> None:
        self._calls = calls
        self._login = login
        self._start_seconds = start_seconds
        self._pull_seconds = pull_seconds
        self._archive_seconds = archive_seconds

    def image(self, reference: str) -> Image | None:
        answer = self._calls.ask(
            'GET',
            f'/images/{quoted(reference)}/json',
            f'look at image {reference}',
            allowed=(404,),
        )
        return None if answer.status == 404 else answers.image(answer)

    def image_directory(self) -> pathlib.Path:
        return answers.image_directory(
            self._calls.ask('GET', '/info', 'tell where its images are'), pathlib.Path.is_dir
        )

    def is_published(self, reference: str) -> bool:
        what = f'ask the registry for image {reference}'
        try:
            with self._calls.transport.stream(
                'GET',
                f'/distribution/{quoted(reference)}/json',
                seconds=self._start_seconds,
                headers=self._headers(reference),
            ) as stream:
                answer = stream.rest()
        except TimeoutError as error:
            raise EngineRefused(
                f'The container engine cannot {what}: no answer within '
                f'{self._start_seconds:.0f} s. See that the guest reaches the registry.'
            ) from error
        if answer.status not in {200, 404}:
            refuse(what, answer)
        return answer.status == 200

    def _headers(self, reference: str) -> Mapping[str, str] | None:
        return self._login.headers(reference) if self._login is not None else None

    def pull(self, reference: str, progress: Progress) -> None:
        try:
            named = ImageReference.parse(reference)
        except ValueError as error:
            raise answers.not_pulled(reference, str(error)) from error
        try:
            with self._calls.transport.stream(
                'POST',
                '/images/create',
                seconds=self._pull_seconds,
                headers=self._headers(reference),
                query={'fromImage': named.name, 'tag': named.digest or named.tag or 'latest'},
            ) as stream:
                if stream.status >= 400:
                    raise answers.not_pulled(reference, stream.rest().said)
                for line in output.lines(stream.pieces()):
                    answers.pull_line(reference, line, progress)
        except TimeoutError as error:
            raise answers.not_pulled(
                reference, f'not there after {self._pull_seconds:.0f} s'
            ) from error
        if self.image(reference) is None:
            raise answers.not_pulled(
                reference, 'the engine ended without an error, and without the image'
            )

    @contextlib.contextmanager
    def saved(self, image_id: str, seconds: float) -> Iterator[Iterator[bytes]]:
        seconds = min(self._archive_seconds, seconds)
        try:
            with self._calls.transport.stream(
                'GET', f'/images/{quoted(image_id)}/get', seconds=seconds
            ) as stream:
                if stream.status >= 400:
                    raise _not_loaded(f'Image {image_id} cannot be saved', stream.rest().said)
                yield stream.pieces()
        except TimeoutError as error:
            raise _not_loaded(
                f'Image {image_id} cannot be saved',
                f'not whole after {seconds:.0f} s',
            ) from error

    def load(self, archive: Iterable[bytes], size_bytes: int) -> None:
        what = 'The image from the data volume cannot be loaded'
        seconds = min(self._archive_seconds, _LOAD_SECONDS + size_bytes / _LOAD_BYTES_PER_SECOND)
        try:
            with self._calls.transport.stream(
                'POST',
                '/images/load',
                seconds=seconds,
                query={'quiet': 1},
                content=http.Content(archive, size_bytes, 'application/x-tar'),
            ) as stream:
                if stream.status >= 400:
                    raise _not_loaded(what, stream.rest().said)
                for line in output.lines(stream.pieces()):
                    if (found := answers.error_in(line)) is not None:
                        raise _not_loaded(what, found)
        except TimeoutError as error:
            raise _not_loaded(what, f'not there after {seconds:.0f} s') from error

    def tag(self, image_id: str, reference: str) -> None:
        name, _, tag = reference.rpartition(':')
        answer = self._calls.ask(
            'POST',
            f'/images/{quoted(image_id)}/tag',
            f'name image {image_id} {reference}',
            query={'repo': name, 'tag': tag},
            allowed=(404,),
        )
        if answer.status == 404:
            raise ContainerImageNotFound(
                f'Image {image_id} cannot be named {reference}: it is not in the guest. Look '
                'whether a program prunes images, and try again.'
            )

    def remove_image(self, reference: str) -> None:
        self._calls.ask(
            'DELETE',
            f'/images/{quoted(reference)}',
            f'remove image {reference}',
            allowed=(404, 409),
            seconds=self._start_seconds,
        )


def _not_loaded(what: str, found: str) -> ImageNotLoaded:
    return ImageNotLoaded(
        f'{what}: {" ".join(found.split())[:500]}. Look at the log of the container engine.'
    )
