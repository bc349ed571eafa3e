# SPDX-License-Identifier: Apache-2.0
"""Questions that are waited for no longer than a caller has time, whatever asks there."""

import concurrent.futures
import dataclasses
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from trove_upgrade.domain import exceptions

T = TypeVar('T')


class NoAnswerInTime(exceptions.TroveUpgradeError):
    """A question was not answered in the time of its caller; it is waited for in the background."""

    code = 'NO_ANSWER_IN_TIME'
    template = '{what} gave no answer within {seconds:g} s. Look whether it runs and is not stuck.'


@dataclasses.dataclass
class _Look(Generic[T]):
    """One question."""

    future: concurrent.futures.Future[T] = dataclasses.field(
        default_factory=concurrent.futures.Future
    )
    ended_at: float = 0.0


class Bounded(Generic[T]):
    """Asks one thing in a thread of its own, once at a time, and remembers the answer for a while.
    Safe to share between threads.
    """

    def __init__(
        self,
        what: str,
        ask: Callable[[], T],
        monotonic: Callable[[], float],
        *,
        wait_seconds: float = 2.0,
        fresh_seconds: float = 2.0,
    ) -> None:
        """:param what: is asked, as it stands at the beginning of a sentence.
        :param wait_seconds: how long a caller has time.
        :param fresh_seconds: for which an answer, or an error, is given again.
        """
        self._what = what
        self._ask = ask
        self._monotonic = monotonic
        self._wait_seconds = wait_seconds
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._look: _Look[T] | None = None

    def answer(self) -> T:
        """Return the answer; raises what `ask` has raised.

        :raises NoAnswerInTime: it goes on, and its answer is there for a later caller.
        """
        future = self._present().future
        concurrent.futures.wait([future], self._wait_seconds)
        if not future.done():
            raise NoAnswerInTime(what=self._what, seconds=self._wait_seconds)
        return future.result()

    def _present(self) -> _Look[T]:
        with self._lock:
            look = self._look
            if look is None or (look.future.done() and self._is_old(look)):
                look = self._look = _Look()
                threading.Thread(
                    target=self._run, args=(look,), name='bounded', daemon=True
                ).start()
            return look

    def _is_old(self, look: _Look[T]) -> bool:
        return self._monotonic() - look.ended_at >= self._fresh_seconds

    def _run(self, look: _Look[T]) -> None:
        try:
            found = self._ask()
        except Exception as error:  # noqa: BLE001 - the edge of a thread: each caller gets it
            look.ended_at = self._monotonic()
            look.future.set_exception(error)
        else:
            look.ended_at = self._monotonic()
            look.future.set_result(found)
