# SPDX-License-Identifier: Apache-2.0
"""Processors of the guest do not sleep while its database is down, and sleep as ever before."""

import dataclasses

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.upgrade import quiesce, restore, undo
from trove_upgrade.tests.unit.guestagent import fakes
from trove_upgrade.tests.unit.guestagent.upgrade.test_flows import FlowTestCase


class TestProcessorsStayAwake(FlowTestCase):
    def _run(self, flow, **changes):
        """What the flow did with the database, each with the requests that held then."""
        seen = []

        class Driver(fakes.Driver):
            def prepare_target(self, target, options, progress):
                seen.append(('prepare_target', self.machine.awake))

            def _may_fail(self, name):
                seen.append((name, self.machine.awake))
                super()._may_fail(name)

        work = self.machine.work(**changes)
        try:
            flow(
                dataclasses.replace(
                    work, guest=dataclasses.replace(work.guest, driver=Driver(self.machine))
                )
            )
        except (exceptions.StepFailed, exceptions.StepRefused):
            seen.append('failed')
        self.assertEqual(0, self.machine.awake)
        return seen

    def test_not_while_the_target_is_prepared_but_from_the_stop_on(self):
        seen = self._run(quiesce.quiesce)
        for name, requests in (('prepare_target', 0), ('fingerprint_and_stop', 1)):
            self.assertIn((name, requests), seen)

    def test_until_the_new_server_is_open(self):
        seen = self._run(restore.restore, upgrade_info=self.rebuilt())
        for name in ('start_isolated', 'upgrade_data', 'open_for_clients'):
            self.assertIn((name, 1), seen)

    def test_while_the_former_server_comes_back(self):
        self.quiesced()
        self.assertIn(('start', 1), self._run(undo.abort))

    def test_while_it_comes_back_from_a_stop_that_has_failed(self):
        self.machine.fail['after_stop'] = exceptions.StepRefused('It is locked.', 'LOCKED')
        self.assertEqual([('start', 1), 'failed'], self._run(quiesce.quiesce)[-2:])

    def test_no_request_outlives_a_failure(self):
        info = self.rebuilt()
        self.machine.fail['upgrade_data'] = exceptions.StepFailed('It crashed.', 'CRASHED')
        self.assertIn('failed', self._run(restore.restore, upgrade_info=info))
