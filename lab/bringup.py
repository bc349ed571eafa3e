# SPDX-License-Identifier: Apache-2.0
"""Runs actions that need each other, each as soon as what it needs is done, and as many at once as
there are.
"""

import concurrent.futures
import dataclasses
import threading
from collections.abc import Callable, Sequence


@dataclasses.dataclass(frozen=True)
class Part:
    """Action to do once, after the parts that it needs. `action` ends soon after `Bringup.stopping`
    is set.
    """

    name: str
    action: Callable[[], None]
    needs: tuple[str, ...] = ()


class Stopped(Exception):
    """Another part has failed, or the user has had enough."""


class Bringup:
    """Runs parts in threads; every part's needs stand before it in the list."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._total = 0

    def check(self) -> None:
        """End an action that waits, once the bringup stops.

        :raises Stopped: give up now.
        """
        if self.stopping.is_set():
            raise Stopped

    def run(self, parts: Sequence[Part]) -> None:
        """Return when all are done; raise what the first that failed raised, after all others have
        ended.
        """
        self._waiting = [part.name for part in parts]
        self._total = len(parts)
        futures: dict[str, concurrent.futures.Future[None]] = {}
        with concurrent.futures.ThreadPoolExecutor(max_workers=len(parts)) as pool:
            try:
                for part in parts:
                    futures[part.name] = pool.submit(
                        self._one, part, [futures[name] for name in part.needs]
                    )
                concurrent.futures.wait(
                    futures.values(), return_when=concurrent.futures.FIRST_EXCEPTION
                )
            finally:
                if any(not future.done() or future.exception() for future in futures.values()):
                    self.stopping.set()
        failures = [future.exception() for future in futures.values()]
        for failure in sorted(
            (failure for failure in failures if failure), key=lambda one: isinstance(one, Stopped)
        ):
            raise failure

    def _one(self, part: Part, needs: list[concurrent.futures.Future[None]]) -> None:
        for need in needs:
            if concurrent.futures.wait([need]).not_done or need.exception() is not None:
                raise Stopped
        self.check()
        part.action()
        with self._lock:
            self._waiting.remove(part.name)
            left = ', '.join(self._waiting[:3])
            self._tell(
                f'{self._total - len(self._waiting)} of {self._total}'
                + (f', waiting for {left}' if left else '')
            )
