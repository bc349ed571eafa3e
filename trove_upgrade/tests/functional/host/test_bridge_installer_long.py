# SPDX-License-Identifier: Apache-2.0
"""The installer in a real old root: what it finds, what it brings in, and that nothing is left."""

import hashlib
import io
import pathlib
import platform
import tarfile
import types

from lab.images import oldest
from trove_upgrade.bridge import guest
from trove_upgrade.bridge.guest_facts import GuestFacts
from trove_upgrade.bridge.pusher import Instance, Pusher, remove
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.upgrade.marks import Mark, Marks
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import old_root, test_lab_guests
from trove_upgrade.tests.functional.waiting import Waiting

#: In one text: the test of programs would take the last word of a list for a program.
INSPECT = tuple('sh -s -- inspect'.split())  # noqa: SIM905 - see above
STAGING = '/opt/trove-upgrade-bridge/staging'
KEY = '/etc/trove/trove-upgrade-guest.key'
SCRIPT = '/etc/init.d/trove-upgrade-guestagent-bridge'
#: An agent that runs by a program of the bundle's own, as the real one does.
AGENT = b"""#!/bin/sh
echo "$@" > /run/trove-upgrade/arguments
exec "${0%/agent}/sleep" 1000
"""
ENDS = b'#!/bin/sh\necho "of no configuration" >&2\nexit 1\n'
SELF_TEST = b'#!/bin/sh\necho whole=yes\n'


def a_bundle(sleep, *, agent=AGENT, self_test=SELF_TEST, top='runtime/', manifest=True):
    """Return the bytes of an archive in the form of a bundle; `sleep` is a program of the guest."""
    files = {
        f'{top}bin/agent': agent,
        f'{top}bin/self-test': self_test,
        f'{top}bin/sleep': sleep,
    }
    if manifest:
        files['manifest.json'] = b'{}\n'
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode='w:gz') as archive:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


class StandIn:
    """Bundle of the bridge's side."""

    manifest = types.SimpleNamespace(glibc='2.31', architecture=platform.machine())

    def __init__(self, content):
        self.content = content
        self.sha256 = hashlib.sha256(content).hexdigest()

    def for_guest(self, directory, *, has_xz):
        self.path = directory / 'stand-in.tar.gz'
        self.path.write_bytes(self.content)
        return self


