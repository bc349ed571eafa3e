# SPDX-License-Identifier: Apache-2.0
"""The figures of a taskmanager, read as a monitoring system reads them."""

import dataclasses
import socket
import urllib.request

import fixtures
from hypothesis import given
from hypothesis import strategies as st
from oslo_db import exception as db_exc
from prometheus_client import parser

from trove_upgrade.db.upgrade_figures import UpgradeFigures
from trove_upgrade.domain import states
from trove_upgrade.domain.drops import Drops
from trove_upgrade.rpc import sealed_calls
from trove_upgrade.taskmanager import exposition, prometheus, sealed_reports
from trove_upgrade.taskmanager.outages import Outages
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.domain import test_explanation
from trove_upgrade.tests.unit.taskmanager import fakes

BUILD = prometheus.Build(version='1.2.3', release='cygnus')


def read(served):
    """Samples by name and labels."""
    address = f'http://127.0.0.1:{served.port}/metrics'
    with urllib.request.urlopen(address, timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


class MetricsTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.metrics = prometheus.PrometheusMetrics(BUILD)

    def read(self):
        served = exposition.Exposition(self.metrics.registry, '127.0.0.1:0')
        self.addCleanup(served.close)
        return read(served)


class TestFigures(MetricsTestCase):
    def ended(self, seconds, state=states.UpgradeState.COMPLETED, age=300):
        whole = test_explanation.upgrade(
            state=state, created_at=test_explanation.ago(age), ended_at=test_explanation.NOW
        )
        return stored.adding(whole, downtime_seconds=seconds)

    def test_a_downtime_that_a_guest_tells_counts_where_it_is_possible(self):
        for seconds in (12.0, 301.0, -1.0, float('nan'), float('inf'), None):
            found = self.ended(12.0)
            restore = dataclasses.replace(found.progress.restore, downtime_seconds=seconds)
            progress = found.progress.evolve(restore=restore)
            self.metrics.attempt_ended(found.evolve(progress=progress))
        found = self.read()
        self.assertEqual(6, found['trove_upgrade_attempts_ended_total', 'COMPLETED'])
        self.assertEqual(1, found['trove_upgrade_downtime_seconds_count', 'COMPLETED'])
        self.assertEqual(12.0, found['trove_upgrade_downtime_seconds_sum', 'COMPLETED'])

    @given(st.none() | st.floats(), st.floats(0, 1e6))
    def test_no_guest_can_make_the_sum_of_all_downtimes_anything_but_a_number(self, told, age):
        metrics = prometheus.PrometheusMetrics(BUILD)
        found = self.ended(None, age=age)
        restore = dataclasses.replace(found.progress.restore, downtime_seconds=told)
        metrics.attempt_ended(found.evolve(progress=found.progress.evolve(restore=restore)))
        total = metrics.registry.get_sample_value(
            'trove_upgrade_downtime_seconds_sum', {'state': 'COMPLETED'}
        )
        self.assertTrue(total is None or 0 <= total <= age + 1)

    def test_the_build_is_named(self):
        self.assertEqual(1, self.read()['trove_upgrade_build_info', '1.2.3', 'cygnus'])

    def test_dropped_messages_are_told_by_short_names_that_no_two_reasons_share(self):
        reasons = [*sealed_calls.Reason, *sealed_reports.Reason]
        self.assertEqual(len(reasons), len({reason.label for reason in reasons}))
        self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        drops = Drops(lambda: 0.0)
        self.metrics.watch_drops(drops)
        for _ in range(3):
            drops.count(sealed_calls.Reason.UNSEALED)
        drops.count('a word of a later caller')
        self.metrics.call_refused()
        found = self.read()
        self.assertEqual(3, found['trove_upgrade_messages_dropped_total', 'answer_unsealed'])
        self.assertEqual(1, found['trove_upgrade_messages_dropped_total', 'other'])
        self.assertEqual(1, found['trove_upgrade_messages_refused_total',])


class TestOfTheDatabase(MetricsTestCase):
    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))

    def test_upgrades_are_counted_by_state_when_they_are_read(self):
        db = self.useFixture(database.SampleDatabase())
        self.metrics.watch_upgrades(UpgradeFigures(db.database).by_state, Outages())
        found = self.read()
        self.assertEqual(1, found['trove_upgrade_database_up',])
        self.assertEqual(0, found['trove_upgrade_upgrades', 'PENDING'])
        db.begin()
        db.repositories.upgrades.claim(db.begin(database.OTHER_INSTANCE).id, 'me', 60)
        found = self.read()
        self.assertEqual(1, found['trove_upgrade_upgrades', 'PENDING'])
        self.assertEqual(1, found['trove_upgrade_upgrades', 'RUNNING'])

    def test_a_database_that_is_away_leaves_all_other_figures_and_one_line_in_the_log(self):
        def count():
            raise db_exc.DBConnectionError(OSError('away'))

        from trove_upgrade.db import faults

        self.metrics.watch_upgrades(count, Outages(faults.explain))
        self.metrics.lease_taken_over()
        for _ in range(2):
            found = self.read()
        self.assertEqual(0, found['trove_upgrade_database_up',])
        self.assertEqual(1, found['trove_upgrade_lease_takeovers_total',])
        self.assertNotIn(('trove_upgrade_upgrades', 'PENDING'), found)
        self.assertEqual(1, len(self.log.output.splitlines()))


