# SPDX-License-Identifier: Apache-2.0
"""Processors of the guest, kept from sleeping while a database is down.

A program that waits for another one, or for a disk, hundreds of times each second is slowed by each
processor that has to be woken, most of all in a virtual machine.  A process may ask the kernel not
to let them sleep for as long as it has a file open: so the request ends with the process, however
that ends.

Source: "PM Quality Of Service Interface" of the Linux kernel's documentation, cpu_dma_latency.
"""

import contextlib
import pathlib
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO

from trove_upgrade.domain import logs

LOG = logs.get_logger(__name__)

DEVICE = pathlib.Path('/dev/cpu_dma_latency')
#: The longest time, in microseconds, that a processor may take to wake up.
_REQUEST = struct.pack('i', 0)

#: Keeps processors awake as long as its context lasts.
Awake = Callable[[], AbstractContextManager[None]]


@contextlib.contextmanager
def awake(seconds: float, device: pathlib.Path = DEVICE) -> Iterator[None]:
    """Keep all processors awake in this context, for so many seconds at most; 0: never.

    Kernels that let no processor sleep, and guests that have no such device, are as they are.
    """
    request = _requested(device) if seconds > 0 else None
    if request is None:
        yield
        return
    limit = threading.Timer(seconds, request.close)
    limit.name, limit.daemon = 'processors', True
    with request:
        limit.start()
        try:
            yield
        finally:
            limit.cancel()
            limit.join()


def _requested(device: pathlib.Path) -> BinaryIO | None:
    try:
        request = device.open('r+b', buffering=0)  # which makes no file
        try:
            request.write(_REQUEST)
        except OSError:
            request.close()
            raise
    except OSError as error:
        LOG.debug('Processors may sleep as before: %s', error)
        return None
    return request
