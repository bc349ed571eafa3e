# SPDX-License-Identifier: Apache-2.0
"""Processors that do not sleep while a database is down: until the end of that at the latest."""

import os
import pathlib
import struct
import threading

import fixtures

from trove_upgrade.guestagent.machine import processors
from trove_upgrade.tests import base
from trove_upgrade.waiting import wait_until

LONG = 3600.0


def _descriptors():
    return sum(1 for _ in pathlib.Path('/proc/self/fd').iterdir())


class TestAwakeProcessors(base.TestCase):
    def setUp(self):
        super().setUp()
        self.device = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'cpu_dma_latency'

    def _open(self):
        """How often this process has the device open: as long as it is, the kernel heeds it."""
        found = 0
        for descriptor in pathlib.Path('/proc/self/fd').iterdir():
            try:
                found += os.readlink(descriptor) == str(self.device)  # noqa: PTH115
            except FileNotFoundError:
                continue
        return found

    def test_the_kernel_is_asked_until_the_end(self):
        self.device.touch()
        with processors.awake(LONG, self.device):
            self.assertEqual(struct.pack('i', 0), self.device.read_bytes())
            self.assertEqual(1, self._open())
        self.assertEqual(0, self._open())

    def test_an_error_ends_it_too(self):
        self.device.touch()
        with self.assertRaises(ZeroDivisionError), processors.awake(LONG, self.device):
            raise ZeroDivisionError
        self.assertEqual(0, self._open())

    def test_it_ends_after_its_time_while_the_work_goes_on(self):
        self.device.touch()
        with processors.awake(0.01, self.device):
            self.assertTrue(wait_until(lambda: not self._open(), 30))

    def test_no_thread_is_left(self):
        self.device.touch()
        before = threading.active_count()
        with processors.awake(LONG, self.device):
            pass
        self.assertEqual(before, threading.active_count())

    def test_two_at_a_time_end_each_for_itself(self):
        self.device.touch()
        with processors.awake(LONG, self.device):
            with processors.awake(LONG, self.device):
                self.assertEqual(2, self._open())
            self.assertEqual(1, self._open())

    def test_no_time_asks_for_nothing(self):
        self.device.touch()
        with processors.awake(0, self.device):
            self.assertEqual((b'', 0), (self.device.read_bytes(), self._open()))

    def test_a_guest_without_the_device_works_as_ever_and_makes_none(self):
        with processors.awake(LONG, self.device):
            self.assertFalse(self.device.exists())

    def test_a_request_that_is_refused_leaves_nothing_open(self):
        full = pathlib.Path('/dev/full')
        before = _descriptors()
        with processors.awake(LONG, full):
            self.assertEqual(before, _descriptors())
