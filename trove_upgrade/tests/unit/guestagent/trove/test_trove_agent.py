# SPDX-License-Identifier: Apache-2.0
"""Trove's own agent in the same guest."""

import pathlib
import subprocess
import threading
import uuid

import fixtures
import oslo_messaging
from oslo_config import cfg
from oslo_messaging import conffixture

import trove_upgrade
from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.machine import commands
from trove_upgrade.guestagent.machine.agent_services import AgentServices, Processes
from trove_upgrade.guestagent.machine.boot_links import BootLinks
from trove_upgrade.guestagent.machine.service import ServiceState
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.trove import refuser, refusing_server, trove_agent
from trove_upgrade.rpc import transport
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes

MAY_START = (
    pathlib.Path(trove_upgrade.__file__).parent.parent
    / 'etc/trove-upgrade/guest/lib/trove-agent-may-start'
)


class Services:
    """Services that note what is done with them, and in which order."""

    def __init__(self, events, names=('guest-agent',)):
        self.events = events
        self.running = set(names)
        self.names = set(names)
        self.enabled = set(names)
        self.stubborn = False

    def exists(self, name):
        return name in self.names

    def status(self, name):
        return name in self.running

    def state(self, name):
        return ServiceState.RUNNING if self.status(name) else ServiceState.STOPPED

    def script(self, name):
        return ''

    def is_enabled(self, name):
        return name in self.enabled

    def disable(self, name):
        self.events.append(f'disable {name}')
        self.enabled.discard(name)

    def boot_links(self, name):
        return BootLinks({f'rc2.d/S01{name}': 'on'} if name in self.enabled else {})

    def put_boot_links(self, name, links):
        self.events.append(f'put back {name}')
        (self.enabled.add if links.targets else self.enabled.discard)(name)

    def stop(self, name):
        if self.stubborn:
            raise exceptions.StepFailed('It does not stop.', 'SERVICE_NOT_STOPPED')
        self.events.append(f'stop {name}')
        self.running.discard(name)

    def start(self, name):
        if self.stubborn:
            raise exceptions.StepFailed('It does not start.', 'SERVICE_NOT_STARTED')
        self.events.append(f'start {name}')
        self.running.add(name)


class Substitute:
    def __init__(self, events):
        self.events = events

    def begin(self):
        self.events.append('refuse')

    def end(self):
        self.events.append('refuse no more')


class Reporter:
    def __init__(self, events):
        self.events = events

    def report(self):
        self.events.append('report')


class GuestTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        self.layout = Layout(self.root)
        self.events = []
        self.services = Services(self.events)
        self.agent = trove_agent.TroveAgent(
            self.layout,
            AgentServices(self.services, Processes(proc=self.root / 'proc')),
            Substitute(self.events),
            Reporter(self.events),
        )

    def install_may_start(self):
        """As an image of ours has it; the service of Trove's agent asks it."""
        program = self.root / 'usr/lib/trove-upgrade/trove-agent-may-start'
        program.parent.mkdir(parents=True)
        program.symlink_to(MAY_START)

    def boot_by_upgrade(self):
        self.layout.marker.parent.mkdir(parents=True, exist_ok=True)
        self.layout.marker.write_text('[trove_upgrade]\nupgrade_marker = u:1\n')

    def may_start(self):
        done = subprocess.run(
            [MAY_START],
            capture_output=True,
            text=True,
            env={
                'PATH': f'{self.root}/stub:/usr/sbin:/usr/bin:/sbin:/bin',
                'TROVE_UPGRADE_ROOT': str(self.root),
            },
        )
        self.status = done.returncode
        return done.returncode == 0


