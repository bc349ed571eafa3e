# SPDX-License-Identifier: Apache-2.0
"""What every unit test stands on."""
from oslotest import base


class TestCase(base.BaseTestCase):
    """A test of one module, without network and without other processes."""
