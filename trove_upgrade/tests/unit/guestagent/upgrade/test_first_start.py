# SPDX-License-Identifier: Apache-2.0
"""Isolation that others in the guest remove before the data is compared."""

import dataclasses
import threading

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.upgrade import restore
from trove_upgrade.guestagent.upgrade.mark_facts import ServerStartedFacts
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.tests.unit.guestagent import fakes
from trove_upgrade.tests.unit.guestagent.upgrade.test_flows import FlowTestCase


class Reached(fakes.Driver):
    """A server that clients reach from a method of the driver on, in its first `starts` starts."""

    def __init__(self, machine, during, *, starts=1, client=lambda: None):
        super().__init__(machine)
        self.during, self.starts, self.client = during, starts, client
        self.done, self.reached = [], False

    def _happens(self, name):
        self.done.append(name)
        if name == self.during and self.done.count(name) <= self.starts:
            self.reached = True
            self.client()

    def start_isolated(self):
        self.reached = False
        super().start_isolated()
        self._happens('start_isolated')

    def upgrade_data(self, progress, former='', options=None):
        self._happens('upgrade_data')
        super().upgrade_data(progress, former, options)

    def fingerprint(self, options, progress):
        self._happens('fingerprint')
        return super().fingerprint(options, progress)

    def compare(self, before, after):
        self._happens('compare')
        return super().compare(before, after)

    def keep_closed(self):
        self.done.append('keep_closed')

    def is_isolated(self):
        return not self.reached


class Silent(Reached):
    """A method of it goes on until clients are kept away again, and tells nothing meanwhile."""

    def __init__(self, machine, during, *, looks_that_fail=0):
        super().__init__(machine, during)
        self.looks_that_fail = looks_that_fail
        self.closed_again = []
        self._kept = threading.Event()

    def _happens(self, name):
        super()._happens(name)
        if name == self.during and self.reached:
            self.closed_again.append(self._kept.wait(60))

    def keep_closed(self):
        super().keep_closed()
        self._kept.set()

    def is_isolated(self):
        if self.reached and not self._kept.is_set() and self.looks_that_fail:
            self.looks_that_fail -= 1
            raise OSError('the packet filter cannot be asked')
        return super().is_isolated()


class TestIsolationThatIsLost(FlowTestCase):
    def looking(self, work):
        """The work of a guest that looks often."""
        settings = dataclasses.replace(work.guest.settings, isolation_look_seconds=0.01)
        return dataclasses.replace(work, guest=dataclasses.replace(work.guest, settings=settings))

    def restored(self, driver):
        work = self.machine.work(upgrade_info=self.rebuilt())
        return dataclasses.replace(work, guest=dataclasses.replace(work.guest, driver=driver))

    def a_client_writes(self):
        path = self.machine.layout.data_directory / 'rows'
        path.write_text(str(int(path.read_text()) + 1))

    def test_while_the_data_is_upgraded_has_it_upgraded_and_compared_anew_with_a_remark(self):
        driver = Reached(self.machine, 'upgrade_data')
        result = restore.restore(self.restored(driver)).result
        self.assertEqual(
            [
                *('start_isolated', 'upgrade_data', 'keep_closed'),
                *('start_isolated', 'upgrade_data', 'fingerprint', 'compare'),
            ],
            driver.done,
        )
        self.assertIn('clients may have read it', result['remarks'][-1])
        self.assert_upgraded(self.machine)

    def test_at_the_start_has_the_server_started_anew_before_anything_is_done(self):
        driver = Reached(self.machine, 'start_isolated')
        restore.restore(self.restored(driver))
        self.assertEqual(['start_isolated', 'keep_closed'], driver.done[:2])
        self.assertEqual(1, driver.done.count('upgrade_data'))
        self.assert_upgraded(self.machine)

    def test_while_it_is_compared_has_it_compared_anew_and_not_upgraded(self):
        for during in ('fingerprint', 'compare'):
            self.machine = self.new_machine()
            driver = Reached(self.machine, during)
            restore.restore(self.restored(driver))
            self.assertEqual((1, 2), tuple(map(driver.done.count, ('upgrade_data', 'compare'))))
            self.assert_upgraded(self.machine)

    def test_lets_no_client_come_for_longer_than_until_the_next_look_whatever_is_told(self):
        for during in ('upgrade_data', 'fingerprint'):
            self.machine = self.new_machine()
            driver = Silent(self.machine, during)
            restore.restore(self.looking(self.restored(driver)))
            self.assertEqual([True], driver.closed_again)
            self.assert_upgraded(self.machine)

    def test_is_looked_for_again_after_a_look_that_has_failed(self):
        driver = Silent(self.machine, 'upgrade_data', looks_that_fail=2)
        restore.restore(self.looking(self.restored(driver)))
        self.assertEqual([True], driver.closed_again)
        self.assert_upgraded(self.machine)

    def test_is_no_reason_to_fail_for_what_a_client_has_broken_meanwhile(self):
        driver = Reached(self.machine, 'upgrade_data')
        self.machine.fail['upgrade_data'] = exceptions.StepFailed('locked', 'ENGINE_UPGRADE_FAILED')
        restore.restore(self.restored(driver))
        self.assert_upgraded(self.machine)

    def test_explains_a_row_that_a_client_has_written_and_opens_nothing(self):
        driver = Reached(self.machine, 'fingerprint', client=self.a_client_writes)
        error = self.assertRaises(exceptions.StepFailed, restore.restore, self.restored(driver))
        self.assertEqual('FINGERPRINT_DIFFERS', error.code)
        self.assertIn('What they wrote is in it', error.message)
        self.assertTrue(self.machine.isolated)

    def test_twice_ends_the_run_with_a_code_of_its_own_and_another_run_goes_on(self):
        work = self.restored(Reached(self.machine, 'fingerprint', starts=2))
        error = self.assertRaises(exceptions.StepFailed, restore.restore, work)
        self.assertEqual('ISOLATION_LOST', error.code)
        self.assertFalse(self.machine.guest().marks.has(Mark.COMPARED))
        again = Reached(self.machine, 'fingerprint', starts=0)
        again.reached = True
        restore.restore(
            dataclasses.replace(work, guest=dataclasses.replace(work.guest, driver=again))
        )
        self.assert_upgraded(self.machine)

    def test_is_remembered_on_the_volume_beside_the_direction(self):
        work = self.restored(Reached(self.machine, 'fingerprint'))
        restore.restore(work)
        facts = work.guest.marks.get(ServerStartedFacts, fakes.UPGRADE)
        self.assertIsNotNone(facts.isolation_lost_at)
        self.assertTrue(self.machine.guest().server_started(fakes.UPGRADE))
