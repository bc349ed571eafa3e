# SPDX-License-Identifier: Apache-2.0
"""An API process' signs of life.  It has no thread of ours, so they come with what happens anyway.

* When the application is loaded it registers: an API without requests must be known, too.
* After an answer it says that it runs, at most once in `interval_seconds`: the
  client has its answer by then.
* When the process ends (atexit; under uWSGI its own hook, which comes before) it removes itself.

Processes that are forked after loading (gunicorn --preload, oslo.service) belong to the one that
has loaded: they give signs of life for its row, and its end is their end.  Some of them end by
os._exit and could not remove a row of their own.  Only one that outlives the loader gets a row of
its own.  Under uWSGI it is the other way round: its master never runs Python's exit handlers, its
workers do, so there each worker has its own row.

No hook runs in every process that ends: a worker of uWSGI that is at a request, or gets a second
signal while its hook runs (systemd signals the whole group, the master then its workers), runs none
or half of it.  What such a process leaves is no trouble: the row names its pid and its start, so
`db.services` leaves it out as soon as the process is gone.

Nothing here fails a request or the loading: what the database refuses is
logged once and tried again.
"""

import importlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from trove_upgrade.db import faults
from trove_upgrade.db.service_heartbeat import ServiceHeartbeat
from trove_upgrade.domain import logs

LOG = logs.get_logger(__name__)

Environ = dict[str, Any]
Inner = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_LEAVE_SECONDS = 1.0
_END_SECONDS = 5.0


class Uwsgi(Protocol):
    """The module `uwsgi`, which only a process of uWSGI has."""

    post_fork_hook: Callable[[], None]
    atexit: Callable[[], None]  #: called once in each worker that ends, while Python still works

    def worker_id(self) -> int:
        """Return the worker's number: 0 in the master, where the application may be loaded before
        the workers are forked.
        """


def find_uwsgi() -> Uwsgi | None:
    """Return uWSGI's own module; None under any other server."""
    try:
        return importlib.import_module('uwsgi')
    except ImportError:
        return None


class ProcessHeartbeats:
    """Signs of life of the process that made it, and of those forked from it. `new_heartbeat` is
    called with the first sign of each that has its own.
    """

    def __init__(
        self,
        new_heartbeat: Callable[[], ServiceHeartbeat],
        interval_seconds: float,
        *,
        uwsgi: Uwsgi | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._new_heartbeat = new_heartbeat
        self._interval = interval_seconds
        self._uwsgi = uwsgi
        self._monotonic = monotonic
        self._due = monotonic()
        self._lock = threading.Lock()
        self._heartbeat: ServiceHeartbeat | None = None
        self._is_known = False  #: it has been written at least once
        self._has_failed = False
        self._has_left = False

    def start(self) -> None:
        """Register now, or in a master of uWSGI when its workers begin."""
        if self._uwsgi is None:
            self._beat()
            return
        self._uwsgi.atexit = _both(getattr(self._uwsgi, 'atexit', None), self.stop)
        if self._uwsgi.worker_id() > 0:
            self._beat()
        else:
            self._uwsgi.post_fork_hook = _both(
                getattr(self._uwsgi, 'post_fork_hook', None), self._beat
            )

    def after(self, answer: Iterable[bytes]) -> Iterable[bytes]:
        """The answer; where a sign of life is due, one that gives it when
        the server has closed it.
        """
        return answer if self._monotonic() < self._due else _Closing(answer, self._beat_if_due)

    def stop(self) -> None:
        """Remove the registration, at exit. Takes a few seconds at most, and no time where no
        database ever took the registration. May be repeated.

        uWSGI ends a worker by C's exit(), which has already destroyed what greenlet keeps of the
        thread that calls it: where eventlet has patched sockets, as Trove does under every server,
        that thread can reach no database.  Another one can.
        """
        if self._heartbeat is None or not self._is_known or self._has_left:
            return
        self._has_left = True
        if self._uwsgi is None:
            self._leave(self._heartbeat)
            return
        leaving = threading.Thread(
            target=self._leave, args=(self._heartbeat,), name='trove-upgrade-leaves', daemon=True
        )
        leaving.start()
        leaving.join(_END_SECONDS)

    def _leave(self, heartbeat: ServiceHeartbeat) -> None:
        try:
            heartbeat.leave(_LEAVE_SECONDS)
        except Exception as error:  # noqa: BLE001 - the edge of a process that ends
            LOG.warning(
                '%s could not be removed from upgrade_services: %s. It is listed there until '
                '"trove-upgrade-manage service forget %s"',
                heartbeat.registration.binary,
                _said(error),
                heartbeat.registration.id,
            )

    def _beat_if_due(self) -> None:
        if self._monotonic() >= self._due:
            self._beat()

    def _beat(self) -> None:
        """Write a sign of life and log a failure instead of raising it: this is the edge of a
        request. A thread that finds another one at it leaves it to that one.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._due = self._monotonic() + self._interval
            self._heartbeat_here().beat()
            self._is_known, self._has_failed = True, False
        except Exception as error:  # noqa: BLE001 - see above
            if not self._has_failed:
                LOG.warning(
                    'The sign of life could not be written to upgrade_services: %s. It is tried '
                    'again every %.0f s that has a request',
                    _said(error),
                    self._interval,
                )
            self._has_failed = True
        finally:
            self._lock.release()

    def _heartbeat_here(self) -> ServiceHeartbeat:
        heartbeat = self._heartbeat
        is_anothers = heartbeat is not None and heartbeat.registration.pid != os.getpid()
        if heartbeat is None or (is_anothers and (self._uwsgi is not None or heartbeat.has_ended)):
            heartbeat = self._heartbeat = self._new_heartbeat()
        return heartbeat


class WithHeartbeats:
    """WSGI: an application that gives its signs of life after its answers."""

    def __init__(self, inner: Inner, signs: ProcessHeartbeats) -> None:
        self._inner = inner
        self._signs = signs

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self._signs.after(self._inner(environ, start_response))


class _Closing:
    """An answer with something to do when it is over."""

    def __init__(self, answer: Iterable[bytes], then: Callable[[], None]) -> None:
        self._answer = answer
        self._then = then

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        """Servers call it once the answer has been sent, or given up."""
        try:
            close = getattr(self._answer, 'close', None)
            if close is not None:
                close()
        finally:
            self._then()


def _both(first: Callable[[], None] | None, second: Callable[[], None]) -> Callable[[], None]:
    """Return what others have set, then ours."""

    def both() -> None:
        if first is not None:
            first()
        second()

    return both


def _said(error: Exception) -> str:
    """Describe an error in one line: what was found and what to do, without the full stop."""
    known = faults.explain(error)
    if known is not None:
        return f'{known.code}: {known.message}'.rstrip('.')
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip('.')
