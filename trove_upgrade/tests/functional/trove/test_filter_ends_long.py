# SPDX-License-Identifier: Apache-2.0
"""Every way on which a process of Trove's API ends.

None leaves a row that an operator still sees on that host.
"""

import os
import signal

from trove_upgrade.tests.functional.cloud import trove_api, trove_case
from trove_upgrade.tests.functional.cloud.test_trove_filter import UnderServer


class Ends(trove_case.TroveTestCase):
    """Under each server; `options` are those of its start."""

    server = ''
    environment = None
    new_api = classmethod(UnderServer.new_api.__func__)

    def assert_ends(self, end, **options):
        """By `end`, which is handed the API: once idle, once amid requests."""
        api, pids = self.new_listed_api(**options)
        end(api)
        self.assert_none_is_left_by(api, pids)
        api, pids = self.new_listed_api(**options)
        with self.asking(api):
            end(api)
            self.wait_until(api.has_ended, 'the end of all processes')
        self.assert_none_is_left_by(api, pids)

    def assert_a_killed_worker_is_gone_at_once(self, **options):
        api, _ = self.new_listed_api(**options)
        victim = api.workers()[0]
        os.kill(victim, signal.SIGKILL)
        self.wait_until(lambda: victim not in api.workers(), 'its end')
        self.assertEqual(set(), self.listed({victim}))


class TestUwsgi(Ends):
    server = trove_api.UWSGI

    def test_by_sigterm_to_the_master(self):
        self.assert_ends(lambda api: api.process.send_signal(signal.SIGTERM))

    def test_by_sigint_to_the_master(self):
        self.assert_ends(lambda api: api.process.send_signal(signal.SIGINT))

    def test_by_sigterm_to_all(self):
        self.assert_ends(lambda api: api.signal_group(signal.SIGTERM))

    def test_by_sigint_to_all(self):
        self.assert_ends(lambda api: api.signal_group(signal.SIGINT))

    def test_by_sigkill_to_all(self):
        self.assert_ends(lambda api: api.signal_group(signal.SIGKILL))

    def test_a_killed_worker(self):
        self.assert_a_killed_worker_is_gone_at_once()

    def test_where_the_master_loads_and_forks(self):
        self.assert_ends(lambda api: api.signal_group(signal.SIGTERM), lazy_apps=False)

    def test_a_killed_worker_where_the_master_loads_and_forks(self):
        self.assert_a_killed_worker_is_gone_at_once(lazy_apps=False)

    def test_workers_that_are_recycled_after_some_requests(self):
        api, pids = self.new_listed_api(
            arguments=('--max-requests', '5', '--min-worker-lifetime', '1')
        )
        first = pids - {api.process.pid}
        with self.asking(api):
            self.wait_until(lambda: not first & set(api.workers()), 'the end of the first workers')
        self.assertEqual(set(), self.listed(first))
        later = self.processes_of(api)
        self.wait_until(lambda: self.listed(later), 'their successors')


class TestGunicorn(Ends):
    server = trove_api.GUNICORN

    def test_by_sigterm_to_all(self):
        self.assert_ends(lambda api: api.signal_group(signal.SIGTERM))

    def test_by_sigkill_to_all(self):
        self.assert_ends(lambda api: api.signal_group(signal.SIGKILL))

    def test_a_killed_worker(self):
        self.assert_a_killed_worker_is_gone_at_once()


class TestEventlet(Ends):
    server = trove_api.EVENTLET

    def test_by_sigterm_to_all(self):
        self.assert_ends(lambda api: api.signal_group(signal.SIGTERM))

    def test_by_sigkill_to_all(self):
        self.assert_ends(lambda api: api.signal_group(signal.SIGKILL))
