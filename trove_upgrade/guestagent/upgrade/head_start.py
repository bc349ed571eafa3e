# SPDX-License-Identifier: Apache-2.0
"""Head start of a restore: what it will wait for begins as soon as the guest has booted."""

import functools
import threading

from trove_upgrade.domain import exceptions, logs, markers
from trove_upgrade.guestagent.upgrade import carried_image, work
from trove_upgrade.guestagent.upgrade.marks import Mark

LOG = logs.get_logger(__name__)


def begin(own: work.Guest) -> threading.Thread:
    """Give it in a thread of its own, and return that."""
    thread = threading.Thread(target=give, args=(own,), name='head-start', daemon=True)
    thread.start()
    return thread


def give(own: work.Guest) -> None:
    """Give it on a root disk that an upgrade has booted and nothing has been restored on.
    Logs every error: it is the edge of its thread.
    """
    marker = own.marker()
    if marker is None or own.marks.has(Mark.RESTORED, markers.upgrade_of(marker)):
        return
    # a volume that cannot be looked at takes the registry's head start from none
    for bring in (functools.partial(carried_image.head_start, own), own.driver.prefetch):
        try:
            with own.awake():
                bring()
        except exceptions.TroveUpgradeError as error:
            LOG.info(
                'What the restore needs is not here yet, it brings it itself: %s', error.message
            )
        except Exception:
            LOG.exception('What the restore needs could not be brought here ahead of it')
