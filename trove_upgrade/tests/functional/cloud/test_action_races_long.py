# SPDX-License-Identifier: Apache-2.0
"""An abort at one moment after the other of real upgrades, with two taskmanagers: it comes in time,
and nothing was done, or too late, and the upgrade completes; and no row is lost.
"""

import collections
import concurrent.futures
import itertools
import threading

from lab.following import FINAL
from trove_upgrade.tests.functional.cloud.actions_case import ActionsCase

_OTHER = 'trove-upgrade-taskmanager-2'
#: Looks at an upgrade before it is aborted; each instance has every third of them.
_LOOKS = range(0, 120, 4)
_INSTANCES = 3


class TestRaces(ActionsCase):
    def setUp(self):
        super().setUp()
        self.product.start_taskmanager(_OTHER)
        self.addCleanup(self.product.stop, _OTHER)
        self.seen = collections.Counter()
        self.lock = threading.Lock()

    def test_an_abort_ends_the_upgrade_or_comes_too_late_and_never_both(self):
        instances = [self.create_written(f'race-{number}') for number in range(_INSTANCES)]
        with concurrent.futures.ThreadPoolExecutor(_INSTANCES) as pool:
            moments = [_LOOKS[number::_INSTANCES] for number in range(_INSTANCES)]
            list(pool.map(self.race, instances, moments))
        print(self.seen)
        self.assertEqual({'ABORTED', 'COMPLETED'}, {state for state, _ in self.seen})

    def race(self, instance, moments):
        with self.nothing_lost(instance):
            for looks in moments:
                self.aborted_after(instance, looks)
            self.aborted_after(instance, None)

    def aborted_after(self, instance, looks):
        """Abort an upgrade after so many looks; None: as soon as it cannot be aborted."""
        boot_id, rebuilds = self.guest(instance).boot_id, self.rebuilds(instance)
        upgrade = seen = self.begin(instance)
        for _ in itertools.count() if looks is None else range(looks):
            seen = self.see(upgrade)
            if seen['state'] in FINAL or not (seen['cancellable'] or looks):
                break
        status, answer = self.act(upgrade, 'abort')
        ended = self.until_end(upgrade)
        with self.lock:
            self.seen[ended['state'], seen['step']] += 1
        found = (ended['state'], self.rebuilds(instance) - rebuilds)
        told = f'{looks} looks: {status} {answer}, {ended}'
        if status == 202:
            self.assertEqual(('ABORTED', 0), found, told)
            self.assertEqual(boot_id, self.guest(instance).boot_id, told)
        else:
            self.assertEqual('ABORT_REFUSED', answer, told)
            self.assertEqual(('COMPLETED', 1), found, told)
        self.sql(instance, 'SELECT 1')
