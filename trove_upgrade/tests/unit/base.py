# SPDX-License-Identifier: Apache-2.0
"""What every unit test stands on."""

from trove_upgrade.tests import base


class TestCase(base.TestCase):
    """A test of one module, without network and without other processes."""
