# SPDX-License-Identifier: Apache-2.0
"""The agent of an old Trove as a sysv script that need not tell whether it runs: the script is a
real one, and its process a directory as in /proc.
"""

import json
import pathlib
import re
import shutil

import fixtures

from trove_upgrade.bridge import guest as bridge_guest
from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.machine import commands, service
from trove_upgrade.guestagent.machine.agent_services import PROGRAMS, AgentServices, Processes
from trove_upgrade.guestagent.machine.service import ServiceState
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.trove import old_agent
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes
from trove_upgrade.tests.unit.guestagent.trove.test_trove_agent import Substitute

NAME = 'trove-guest'
SCRIPT = r"""#!/bin/sh
case "$1" in
    start)
        echo start >> {root}/done
        mkdir -p {root}/proc/77
        printf 'python\0-u\0{program}\0--config-dir=/etc/trove\0' > {root}/proc/77/cmdline
        ;;
    stop)
        echo stop >> {root}/done
        {stop}
        ;;
    *)
        {other}
        ;;
esac
"""
#: Usage of scripts without the action ends with any code: with those of LSB, too.
USAGES = tuple(f'echo "Usage: $0 start|stop" >&2; exit {code}' for code in (0, 1, 2, 3, 4))
ENDS = 'rm -r {root}/proc/77'


#: As `start-stop-daemon --stop` without --oknodo ends where nothing runs.
ENDS_OR_FAILS = f'{ENDS} || exit 1'


class UpdateRcD:
    """The commands of this machine, and an update-rc.d for another root that disables."""

    def __init__(self, etc):
        self.etc = etc

    def run(self, argv, timeout_seconds=60):
        if argv[0] != 'update-rc.d':
            return commands.SystemCommands().run(argv, timeout_seconds)
        for link in self.etc.glob(f'rc?.d/S??{argv[1]}'):
            link.rename(link.with_name(f'K01{argv[1]}'))
        return commands.Completed(0, '', '')


class ScriptCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.guest()

    def guest(self, *, other=USAGES[1], stop=ENDS, program='/opt/trove/bin/trove-guestagent'):
        """A new guest whose agent runs."""
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        self.script = self.root / 'etc/init.d' / NAME
        self.script.parent.mkdir(parents=True)
        self.write(other=other, stop=stop, program=program)
        self.services = service.Sysv(commands.SystemCommands(), self.root)
        self.clock = fakes.Clock()
        self.services.start(NAME)
        self.done.unlink()

    def boots_start(self, name=NAME):
        """Link its script for a runlevel, and have an update-rc.d that knows to disable."""
        link = self.root / f'etc/rc2.d/S20{name}'
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(f'../init.d/{name}')
        self.services = service.Sysv(UpdateRcD(self.root / 'etc'), self.root)

    def beside(self, name='guest-agent'):
        """Another script of the same agent."""
        shutil.copy(self.script, self.script.with_name(name))
        return name

    def write(self, *, other, stop, program):
        stop, other = stop.format(root=self.root), other.format(root=self.root)
        text = SCRIPT.format(root=self.root, stop=stop, other=other, program=program)
        self.script.write_text(text)
        self.script.chmod(0o755)

    @property
    def done(self):
        return self.root / 'done'

    def agent(self, *others):
        """Our agent's life begins anew."""
        processes = Processes(
            proc=self.root / 'proc', monotonic=self.clock.monotonic, sleep=self.clock.sleep
        )
        return old_agent.OldAgent(
            Layout(self.root),
            AgentServices(self.services, processes),
            Substitute([]),
            (NAME, *others),
        )

    def assert_done(self, *actions):
        self.assertEqual(list(actions), self.done.read_text().split() if actions else [])

    def runs(self):
        return (self.root / 'proc/77').exists()


