# SPDX-License-Identifier: Apache-2.0
"""The bundle in a root of the oldest Debian that is supported, which has no Python, no xz and none
of its libraries.
"""

import pathlib

import fixtures

from lab.commands import HostCommands
from lab.images.builder import checkout_version
from tools.bundle.maker import Maker
from tools.bundle.recipe import BULLSEYE
from trove_upgrade.bridge.bundle import archive
from trove_upgrade.tests.functional.host import bullseye_root
from trove_upgrade.tests.unit import base

PROJECT = pathlib.Path(__file__).resolve().parents[4]
INSTANCE = '11111111-2222-3333-4444-555555555555'
CONFIGURATION = (
    f'[DEFAULT]\nguest_id = {INSTANCE}\ndatastore_manager = mariadb\n'
    'transport_url = rabbit://trove:pw@127.0.0.1:1/\n'
    '[trove_upgrade]\nguest_topic_prefix = trove-upgrade-guest.\n'
)
LOCK = '/run/trove-upgrade/guestagent.lock'
#: Ends with 0 once the agent has read its configuration, and still waits for a broker.
BEGIN_AGENT = """
/opt/one/bin/trove-upgrade-guestagent --config-dir /etc/agent --log-file /agent.log &
agent=$!
left=600
until grep -q 'Guest agent .* of instance' /agent.log 2> /dev/null; do
    left=$((left - 1))
    [ $left -gt 0 ] || exit 9
    sleep 0.1
done
readlink /proc/$agent/exe
kill -TERM $agent
wait $agent
"""


class TestBundle(base.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plain = bullseye_root.plain()

    def setUp(self):
        super().setUp()
        # a disk: an overlay's upper directory cannot be on every tmpfs
        self.scratch = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir='/var/tmp')).path)
        (self.scratch / 'guest').mkdir()
        self.guest = bullseye_root.BullseyeRoot(self.plain, self.scratch / 'guest')

    def bundle(self):
        """Return the bundle of this checkout, as the bridge takes it."""
        maker = Maker(BULLSEYE, bullseye_root.CACHE, PROJECT, HostCommands(), print)
        return archive.check(maker.make(self.scratch / 'dist', checkout_version()), None)

    def unpack(self, *places):
        """Unpack it as a guest without xz does."""
        sent = self.bundle().for_guest(self.scratch, has_xz=False)
        self.guest.write('/bundle.tar.gz', sent.path.read_bytes())
        for place in places:
            self.guest.run(f'mkdir -p {place} && tar -xzf /bundle.tar.gz -C {place}')

    def test_it_runs_from_any_directory(self):
        self.unpack('/opt/one', '/srv/an-other/deep')
        lacks = self.guest.run('for it in python3 xz; do command -v $it; done', check=False)
        self.assertEqual('', lacks.stdout)
        for place in ('/opt/one', '/srv/an-other/deep'):
            found = self.guest.run(f'cd / && {place}/bin/self-test').stdout
            self.assertIn('agent_can_be_imported=', found)
            self.assertIn('glibc 2.31', found)
            self.assertNotIn('FAILED', found)
        usage = self.guest.run('cd /opt/one/bin && ./trove-upgrade-guestagent --help').stdout
        self.assertIn('usage: trove-upgrade-guestagent', usage)

    def test_it_takes_nothing_of_the_guests_environment_and_writes_nothing(self):
        self.unpack('/opt/one')
        before = self.files()
        environment = 'PYTHONHOME=/nowhere PYTHONPATH=/nowhere PYTHONSTARTUP=/nowhere'
        found = self.guest.run(f'{environment} /opt/one/bin/self-test').stdout
        self.assertNotIn('FAILED', found)
        self.assertEqual(set(), before ^ self.files())

    def files(self):
        return set(self.guest.run('find / -xdev').stdout.splitlines())

    def test_the_agent_starts_from_it_and_waits_for_its_broker(self):
        self.unpack('/opt/one')
        self.guest.write('/etc/agent/agent.conf', CONFIGURATION.encode(), 0o600)
        before = self.files()
        done = self.guest.run(BEGIN_AGENT)
        self.assertEqual('/opt/one/python/bin/python3.11\n', done.stdout)
        self.assertEqual({'/agent.log', '/run/trove-upgrade', LOCK}, self.files() - before)
        log = self.guest.read('/agent.log')
        self.assertIn(f'of instance {INSTANCE}, datastore manager mariadb', log)
        self.assertNotIn('Traceback', log)
        self.assertNotIn('pw', log)

    def test_its_self_test_finds_what_is_not_as_it_was_packed(self):
        self.unpack('/opt/one')
        for damage, found in (
            ('echo >> /opt/one/bin/trove-upgrade-guestagent', 'guestagent is not what was packed'),
            ('touch /opt/one/python/lib/python3/dist-packages/x.py', 'x.py is not what was packed'),
            ('rm /opt/one/python/lib/python3.11/cgi.py', 'cgi.py is missing'),
        ):
            done = self.guest.run(f'{damage}; /opt/one/bin/self-test', check=False)
            self.assertEqual(1, done.returncode)
            self.assertIn('files_are_whole=FAILED', done.stdout)
            self.assertIn(found, done.stdout)

    def test_two_makings_are_the_same_bytes(self):
        first = self.bundle().sha256
        for path in bullseye_root.CACHE.glob('bundle-*.tar.xz'):
            path.unlink()
        self.assertEqual(first, self.bundle().sha256)
