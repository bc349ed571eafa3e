# SPDX-License-Identifier: Apache-2.0
"""The beginning of a head start; what it brings is in `test_carried_image`."""

import subprocess
import sys

from trove_upgrade.guestagent.upgrade import head_start
from trove_upgrade.tests.unit.guestagent.upgrade.test_flows import FlowTestCase

_SECONDS = 60
_LOADED = """
import sys
from trove_upgrade.guestagent.upgrade import composition, head_start
print(*(name for name in ('oslo_messaging', 'oslo_service', 'kombu') if name in sys.modules))
"""


class TestHeadStart(FlowTestCase):
    def test_nothing_of_messaging_is_loaded_before_it(self):
        done = subprocess.run(
            [sys.executable, '-c', _LOADED], check=True, capture_output=True, text=True
        )
        self.assertEqual('', done.stdout.strip())

    def test_it_ends_where_no_upgrade_has_booted_the_guest(self):
        thread = head_start.begin(self.machine.guest())
        thread.join(_SECONDS)
        self.assertFalse(thread.is_alive())
        self.assertIsNone(self.machine.guest().carried())
