# SPDX-License-Identifier: Apache-2.0
"""The server's own programs, run in the container that the server runs in: they are of the same
image.
"""

from collections.abc import Callable, Mapping, Sequence

from trove_upgrade.guestagent.machine.containers.engine import Engine
from trove_upgrade.guestagent.machine.containers.errors import EngineNotAnswering
from trove_upgrade.guestagent.machine.finished import Finished

_FIND_SECONDS = 60


class ContainerPrograms:
    """`Programs` inside of the container that `where` names."""

    def __init__(self, engine: Engine, where: Callable[[], str]) -> None:
        self._engine = engine
        self._where = where

    def find(self, *names: str) -> str | None:
        script = ' || '.join(f'command -v {name}' for name in names)
        try:
            found = self._engine.exec(
                self._where(), ['sh', '-c', script], timeout_seconds=_FIND_SECONDS
            )
        except TimeoutError as error:
            raise EngineNotAnswering(
                f'It cannot be told whether the container has {names[0]}: {error}. Look at the '
                'load of the guest.'
            ) from error
        path = found.output.strip().splitlines()
        return path[0] if found.return_code == 0 and path else None

    def run(
        self,
        arguments: Sequence[str],
        *,
        timeout_seconds: float,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
        as_user: tuple[int, int] | None = None,  # noqa: ARG002 - the container decides
    ) -> Finished:
        done = self._engine.exec(
            self._where(),
            list(arguments),
            env=dict(environment or {}),
            timeout_seconds=timeout_seconds,
            on_line=on_line,
        )
        return Finished(done.return_code, done.output)
