# SPDX-License-Identifier: Apache-2.0
"""A network of a test's own: its thread, and all that it starts, has no interface but the loopback
one, and packet filters that are empty.
"""

import ctypes
import os
import subprocess

import fixtures

_CLONE_NEWNET = 0x40000000  #: Source: unshare(2)


class PrivateNetwork(fixtures.Fixture):
    """Network namespace of the thread that uses the fixture."""

    def _setUp(self):
        self._libc = ctypes.CDLL(None, use_errno=True)
        former = os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        self.addCleanup(os.close, former)
        self._call('unshare', _CLONE_NEWNET)
        self.addCleanup(self._call, 'setns', former, _CLONE_NEWNET)
        subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)

    def _call(self, name, *arguments):
        if getattr(self._libc, name)(*arguments):
            raise OSError(ctypes.get_errno(), name)