class TestWithoutStatus(ScriptCase):
    def test_one_that_runs_is_stopped_and_runs_again_afterwards(self):
        for usage in USAGES:
            with self.subTest(usage):
                self.guest(other=usage)
                self.agent().hold()
                self.assertFalse(self.runs())
                self.agent().release()
                self.assert_done('stop', 'start')

    def test_one_that_did_not_run_stays_so(self):
        for usage in USAGES:
            with self.subTest(usage):
                self.guest(other=usage, stop='rm -rf {root}/proc/77')
                self.services.stop(NAME)
                self.agent().hold()
                self.agent().release()
                self.assertFalse(self.runs())

    def test_one_whose_program_has_a_name_of_its_own_is_stopped_too(self):
        self.guest(program='/srv/agent.py')
        self.agent().hold()
        self.assert_done('stop')

    def test_one_whose_program_has_a_name_of_its_own_runs_again_afterwards(self):
        for usage in USAGES:
            with self.subTest(usage):
                self.guest(other=usage, program='/srv/agent.py')
                self.agent().hold()
                self.assertFalse(self.runs())
                self.agent().release()
                self.assert_done('stop', 'start')

    def test_a_program_of_its_own_name_that_goes_on_stops_the_upgrade(self):
        self.guest(program='/srv/agent.py', stop=':')
        error = self.assertRaises(exceptions.StepFailed, self.agent().hold)
        self.assertIn('77', error.message)

    def test_one_that_nothing_shows_runs_again_where_boots_start_it(self):
        self.boots_start()
        self.hide()
        self.agent().hold()
        self.assertEqual((False, False), (self.runs(), self.services.is_enabled(NAME)))
        self.agent().release()
        self.assertEqual((True, True), (self.runs(), self.services.is_enabled(NAME)))

    def test_one_that_nothing_shows_stays_stopped_where_no_boot_starts_it(self):
        self.hide()
        self.agent().hold()
        self.agent().release()
        self.assert_done('stop')

    def hide(self):
        """Nothing in the script leads to its process any more."""
        cmdline = self.root / 'proc/77/cmdline'
        cmdline.write_bytes(b'python\0-m\0trove.cmd.guest\0')

    def test_a_dead_one_whose_script_fails_to_stop_it_does_not_stop_the_upgrade(self):
        for program in ('/opt/trove/bin/trove-guestagent', '/srv/agent.py'):
            with self.subTest(program):
                self.guest(program=program, stop=ENDS_OR_FAILS)
                self.services.stop(NAME)
                log = self.useFixture(fixtures.FakeLogger('trove_upgrade'))
                self.agent().hold()
                self.assertIn(NAME, log.output)
                self.agent().release()
                self.assertFalse(self.runs())

    def test_of_two_scripts_of_one_agent_the_second_has_nothing_to_stop(self):
        for other in (*USAGES, 'test -d {root}/proc/77 || exit 3 # status'):
            for program in ('/opt/trove/bin/trove-guestagent', '/srv/agent.py'):
                with self.subTest(other, program=program):
                    self.guest(other=other, program=program, stop=ENDS_OR_FAILS)
                    name = self.beside()
                    self.agent(name).hold()
                    self.assertFalse(self.runs())
                    self.agent(name).release()
                    self.assertTrue(self.runs())
                    self.assertEqual(1, self.done.read_text().split().count('start'))

    def test_what_a_former_release_has_remembered_is_read(self):
        self.agent().hold()
        memory = Layout(self.root).state / 'trove-agent-services.json'
        document = json.loads(memory.read_text())
        for was in document.values():
            del was['may_run']
        memory.write_text(json.dumps(document))
        self.agent().resume()
        self.agent().release()
        self.assert_done('stop', 'start')

    def test_one_that_is_not_known_to_be_stopped_stops_the_upgrade(self):
        self.guest(program='/srv/agent.py', stop='exit 1')
        error = self.assertRaises(exceptions.StepFailed, self.agent().hold)
        self.assertEqual('SERVICE_NOT_STOPPED', error.code)

    def test_a_process_that_goes_on_stops_the_upgrade_and_is_not_started_twice(self):
        self.guest(stop=':')
        error = self.assertRaises(exceptions.StepFailed, self.agent().hold)
        self.assertEqual('SERVICE_NOT_STOPPED', error.code)
        self.assertIn('77', error.message)
        self.agent().release()
        self.assert_done('stop')

    def test_a_process_that_ends_soon_after_its_script_is_waited_for(self):
        self.guest(stop=':')
        self.clock.move = lambda seconds: self.end_process()
        self.agent().hold()
        self.assertFalse(self.runs())

    def end_process(self):
        (self.root / 'proc/77/cmdline').unlink()
        (self.root / 'proc/77').rmdir()

    def test_one_that_was_stopped_is_not_stopped_again_when_our_agent_starts_anew(self):
        self.agent().hold()
        self.agent().resume()
        self.assert_done('stop')

    def test_what_has_started_it_all_the_same_has_not_started_it_for_long(self):
        self.agent().hold()
        self.services.start(NAME)
        self.agent().resume()
        self.assertFalse(self.runs())

    def test_one_whose_script_has_gone_meanwhile_lets_our_agent_start(self):
        self.agent().hold()
        self.script.unlink()
        self.agent().resume()
        self.assert_done('stop')


class TestWithStatus(ScriptCase):
    def test_one_that_takes_a_running_agent_for_stopped_is_not_believed(self):
        self.guest(other='exit 3 # status: its pid file is lost')
        self.agent().hold()
        self.assertFalse(self.runs())
        self.agent().release()
        self.assert_done('stop', 'start')

    def test_one_that_tells_that_it_is_stopped_is_left_alone(self):
        self.guest(other='exit 3 # status')
        self.services.stop(NAME)
        self.done.unlink()
        self.agent().hold()
        self.agent().release()
        self.assertFalse(self.done.exists())

    def test_only_the_code_of_a_stopped_service_tells_that_it_is(self):
        found = {}
        for code in range(5):
            self.guest(other=f'exit {code} # status')
            found[code] = self.services.state(NAME)
        unknown = dict.fromkeys((1, 2, 4), ServiceState.UNKNOWN)
        self.assertEqual({0: ServiceState.RUNNING, 3: ServiceState.STOPPED, **unknown}, found)


class Saying:
    """systemctl that says one word."""

    def __init__(self, word):
        self.word = word

    def run(self, argv, timeout_seconds=60):
        return commands.Completed(3, f'{self.word}\n', '')


class TestNames(base.TestCase):
    def test_a_unit_that_systemd_is_about_to_start_again_counts_as_one_that_runs(self):
        found = {
            word: service.Systemd(Saying(word)).state(NAME)
            for word in ('active', 'activating', 'inactive', 'failed', 'deactivating')
        }
        runs, stopped = ServiceState.RUNNING, ServiceState.STOPPED
        self.assertEqual([runs, runs, stopped, stopped, ServiceState.UNKNOWN], [*found.values()])

    def test_the_bridge_looks_for_the_same_programs(self):
        installer = bridge_guest.read(bridge_guest.INSTALLER).decode()
        [names] = re.findall("^old_services='(.*)'$", installer, re.MULTILINE)
        self.assertEqual(PROGRAMS, set(names.split()))
