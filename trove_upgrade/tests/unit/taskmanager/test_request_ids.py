# SPDX-License-Identifier: Apache-2.0
"""The id of the user's request in the log of a taskmanager, as oslo.log writes it."""

import logging

from oslo_config import cfg
from oslo_context import fixture as context_fixture
from oslo_log import formatters, log

from trove_upgrade.domain import exceptions, logs, states
from trove_upgrade.domain.events import NOTIFICATIONS
from trove_upgrade.taskmanager.healing import Healer
from trove_upgrade.taskmanager.outbox import Relay
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.domain import test_logs
from trove_upgrade.tests.unit.taskmanager import fakes

#: What the samples are asked for with.
REQUEST = 'req-1'


class Log(test_logs.Kept):
    """All lines of ours."""

    def of(self, upgrade_id):
        return [line for line in self.lines if upgrade_id in line]


class RequestIdTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.useFixture(context_fixture.ClearRequestContext())  # of an earlier test in this thread
        conf = cfg.ConfigOpts()
        log.register_options(conf)
        conf(args=[], default_config_files=[], default_config_dirs=[])
        self.log = Log(formatters.ContextFormatter(config=conf))
        ours = logging.getLogger('trove_upgrade')
        level = ours.level
        ours.setLevel(logging.DEBUG)
        ours.addHandler(self.log)
        self.addCleanup(ours.setLevel, level)
        self.addCleanup(ours.removeHandler, self.log)
        self.stage = self.useFixture(fakes.Stage())

    def assert_carried(self, upgrade_id, least):
        lines = self.log.of(upgrade_id)
        self.assertGreaterEqual(len(lines), least, lines)
        self.assertEqual([], [line for line in lines if f'{REQUEST} ' not in line])


class TestRequestIds(RequestIdTestCase):
    def test_every_line_of_an_upgrade_that_completes_carries_it(self):
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        row = self.stage.run_on(row.id)
        self.assertEqual(states.UpgradeState.COMPLETED, row.state)
        self.assert_carried(row.id, least=len(states.STEPS) + 2)

    def test_and_of_one_that_is_undone_fails_or_meets_a_fault_of_ours(self):
        for answer in (
            fakes.silent('pre_upgrade'),
            exceptions.StepRefused('The guest says no.', 'NO'),
            RuntimeError('a fault'),
        ):
            stage = self.useFixture(fakes.Stage())
            stage.guest.says('pre_upgrade', answer)
            row = stage.db.begin()
            stage.run_on(row.id)
            self.assert_carried(row.id, least=3)

    def test_a_line_of_no_upgrade_carries_none(self):
        self.stage.until_boot()
        logs.get_logger('trove_upgrade.later').warning('after')
        self.assertIn('[-] after', self.log.lines[-1])

    def test_an_event_that_cannot_be_sent_and_a_guest_that_cannot_be_healed_are_told_with_it(self):
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        row = self.stage.run_on(row.id)
        del self.log.lines[:]

        class Away:
            def send(self, event):
                raise exceptions.MessagingUnavailable(what='an event', found='away')

        Relay(
            outbox=self.stage.repos.outbox,
            upgrades=self.stage.repos.upgrades,
            notifier=Away(),
            agent=self.stage.guest,
            calls=self.stage.calls,
            kinds=NOTIFICATIONS,
            retry_seconds=15,
        ).run_once()
        self.stage.guest.says('post_upgrade', fakes.silent('post_upgrade'))
        self.stage.heartbeat(row, boot_id='a-later-boot')
        Healer(
            upgrades=self.stage.repos.upgrades,
            guests=self.stage.repos.guests,
            agent=self.stage.guest,
            calls=self.stage.calls,
            timeout_seconds=60,
        ).run(row.id)
        self.assert_carried(row.id, least=2)