class InstallerCase(Waiting, base.TestCase):
    """A guest, and a bundle that stands in for the real one."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Before setUp: the base class replaces HOME, and the cache is the user's.
        cls.images = oldest.build(test_lab_guests.builder(), print)
        cls.image = cls.images.sysv

    def setUp(self):
        super().setUp()
        self.guest = self.useFixture(old_root.OldRoot(self.image.path))
        self.use(self.a_bundle())

    def a_bundle(self, **parts):
        sleep = self.guest.read_file('/bin/sleep', limit_bytes=1 << 20, timeout_seconds=9)
        return a_bundle(sleep, **parts)

    def use(self, bundle):
        self.bundle = bundle
        self.sha256 = hashlib.sha256(bundle).hexdigest()

    def install(self, *words, code=0):
        """Run a command of the installer as the bridge does."""
        done = self.guest.run(
            ['sh', '-s', '--', *words],
            input=guest.read(guest.INSTALLER),
            timeout_seconds=old_root.SECONDS,
        )
        self.assertEqual(code, done.exit_code, done.stdout + done.stderr)
        return (done.stdout + done.stderr).decode()

    @property
    def archive(self):
        return f'{STAGING}/bundle.tar.gz'

    def upload(self):
        self.guest.write(self.archive, self.bundle, 0o600)
        self.guest.write(f'{STAGING}/agent.conf', b'[DEFAULT]\nguest_id = x\n', 0o600)
        self.guest.write(f'{STAGING}/guest.key', b'{}\n', 0o600)
        for name in guest.SERVICES:
            self.guest.write(f'{STAGING}/{name}', guest.read(name), 0o644)

    def steps(self):
        """Yield what brings the agent in, one by one."""
        yield lambda: self.install('prepare')
        yield self.upload
        yield lambda: self.install('verify', self.archive, self.sha256)
        yield lambda: self.install('unpack', self.archive, self.sha256)
        yield lambda: self.install('self-test', self.sha256)
        yield lambda: self.install('configure', self.sha256)
        yield lambda: self.install('start', '30')

    def bring_in(self):
        for step in self.steps():
            step()

    def facts(self):
        return GuestFacts.from_output(self.install('inspect'))


class TestInspect(InstallerCase):
    def test_it_finds_the_old_agent_and_the_database_and_changes_nothing(self):
        self.guest.start_database()
        before = self.guest.listing()
        facts = self.facts()
        self.assertEqual(before, self.guest.listing())
        self.assertEqual((True, 'sysv', 'update-rc.d'), (facts.is_root, facts.init, facts.boot))
        self.assertEqual(('trove-guestagent',), facts.agent_services)
        self.assertEqual(1, len(facts.agent_processes))
        self.assertEqual(
            (
                '/etc/trove/conf.d/guest_info.conf',
                '/etc/trove/conf.d/trove-guestagent.conf',
            ),
            facts.agent_files,
        )
        self.assertEqual(('mariadb',), facts.database_services)
        self.assertEqual(1, len(facts.database_processes))
        self.assertEqual(((), False), (facts.pushed, facts.our_agent_runs))
        self.assertFalse(facts.has_product)
        self.assertTrue({'tar', 'gzip', 'sha256sum', 'setsid'} <= facts.programs)
        self.assertGreater(facts.free_kb, 0)
        if self.image.facts['os'] == 'debian 11':
            self.assertEqual(((2, 31), 'debian 11'), (facts.libc, facts.distribution))

    def test_a_file_that_the_agents_command_line_names_counts_last(self):
        self.guest.write('/srv/own.conf', b'[DEFAULT]\n', 0o644)
        self.guest.sh('/etc/init.d/trove-guestagent stop')
        self.guest.sh(
            'printf "#!/bin/sh\\nsleep 1000\\n" > /usr/bin/trove-guest; '
            'chmod 755 /usr/bin/trove-guest; '
            'setsid trove-guest --config-dir=/etc/trove/conf.d --config-file /srv/own.conf '
            '> /dev/null 2>&1 &'
        )
        self.wait_until(lambda: self.facts().agent_processes, 'the other agent')
        self.assertEqual('/srv/own.conf', self.facts().agent_files[-1])
        self.assertEqual(3, len(self.facts().agent_files))

    def test_a_user_who_is_not_root_is_told(self):
        user = ('setpriv', '--reuid=1000', '--clear-groups')
        done = self.guest.run(
            [*user, *INSPECT],
            input=guest.read(guest.INSTALLER),
            timeout_seconds=old_root.SECONDS,
        )
        self.assertFalse(GuestFacts.from_output(done.stdout.decode()).is_root)


class TestInAndOut(InstallerCase):
    def test_our_agent_runs_beside_the_old_one_and_nothing_of_it_is_left(self):
        self.guest.start_database()
        before, first = self.guest.listing(), self.facts()
        self.bring_in()
        self.wait_until(lambda: self.facts().our_agent_runs, 'our agent')
        self.assertIn(
            '--config-dir /etc/trove-upgrade-bridge/conf.d',
            self.guest.sh('cat /run/trove-upgrade/arguments'),
        )
        self.assertEqual(
            '600 root\n600 root\n700 root\n',
            self.guest.sh(f'cd /etc/trove-upgrade-bridge && stat -c "%a %U" {KEY} conf.d/* .'),
        )
        self.assertIn('S', self.guest.sh('ls /etc/rc2.d | grep guestagent-bridge'))
        self.assertEqual('', self.guest.sh(f'ls {STAGING} | grep -e key -e conf || true'))
        self.assertEqual((self.sha256[:16],), self.facts().pushed)
        self.install('remove')
        self.assertEqual(before, self.guest.listing())
        self.assertIn('removed=nothing', self.install('remove'))
        self.assertEqual([], self.facts().ended_since(first))

    def test_a_second_run_of_each_command_does_no_harm(self):
        before = self.guest.listing()
        for step in self.steps():
            step()
            if step != self.upload and 'verify' not in step.__code__.co_consts:
                step()
        self.assertTrue(self.facts().our_agent_runs)
        self.install('remove')
        self.assertEqual(before, self.guest.listing())

    def test_what_was_begun_is_removed_wherever_it_ended(self):
        before = self.guest.listing()
        for count in range(1, 8):
            with self.subTest(count):
                for step in list(self.steps())[:count]:
                    step()
                self.install('remove')
                self.assertEqual(before, self.guest.listing())

    def test_directories_that_were_missing_are_missing_again(self):
        self.guest.sh('rmdir /opt; rm -rf /var/log/trove')
        before = self.guest.listing()
        self.bring_in()
        self.install('remove')
        self.assertEqual(
            [line for line in before if '/var/log/trove' not in line],
            [line for line in self.guest.listing() if '/var/log/trove' not in line],
        )

    def test_the_agent_is_started_again_when_it_ends(self):
        self.bring_in()
        first = self.guest.sh('pidof sleep | tr " " "\\n" | sort')
        self.guest.sh(
            'for one in /proc/[0-9]*; do case "$(readlink $one/exe)" in '
            '/opt/trove-upgrade-bridge/*) kill -9 "${one#/proc/}" ;; esac; done'
        )
        self.wait_until(
            lambda: (
                self.guest.sh('pidof sleep | tr " " "\\n" | sort; true') != first
                and self.facts().our_agent_runs
            ),
            'the agent',
        )

    def test_a_bundle_of_the_other_form_runs_too(self):
        self.use(self.a_bundle(top=''))
        self.bring_in()
        self.assertTrue(self.facts().our_agent_runs)


class TestPusher(InstallerCase):
    """The bridge's own side, with this guest as the shell of its session."""

    def test_it_brings_the_agent_in_and_takes_it_out_again(self):
        before = self.guest.listing()
        found, composed = self.pushed()
        self.assertEqual([], self.facts().ended_since(found))
        self.assertTrue(self.facts().our_agent_runs)
        written = self.guest.sh('cat /etc/trove-upgrade-bridge/conf.d/*.conf')
        self.assertEqual(composed.text, written)
        self.assertIn('trove:of-the-broker@127.0.0.1:5672', written)
        self.assertIn(f'guest_id = {old_root.INSTANCE}', written)
        self.pushed()
        self.assertTrue(self.facts().our_agent_runs)
        remove(self.guest)
        self.assertEqual(before, self.guest.listing())

    def pusher(self):
        return Pusher(bundle=StandIn(self.bundle), operators_text='')

    def pushed(self):
        instance = Instance(
            id=old_root.INSTANCE, project_id=old_root.PROJECT, datastore_manager='mariadb'
        )
        found, composed = self.pusher().prepare(self.guest, instance)
        self.pusher().push(self.guest, found, composed, b'{}')
        return found, composed