class TroveAgentTest(GuestTestCase):
    def setUp(self):
        super().setUp()
        self.install_may_start()

    def test_muted_it_is_stopped_before_anything_is_refused_in_its_name(self):
        self.agent.hold()
        self.assertEqual(['stop guest-agent', 'refuse'], self.events)

    def test_unmuted_it_has_its_marks_back_is_alone_on_its_topic_and_then_reports(self):
        self.agent.hold()
        self.events.clear()
        self.agent.release()
        self.assertEqual(['refuse no more', 'start guest-agent', 'report'], self.events)
        self.assertTrue(all(path.exists() for path in self.agent.marker_files()))

    def test_one_that_cannot_be_stopped_stops_the_upgrade(self):
        self.services.stubborn = True
        self.assertRaises(exceptions.StepFailed, self.agent.hold)

    def test_one_that_does_not_start_again_takes_no_database_from_its_clients(self):
        self.agent.hold()
        self.services.stubborn = True
        self.agent.release()
        self.assertFalse(self.agent.is_held())

    def test_both_can_be_repeated(self):
        for change in (self.agent.hold, self.agent.hold, self.agent.release, self.agent.release):
            change()
        self.assertEqual(1, self.events.count('stop guest-agent'))
        self.assertEqual(1, self.events.count('start guest-agent'))

    def test_where_it_is_not_installed_nothing_is_left_behind(self):
        self.services.names.clear()
        before = sorted(self.root.rglob('*'))
        self.agent.hold()
        self.agent.release()
        self.agent.resume()
        self.assertEqual(([], before), (self.events, sorted(self.root.rglob('*'))))

    def test_after_a_boot_calls_are_refused_only_while_it_is_held_back(self):
        self.agent.resume()
        self.assertEqual([], self.events)
        self.boot_by_upgrade()
        self.agent.resume()
        self.assertEqual(['refuse'], self.events)
        self.agent.release()
        self.events.clear()
        self.agent.resume()
        self.assertEqual([], self.events)


class BridgedGuestTest(GuestTestCase):
    """A guest of an image without us: the service of Trove's agent asks nothing at its start."""

    def reboot(self):
        self.services.running = set(self.services.enabled)
        self.events.clear()
        self.agent.resume()

    def test_held_back_it_is_started_at_no_boot_and_refused_after_one(self):
        self.agent.hold()
        self.assertEqual(['disable guest-agent', 'stop guest-agent', 'refuse'], self.events)
        self.reboot()
        self.assertEqual((set(), ['refuse']), (self.services.running, self.events))

    def test_what_starts_it_all_the_same_has_not_started_it_for_long(self):
        self.agent.hold()
        self.services.enabled.add('guest-agent')
        self.reboot()
        self.assertEqual((set(), set()), (self.services.running, self.services.enabled))

    def test_an_undo_puts_back_what_starts_it_at_boot_and_starts_it(self):
        self.agent.hold()
        self.reboot()
        self.agent.release()
        self.assertEqual(
            ({'guest-agent'}, {'guest-agent'}), (self.services.running, self.services.enabled)
        )
        self.reboot()
        self.assertEqual(({'guest-agent'}, []), (self.services.running, self.events))

    def test_one_that_was_not_started_at_boot_is_not_afterwards_either(self):
        self.services.enabled.clear()
        self.agent.hold()
        self.agent.release()
        self.assertEqual(set(), self.services.enabled)

    def test_one_that_cannot_be_stopped_after_a_boot_is_refused_all_the_same(self):
        self.agent.hold()
        self.services.running.add('guest-agent')
        self.services.stubborn = True
        self.events.clear()
        with self.assertLogs('trove_upgrade.guestagent.trove.trove_agent', 'ERROR'):
            self.agent.resume()
        self.assertEqual(['refuse'], self.events)


