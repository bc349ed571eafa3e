# SPDX-License-Identifier: Apache-2.0
"""Crew of a run: a few threads, each of which takes one member after the other."""

import concurrent.futures
import threading
from collections.abc import Callable

from trove_upgrade.bridge.runner import MemberRunner
from trove_upgrade.bridge.steps.step import Stopped
from trove_upgrade.domain import logs
from trove_upgrade.domain.bridge_runs import MemberLost

LOG = logs.get_logger(__name__)

#: Makes the runner of a number, which asks whether it is to stop.
Make = Callable[[int, Callable[[], bool]], MemberRunner]


class Crew:
    """Works on a run until no member is left to be claimed here."""

    def __init__(self, make: Make, count: int) -> None:
        self._stopping = threading.Event()
        self._runners = [make(number, self._stopping.is_set) for number in range(count)]

    def work(self, run_id: str) -> None:
        """Run all members that are free.  An error of one runner ends its work alone, and is raised
        when the others have ended.

        An interruption lets each runner end its present step and close its port.
        """
        with concurrent.futures.ThreadPoolExecutor(
            len(self._runners), thread_name_prefix='bridge'
        ) as pool:
            try:
                futures = [pool.submit(self._take_turns, one, run_id) for one in self._runners]
                concurrent.futures.wait(futures)
            except BaseException:
                self._stopping.set()
                raise
        for future in futures:
            future.result()

    def _take_turns(self, runner: MemberRunner, run_id: str) -> None:
        while not self._stopping.is_set():
            try:
                if runner.run_next(run_id) is None:
                    return
            except MemberLost as error:
                LOG.warning('%s', error.message)
            except Stopped:
                return
