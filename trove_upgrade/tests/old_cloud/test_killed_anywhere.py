# SPDX-License-Identifier: Apache-2.0
"""The bridge is ended by SIGKILL at each moment of its work in a real old guest: nothing is open
after the lease, the old agent has never stopped, and what was begun is finished or removed.

Moments are told by what is seen in the guest and at Neutron.  About a minute for each.
"""

import dataclasses
import subprocess
from collections.abc import Callable

from lab.images import provision
from trove_upgrade.tests.old_cloud import test_reach, test_run

HOME = '/opt/trove-upgrade-bridge'
#: Paths of all that the bridge may leave: a listing of before and after.
PLACES = (
    HOME,
    '/etc/trove-upgrade-bridge',
    '/etc/trove',
    '/etc/init.d',
    '/etc/systemd/system',
    '/var/log/trove',
    '/var/lib/trove-upgrade',
)
LISTING = f'find {" ".join(PLACES)} -xdev 2> /dev/null | sort'
LEASE_SECONDS = 90
NOTHING_OPEN = test_reach.NOTHING_OPEN


@dataclasses.dataclass(frozen=True)
class Moment:
    """A moment, by what can be seen from outside of the bridge."""

    name: str
    has_come: Callable[['KilledTestCase'], bool]


def exists(path):
    return lambda test: test.succeeds('test', '-e', path)


MOMENTS = (
    Moment('its group is at Neutron', lambda test: bool(test.ours())),
    Moment('the port has the group', lambda test: test.port_has_ours()),
    Moment('it is logged in', lambda test: test.succeeds('pgrep', '-f', 'sshd: root')),
    Moment('the ledger is begun', exists(f'{HOME}/ledger')),
    Moment('the bundle is on its way', exists(f'{HOME}/staging')),
    Moment('the bundle is unpacked', lambda test: test.succeeds('sh', '-c', f'ls -d {HOME}/*/bin')),
    Moment('the key is there', exists('/etc/trove/trove-upgrade-guest.key')),
    Moment(
        'our agent runs',
        lambda test: test.succeeds('pgrep', '-f', 'trove-upgrade-guestagent'),
    ),
    Moment('it is proven', lambda test: test.is_past('prove')),
)


class KilledTestCase(test_run.RunTestCase):
    def setUp(self):
        super().setUp()
        self.instance = self.stage.instances[0]
        self.guest = self.stage.makers.guest(self.instance)
        self.run_id = None

    def succeeds(self, *argv):
        return self.guest.exec(list(argv), check=False).returncode == 0

    def ours(self):
        """The bridge's groups at Neutron."""
        url = f'{self.handle.neutron_url}/v2.0/security-groups?name=trove-upgrade-bridge'
        return {group['id'] for group in self.admin.request('GET', url)['security_groups']}

    def port_has_ours(self):
        ours = self.ours()
        return any(ours & set(groups) for groups in self.groups(self.instance).values())

    def is_past(self, step):
        """Whether the run's own journal has the end of a step."""
        [member] = self.shown('status', self.run_id, '--json')
        return any(run['step'] == step and run['end'] for run in member['steps'])

    def listing(self):
        return self.guest.exec(['sh', '-c', LISTING]).output

    def killed_at(self, moment):
        """A run that is dead from this moment on; its id."""
        process = subprocess.Popen(
            [
                str(self.programs / 'trove-upgrade-bridge'),
                *self.options(),
                *('run', '--instance', self.instance.id, '--bundle', self.bundle()),
                *self.way(),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.run_id = process.stdout.readline().split()[1].rstrip(':')
            self.wait_until(lambda: moment.has_come(self), moment.name, interval_seconds=0.02)
            self.assertIsNone(process.poll(), f'{moment.name}: it had ended before it was killed')
        finally:
            process.kill()
            process.communicate()
        return self.run_id

    def resumed(self, run_id):
        """The exit code of the first process that finds the lease over."""
        codes = []

        def has_ended():
            done = self.bridge('resume', run_id, '--bundle', self.bundle(), *self.way())
            codes.append(done.returncode)
            [member] = self.shown('status', run_id, '--json')
            return member['state'] not in {'PENDING', 'RUNNING'}

        self.wait_until(has_ended, 'the lease to end and the run to be resumed', LEASE_SECONDS * 2)
        return codes[-1]


class TestKilledAnywhere(KilledTestCase):
    def test_the_reaper_alone_closes_and_an_operators_end_removes_all_of_it(self):
        agent, before = self.agent_pid(self.instance), self.listing()
        groups = self.groups(self.instance)
        for moment in MOMENTS:
            with self.subTest(moment.name):
                run_id = self.killed_at(moment)
                self.wait_until(
                    lambda: not self.ours(), 'a taskmanager to close the port', LEASE_SECONDS
                )
                self.assertEqual(groups, self.groups(self.instance))
                self.assertFalse(self.passes(self.instance))
                self.bridge('abort', run_id)
                self.resumed(run_id)
                [member] = self.shown('status', run_id, '--json')
                self.assertEqual('ABORTED', member['state'], member)
                self.assertEqual(before, self.listing())
                self.assertEqual(agent, self.agent_pid(self.instance))
                self.assertIn(provision.DATABASE, provision.sql(self.guest, 'SHOW DATABASES;'))

    def test_another_process_finishes_what_a_killed_one_has_begun(self):
        for instance, name in zip(
            self.stage.instances,
            ('the bundle is on its way', 'the key is there', 'our agent runs'),
            strict=True,
        ):
            self.instance, self.guest = instance, self.stage.makers.guest(instance)
            [moment] = [one for one in MOMENTS if one.name == name]
            with self.subTest(name):
                agent, groups = self.agent_pid(instance), self.groups(instance)
                run_id = self.killed_at(moment)
                self.assertEqual(NOTHING_OPEN, self.resumed(run_id))
                [member] = self.shown('status', run_id, '--json')
                self.assertEqual('COMPLETED', member['state'], member)
                self.assertEqual(groups, self.groups(instance))
                self.assertEqual(agent, self.agent_pid(instance))