class TestOfUpgrades(MetricsTestCase):
    """Figures of a taskmanager that runs upgrades."""

    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.stage.metrics = self.metrics

    def test_each_step_and_the_end_of_an_upgrade_are_observed_once(self):
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        row = self.stage.run_on(row.id)
        self.assertEqual('COMPLETED', row.state)
        found = self.read()
        for step in states.STEPS:
            self.assertEqual(1, found['trove_upgrade_step_seconds_count', *sorted(('done', step))])
        self.assertEqual(1, found['trove_upgrade_attempts_ended_total', 'COMPLETED'])
        self.assertEqual(0, found['trove_upgrade_lease_takeovers_total',])


class TestTakeovers(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.taken = 0
        self.db.repositories.upgrades._on_takeover = self.count
        self.upgrades = self.db.repositories.upgrades
        self.row = self.db.begin()

    def count(self):
        self.taken += 1

    def test_the_row_of_another_whose_lease_has_run_out_counts(self):
        self.upgrades.claim(self.row.id, 'host-1/1-00000000', 60)
        self.assertEqual(0, self.taken)
        self.db.pass_time(61)
        self.assertEqual('host-2', self.upgrades.claim(self.row.id, 'host-2', 60).owner)
        self.assertEqual(1, self.taken)

    def test_a_row_that_was_let_go_and_one_of_its_own_do_not(self):
        held = self.upgrades.claim(self.row.id, 'host-1', 60)
        self.upgrades.save(held, release_for_seconds=0)
        self.upgrades.claim(self.row.id, 'host-2', 60)
        self.db.pass_time(61)
        self.upgrades.claim(self.row.id, 'host-2', 60)
        self.assertEqual(0, self.taken)


class TestExposition(MetricsTestCase):
    def test_an_address_that_is_taken_is_an_error_that_names_the_option(self):
        taken = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(taken.close)
        address = f'127.0.0.1:{taken.getsockname()[1]}'
        error = self.assertRaises(
            exposition.MetricsAddressUnusable, exposition.Exposition, self.metrics.registry, address
        )
        self.assertIn(address, error.message)
        self.assertIn('metrics_bind', error.message)

    def test_a_name_that_cannot_be_one_is_too(self):
        self.assertRaises(
            exposition.MetricsAddressUnusable,
            exposition.Exposition,
            self.metrics.registry,
            f'{"x" * 70}.invalid:0',
        )

    def test_an_end_frees_the_port(self):
        served = exposition.Exposition(self.metrics.registry, '127.0.0.1:0')
        served.close()
        again = exposition.Exposition(self.metrics.registry, f'127.0.0.1:{served.port}')
        self.addCleanup(again.close)
        self.assertIn(('trove_upgrade_build_info', '1.2.3', 'cygnus'), read(again))
