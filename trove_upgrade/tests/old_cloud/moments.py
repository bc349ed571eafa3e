# SPDX-License-Identifier: Apache-2.0
"""Moments of the bridge's work in one guest, by what can be seen from outside of it, and runs that
are ended by SIGKILL at one of them.
"""

import dataclasses
import pathlib
import subprocess
from collections.abc import Callable

from lab.images import provision
from trove_upgrade.tests.old_cloud import test_reach

PROJECT = pathlib.Path(__file__).parents[3]
HOME = '/opt/trove-upgrade-bridge'
LEASE_SECONDS = 90
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


@dataclasses.dataclass(frozen=True)
class Moment:
    """A moment, and how it is seen."""

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
)
UPGRADE_BEGAN = Moment('its upgrade has begun', lambda test: test.has_upgrade())


class KilledTestCase(test_reach.ReachTestCase):
    def setUp(self):
        super().setUp()
        self.instance = self.stage.instances[0]
        self.guest = self.stage.makers.guest(self.instance)
        self.run_id = None

    def bundle(self):
        found = sorted(
            (PROJECT / 'dist').glob('trove-upgrade-guest-bundle-*.tar.xz'),
            key=lambda path: path.stat().st_mtime,
        )
        self.assertTrue(found, 'there is no bundle in dist: run "make bundle"')
        return str(found[-1])

    def rows(self, instance):
        guest = self.stage.makers.guest(instance)
        return provision.sql(guest, f'SELECT COUNT(*) FROM {provision.DATABASE}.heartbeat;')

    def succeeds(self, *argv):
        return self.guest.exec(list(argv), check=False).returncode == 0

    def ours(self):
        """The bridge's groups at Neutron."""
        url = f'{self.handle.neutron_url}/v2.0/security-groups?name=trove-upgrade-bridge'
        return {group['id'] for group in self.admin.request('GET', url)['security_groups']}

    def port_has_ours(self):
        ours = self.ours()
        return any(ours & set(groups) for groups in self.groups(self.instance).values())

    def members(self, run_id):
        return self.shown('status', run_id, '--json')

    def has_upgrade(self):
        return any(member['facts']['upgrade_id'] for member in self.members(self.run_id))

    def killed_at(self, moment, *words):
        """A run that is dead from this moment on; its id."""
        process = subprocess.Popen(
            [
                str(self.programs / 'trove-upgrade-bridge'),
                *self.options(),
                'run',
                *words,
                '--bundle',
                self.bundle(),
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

    def resumed(self, run_id, seconds=LEASE_SECONDS * 2):
        """The exit code of the first process that finds the lease over and ends the run."""
        codes = []

        def has_ended():
            done = self.bridge('resume', run_id, '--bundle', self.bundle(), *self.way())
            codes.append(done.returncode)
            return not any(one['state'] in {'PENDING', 'RUNNING'} for one in self.members(run_id))

        self.wait_until(has_ended, 'the lease to end and the run to be resumed', seconds)
        return codes[-1]
