# SPDX-License-Identifier: Apache-2.0
"""The port to a container engine: what an upgrade needs of it."""

import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from trove_upgrade.guestagent.machine.containers.answers import Container, Image
from trove_upgrade.guestagent.machine.containers.image_documents import Platform
from trove_upgrade.guestagent.machine.finished import Finished
from trove_upgrade.guestagent.machine.progress import Progress


class Engine(Protocol):
    """The port.  Every method may raise an EngineError: ENGINE_NOT_ANSWERING, ENGINE_REFUSED,
    CONTAINER_NOT_FOUND and those named.
    """

    def ping(self) -> bool:
        """Return whether it answers.  Never raises."""

    def version(self) -> str:
        """Return the engine's version, e.g. 20.10.24."""

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
        at_first: str | None = None,
        restart: str | None = None,
    ) -> None:
        """Make one like a saved definition; it is not started.  It is on the network of its
        definition, or `at_first` on another one.

        :raises ContainerImageNotFound: that image is not here.
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
        """Give a container another name."""

    def connect(self, name: str, network: str) -> None:
        """Connect a container to a network; its ports are published where that publishes them.

        :raises EngineRefused: it is on that one already, or on one that excludes others.
        """

    def disconnect(self, name: str, network: str) -> None:
        """Take a container off a network.

        :raises EngineRefused: it is not on it.
        """

    def wait(self, name: str, seconds: float, progress: Progress) -> int:
        """Wait until a container has ended; return its exit code.

        :raises TimeoutError: it still runs.
        """

    def set_restart_policy(self, name: str, policy: str) -> None:
        """Set it, durably: `no` is a container that stays stopped over boots."""

    def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
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

        :raises ContainerImageNotFound, ContainerFailed: as `create`.
        :raises TimeoutError: it did not end in time, and has been killed.
        """

    def platform(self) -> Platform:
        """Return the platform whose images the engine runs."""

    def image(self, reference: str) -> Image | None:
        """The image of that name or id; None if it is not here."""

    def image_directory(self) -> pathlib.Path:
        """Return the directory of the guest in which the engine writes images."""

    def is_published(self, reference: str) -> bool:
        """Return whether its registry has it; nothing is brought here.

        :raises EngineRefused: the registry cannot be asked.
        """

    def pull(self, reference: str, progress: Progress) -> None:
        """Bring it here.

        :raises ContainerImageNotFound: the registry does not know it.
        :raises ImageNotPulled: it cannot be brought here.
        """

    def saved(self, image_id: str, seconds: float) -> AbstractContextManager[Iterator[bytes]]:
        """Give an archive of the image, without any name, piece by piece, within so many seconds.

        :raises ContainerImageNotFound: it is not here.
        :raises EngineError: it cannot be given, or not to its end.
        """

    def load(self, archive: Iterable[bytes], size_bytes: int) -> None:
        """Bring the images here that are in an archive of so many bytes, which comes in pieces.

        :raises ImageNotLoaded: the engine does not take it.
        """

    def tag(self, image_id: str, reference: str) -> None:
        """Give an image that is here another name, with a tag; what had the name loses it.

        :raises ContainerImageNotFound: it is not here.
        """

    def remove_image(self, reference: str) -> None:
        """Remove it; what is not there is removed already, and what a container still uses
        stays.
        """

    def logs(self, name: str, lines: int) -> str:
        """The last lines of its outputs."""
