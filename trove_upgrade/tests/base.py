# SPDX-License-Identifier: Apache-2.0
"""Base of every test case, unit or functional: a test that passes is silent, one that fails
shows all that was written while it ran.
"""

import logging
import os
import sys

import fixtures
from oslotest import base
from testtools import content

from trove_upgrade.tests import output


class TestCase(base.BaseTestCase):
    """Its output becomes a detail of the result, named "output"; its HOME and its temporary
    folder are its own.
    """

    def setUp(self):
        self._keep_output(
            output.Mode(os.environ.get(output.MODE, output.Mode.FAILED))
        )  # first, so that it ends last
        super().setUp()

    def _keep_output(self, mode):
        if mode is output.Mode.DIRECT:
            return
        own = output.Output(self.id())
        self.useFixture(own)
        failures = []
        self.addOnException(
            lambda exc_info: (
                None
                if issubclass(exc_info[0], self.skipException)
                else failures.append(exc_info[0])
            )
        )

        def attach():
            text = own.text()
            if text and (failures or mode is output.Mode.ALL):
                self.addDetail('output', content.text_content(text))

        self.addCleanup(attach)

    def _fake_logs(self):
        super()._fake_logs()
        if self.log_fixture.logger is None:  # where OS_LOG_CAPTURE is not set
            # a handler that an earlier test left must not take the records
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter(self.log_fixture.DEFAULT_FORMAT))
            self.useFixture(fixtures.LogHandler(handler))
