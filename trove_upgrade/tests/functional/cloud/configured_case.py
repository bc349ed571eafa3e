# SPDX-License-Identifier: Apache-2.0
"""A taskmanager with options of the test's own."""

from lab import stage
from lab.product import TASKMANAGER
from trove_upgrade.tests.functional.cloud.nova_case import NovaCase


class ConfiguredCase(NovaCase):
    """`options` go into [trove_upgrade] of the taskmanager for each test."""

    options = {}

    def setUp(self):
        super().setUp()
        before = self.product.config_file.read_text()
        self.addCleanup(self.restart, lambda: self.product.config_file.write_text(before))
        self.restart(lambda: self.product.configure({**stage.QUICK, **self.options}))

    def restart(self, configure):
        """Both services read their configuration once; only the taskmanager's part differs here."""
        self.product.stop(TASKMANAGER)
        configure()
        self.product.start_taskmanager()