class TestRefusals(InstallerCase):
    def put(self, bundle):
        self.use(bundle)
        self.install('prepare')
        self.upload()

    def test_another_archive_is_not_unpacked(self):
        self.put(self.a_bundle())
        other = '0' * 64
        self.assertIn('was expected', self.install('verify', self.archive, other, code=1))
        self.install('unpack', self.archive, other, code=1)
        self.assertEqual((), self.facts().pushed)

    def test_half_an_archive_is_not_unpacked(self):
        whole = self.a_bundle()
        self.put(whole[: len(whole) // 2])
        self.install('unpack', self.archive, self.sha256, code=1)
        self.assertEqual((), self.facts().pushed)

    def test_an_archive_that_is_no_bundle_is_not_kept(self):
        self.put(self.a_bundle(manifest=False))
        self.assertIn('no whole bundle', self.install('unpack', self.archive, self.sha256, code=1))

    def test_a_failing_self_test_is_told(self):
        self.put(self.a_bundle(self_test=b'#!/bin/sh\necho library=FAILED\nexit 1\n'))
        self.install('unpack', self.archive, self.sha256)
        self.assertIn('library=FAILED', self.install('self-test', self.sha256, code=1))

    def test_a_key_that_is_there_is_never_touched(self):
        self.guest.write(KEY, b'another', 0o600)
        self.put(self.a_bundle())
        self.install('unpack', self.archive, self.sha256)
        self.assertIn('already', self.install('configure', self.sha256, code=4))
        self.install('remove')
        self.assertEqual('another', self.guest.sh(f'cat {KEY}'))

    def test_an_agent_that_cannot_start_is_told_with_its_last_words(self):
        before = self.guest.listing()
        self.use(self.a_bundle(agent=ENDS))
        for step in list(self.steps())[:-1]:
            step()
        found = self.install('start', '8', code=1)
        self.assertIn('of no configuration', found)
        self.install('remove')
        self.assertEqual(before, self.guest.listing())

    def test_a_guest_whose_old_agent_is_held_is_left_alone(self):
        self.bring_in()
        self.guest.write('/var/lib/trove-upgrade/trove-agent-held', b'', 0o600)
        self.assert_is_left_alone()

    def test_a_guest_whose_database_an_upgrade_stops_is_left_alone_without_an_old_agent_too(self):
        self.bring_in()
        marks = Marks(Layout(pathlib.Path(f'/proc/{self.guest.pid}/root')))
        for mark in (Mark.QUIESCING, Mark.QUIESCED):
            with self.subTest(mark):
                marks.set(mark, 'of-the-tenant')
                self.assert_is_left_alone()
                marks.clear(mark)
        self.assertFalse(self.facts().upgrade_holds)
        self.install('remove')

    def test_an_upgrade_that_begins_until_our_agent_is_stopped_has_its_agent_again(self):
        self.bring_in()
        begins = 'mkdir -p /var/lib/trove-upgrade/marks; : > /var/lib/trove-upgrade/marks/quiescing'
        self.guest.sh(f'sed -i \'1a [ "$1" != stop ] || {{ {begins}.json; }}\' {SCRIPT}')
        self.assert_is_left_alone()

    def assert_is_left_alone(self):
        self.assertIn('upgrade', self.install('remove', code=4))
        facts = self.facts()
        self.assertEqual((True, True), (facts.our_agent_runs, facts.upgrade_holds))
        self.assertEqual((self.sha256[:16],), facts.pushed)

    def test_wrong_words_are_told(self):
        self.assertIn('usage', self.install('nonsense', code=2))
        self.assertIn('SHA-256', self.install('self-test', '../../etc', code=2))


class TestServices(InstallerCase):
    def test_the_unit_is_one_that_this_systemd_understands(self):
        """systemd itself does not run here: the unit is checked, not started."""
        self.guest = self.useFixture(old_root.OldRoot(self.images.systemd.path))
        name = guest.SERVICES[0]
        unit = guest.read(name).replace(b'@AGENT@', b'/bin/true')
        self.guest.write(f'/etc/systemd/system/{name}', unit, 0o644)
        self.assertEqual(
            '',
            self.guest.sh(
                f'systemd-analyze verify /etc/systemd/system/{name} 2>&1 | grep bridge || true'
            ),
        )

    def test_under_systemd_the_unit_is_enabled_and_no_script_is_written(self):
        """A program stands in for systemctl: what it is asked for is seen."""
        self.guest.write(
            '/usr/local/sbin/systemctl',
            b'#!/bin/sh\necho "$@" >> /tmp/asked\n'
            b'case "$1" in start) mkdir -p /run/trove-upgrade; $(sed -n "s/^ExecStart=//p" '
            b'/etc/systemd/system/*bridge.service) > /dev/null 2>&1 & ;; cat) exit 1 ;; esac\n',
            0o755,
        )
        self.guest.sh('mkdir -p /run/systemd/system')
        before = self.guest.listing()
        self.bring_in()
        asked = self.guest.sh('cat /tmp/asked')
        for words in ('daemon-reload', 'enable trove-upgrade-guestagent-bridge.service'):
            self.assertIn(words, asked)
        self.assertEqual('missing', self.guest.sh(f'[ -e {SCRIPT} ] || printf missing'))
        self.assertEqual('systemctl', self.facts().boot)
        self.install('remove')
        asked = self.guest.sh('cat /tmp/asked')
        self.assertIn('disable trove-upgrade-guestagent-bridge.service', asked)
        self.assertEqual(before, self.guest.listing())