class MayStartTest(GuestTestCase):
    """The same rule, as the service of Trove's agent asks for it."""

    def assert_agreed(self, held):
        self.assertEqual((held, not held), (self.agent.is_held(), self.may_start()))

    def test_a_guest_that_no_upgrade_has_touched_is_as_without_us(self):
        self.assert_agreed(held=False)

    def test_it_waits_over_a_reboot_while_the_old_root_disk_is_quiesced_and_goes_on_after_an_undo(
        self,
    ):
        self.agent.hold()
        self.assert_agreed(held=True)
        self.agent.release()
        self.assert_agreed(held=False)

    def test_on_a_root_disk_that_an_upgrade_has_booted_it_waits_for_the_end_of_the_restore(self):
        self.boot_by_upgrade()
        self.assert_agreed(held=True)
        self.agent.release()
        self.assert_agreed(held=False)

    def test_other_options_beside_a_missing_marker_hold_nothing_back(self):
        self.boot_by_upgrade()
        self.layout.marker.write_text(
            '[trove_upgrade]\nguest_topic_prefix = trove-upgrade-guest.\n'
        )
        self.assert_agreed(held=False)

    def plug(self, *addresses):
        stub = self.root / 'stub' / 'ip'
        stub.parent.mkdir(exist_ok=True)
        links = [
            '1: lo: <UP> mtu 1 link/loopback 00:00:00:00:00:00',
            '9: docker0: <UP> mtu 1 link/ether 02:42:00:00:00:01 brd',
        ]
        links += [
            f'{number}: eth{number}@if7: <UP> mtu 1 link/ether {address} brd ff'
            for number, address in enumerate(addresses)
        ]
        stub.write_text('#!/bin/sh\ncat << E\n{}\nE\n'.format('\n'.join(links)))
        stub.chmod(0o755)

    def test_it_is_not_started_to_shut_down_the_only_nic_of_the_server(self):
        self.boot_by_upgrade()
        self.agent.release()
        (self.root / 'etc/trove/eth1.json').write_text(
            '{"mac_address": "FA:16:3E:00:00:01", "ipv4_address": "10.0.0.5"}'
        )
        (self.layout.marker.parent / 'guest_info.conf').write_text(
            '[DEFAULT]\nnetwork_isolation=True\n'
        )
        self.plug('fa:16:3e:00:00:01')
        self.assertFalse(self.may_start())
        self.plug('fa:16:3e:00:00:01', 'fa:16:3e:00:00:02')
        self.assertTrue(self.may_start())
        self.plug('fa:16:3e:00:00:01')
        (self.layout.marker.parent / 'guest_info.conf').write_text(
            '[DEFAULT]\nnetwork_isolation=False\n'
        )
        self.assertTrue(self.may_start())

    def stub(self, **programs):
        stub = self.root / 'stub'
        stub.mkdir(exist_ok=True)
        for name, body in programs.items():
            (stub / name).write_text(f'#!/bin/sh\n{body}\n')
            (stub / name).chmod(0o755)

    def configure(self, device_path):
        """As Trove writes it and an operator's image has it: the last file that names the option
        wins.
        """
        self.layout.marker.parent.mkdir(parents=True, exist_ok=True)
        (self.layout.marker.parent / 'guest_info.conf').write_text(
            '[DEFAULT]\nguest_id = 1\ndatastore_manager = mariadb\n'
        )
        (self.layout.marker.parent / 'trove-guestagent.conf').write_text(
            '[DEFAULT]\n[mysql]\ndevice_path = /dev/other\n[mariadb]\ntcp_ports = '
            f'3306\ndevice_path = "{device_path}"\n[x]\ndevice_path=/dev/x\n'
        )

    def rebuilt_by_somebody_else(self, owner='0', device='vdb', mount_options='', kind='ext4'):
        """A root disk that no upgrade has booted, and a volume with marks in it that is not mounted
        yet.

        :param mount_options: those that the kernel knows for this file system beside the usual;
            others are refused as it does it.
        """
        kept = self.root / 'volume' / '.trove-upgrade'
        kept.mkdir(parents=True)
        (self.root / 'dev').mkdir()
        (self.root / 'dev' / device).touch()
        usual = f'ro nodev nosuid noexec {mount_options}'
        known = (
            f'for one in $(echo "$2" | tr , " "); do case " {usual} " in *" $one "*) ;; *) '
            'exit 32; esac; done'
        )
        self.stub(
            mountpoint='exit 1',
            umount='rm -r "$1/.trove-upgrade"',
            blkid=f'echo {kind}',
            findmnt='exit 1',
            sleep='exit 0',
            mount=f'{known}; for last; do :; done; cp -r {kept} "$last/"',
            stat=f'[ "$2" = %u ] && echo {owner} || echo {owner} 700',
        )
        return kept

    def test_the_volume_is_looked_at_whatever_its_file_system_and_its_device(self):
        kept = self.rebuilt_by_somebody_else(device='sdc', kind='xfs')
        self.configure('/dev/sdc')
        self.assertTrue(self.may_start())
        (kept / 'mark-server_started_on_data.json').write_text('{"upgrade_id": "u1"}')
        self.assertFalse(self.may_start())

    def test_a_volume_that_cannot_be_looked_at_is_not_one_without_a_mark(self):
        self.rebuilt_by_somebody_else()
        self.stub(mount='exit 32')
        self.assertFalse(self.may_start())
        self.stub(blkid='exit 8')
        self.assertFalse(self.may_start())

    def test_who_knows_better_lets_it_start_on_one_that_cannot_be_looked_at(self):
        self.rebuilt_by_somebody_else()
        self.stub(mount='exit 32')
        self.layout.state.mkdir(parents=True)
        (self.layout.state / 'trove-agent-released').touch()
        self.assertTrue(self.may_start())

    def test_a_volume_without_a_file_system_is_a_new_instances(self):
        self.rebuilt_by_somebody_else()
        self.stub(blkid='exit 2', mount='exit 32')
        self.assertTrue(self.may_start())

    def test_one_that_is_mounted_somewhere_else_is_looked_at_there(self):
        kept = self.rebuilt_by_somebody_else()
        self.stub(findmnt=f'echo {kept.parent}', mount='exit 32')
        self.assertTrue(self.may_start())
        (kept / 'mark-server_started_on_data.json').write_text('{"upgrade_id": "u1"}')
        self.assertFalse(self.may_start())

    def test_without_its_device_it_is_asked_again(self):
        self.rebuilt_by_somebody_else()
        self.configure('/dev/late')
        self.assertFalse(self.may_start())
        self.assertEqual(255, self.status)
        self.stub(sleep=f'touch {self.root}/dev/late')
        self.assertTrue(self.may_start())

    def test_a_root_disk_of_somebody_elses_rebuild_starts_no_former_server_on_data_that_the_new_one_has_begun_to_change(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        kept = self.rebuilt_by_somebody_else()
        self.assertTrue(self.may_start())
        (kept / 'mark-server_started_on_data.json').write_text('{"upgrade_id": "u1"}')
        self.assertFalse(self.may_start())
        (kept / 'mark-opened.json').write_text('{"upgrade_id": "u0"}')
        self.assertFalse(self.may_start())
        (kept / 'mark-opened.json').write_text('{"upgrade_id": "u1", "opened_at": "1"}')
        self.assertTrue(self.may_start())

    def test_a_root_disk_for_an_older_server_than_clients_were_let_in_by_is_held_back(self):
        kept = self.rebuilt_by_somebody_else()
        (kept / 'mark-server_started_on_data.json').write_text('{"upgrade_id": "u1"}')
        (kept / 'mark-opened.json').write_text(
            '{"opened_at": "1", "server_version": "11.8.6-MariaDB-log", "upgrade_id": "u1"}'
        )
        self.layout.marker.parent.mkdir(parents=True, exist_ok=True)
        for version, may in (
            ('10.11.18', False),
            ('11.8.6', True),
            ('11.8', True),
            ('11.10.1', True),
            ('9.7.0', False),
            ('latest', True),
        ):
            (self.layout.marker.parent / 'guest_info.conf').write_text(
                f'[DEFAULT]\ndatastore_manager=mariadb\ndatastore_version={version}\n'
            )
            self.assertEqual((version, may), (version, self.may_start()))

    def test_a_mark_that_the_databases_user_can_have_made_holds_nothing_back(self):
        kept = self.rebuilt_by_somebody_else(owner='1001')
        (kept / 'mark-server_started_on_data.json').write_text('{"upgrade_id": "u1"}')
        self.assertTrue(self.may_start())

    def test_a_second_upgrade_holds_it_back_again(self):
        self.boot_by_upgrade()
        self.agent.release()
        self.agent.hold()
        self.assert_agreed(held=True)


class StandInTest(base.TestCase):
    """On oslo.messaging's own transport in memory."""

    def setUp(self):
        super().setUp()
        self.conf = cfg.ConfigOpts()
        self.conf([], project='trove-upgrade')
        self.useFixture(conffixture.ConfFixture(self.conf)).transport_url = 'fake://'
        self.instance = str(uuid.uuid4())
        self.transport = transport.get_answering_transport(self.conf)

    def server(self):
        return refuser.server(self.conf, 'guestagent.', self.instance)

    def client(self):
        target = oslo_messaging.Target(topic=f'guestagent.{self.instance}', version='1.0')
        return oslo_messaging.get_rpc_client(self.transport, target, timeout=10)

    def test_calls_for_troves_agent_are_refused_at_once_whatever_they_are(self):
        refusing = refusing_server.RefusingServer(self.server)
        refusing.begin()
        self.addCleanup(refusing.end)
        for method in ('stop_db', 'rebuild', 'rpc_ping'):
            error = self.assertRaises(
                refuser.UpgradeRuns, self.client().call, {}, method, ds_version='11.8'
            )
            self.assertIn('an upgrade has the database of this guest in hand', str(error))

    def test_ended_it_takes_nothing_any_more_and_can_be_ended_again(self):
        refusing = refusing_server.RefusingServer(self.server)
        refusing.begin()
        refusing.begin()
        refusing.end()
        refusing.end()
        self.assertRaises(
            oslo_messaging.MessagingTimeout, self.client().prepare(timeout=0.2).call, {}, 'restart'
        )

    def test_without_a_broker_its_end_does_not_keep_the_database_waiting(self):
        connected = threading.Event()
        self.addCleanup(connected.set)
        server = FakeServer(connected)
        refusing = refusing_server.RefusingServer(lambda: server, end_seconds=0.05)
        refusing.begin()
        refusing.end()
        self.assertFalse(server.stopped.is_set())
        connected.set()
        self.assertTrue(server.stopped.wait(10))


class FakeServer:
    """One whose broker comes late."""

    def __init__(self, connected):
        self.connected = connected
        self.stopped = threading.Event()

    def start(self):
        self.connected.wait(30)

    def stop(self):
        self.stopped.set()

    def wait(self):
        pass


class Commands:
    def __init__(self):
        self.ran = []
        self.done = threading.Event()

    def run(self, argv, timeout_seconds=60):
        self.ran.append(list(argv))
        self.done.set()
        return commands.Completed(1, '', 'no broker')


class ReporterTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.program = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'trove-guestagent'
        self.commands = Commands()
        self.reporter = trove_agent.ProgramReporter(
            self.commands, self.program, pathlib.Path('/etc/trove/conf.d'), pathlib.Path('/script')
        )

    def test_the_interpreter_of_troves_agent_says_it(self):
        self.program.write_text('#!/opt/venv/bin/python3 -s\nimport trove\n')
        self.reporter.report()
        self.assertTrue(self.commands.done.wait(10))
        self.assertEqual(
            [['/opt/venv/bin/python3', '-s', '/script', '--config-dir=/etc/trove/conf.d']],
            self.commands.ran,
        )

    def test_without_it_or_with_something_else_there_nobody_says_it_sooner(self):
        self.reporter._run()
        self.program.write_text('#!/bin/sh\n')
        self.reporter._run()
        self.assertEqual([], self.commands.ran)
