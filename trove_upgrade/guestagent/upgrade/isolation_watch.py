# SPDX-License-Identifier: Apache-2.0
"""Look at the isolation of a server while something long goes on, which tells of itself when it
likes: clients who may have come are kept away again within seconds.
"""

import contextlib
import threading
from collections.abc import Iterator

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.upgrade.work import Guest

LOG = logs.get_logger(__name__)


@contextlib.contextmanager
def watched(guest: Guest) -> Iterator[None]:
    """Look every few seconds as long as the context lasts.  That clients may have come is found by
    the caller, when it is over.
    """
    over = threading.Event()
    watch = threading.Thread(
        target=_look_until, args=(guest, over), name='isolation-watch', daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def _look_until(guest: Guest, over: threading.Event) -> None:
    while not over.wait(guest.settings.isolation_look_seconds):
        try:
            if not guest.driver.is_isolated():
                guest.driver.keep_closed()
        except Exception:  # the next look may succeed, and the caller looks itself
            LOG.exception('It cannot be told whether clients are kept from the database')
