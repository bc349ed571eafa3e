# SPDX-License-Identifier: Apache-2.0
"""What the guest agent does to services of a real old root: Debian's own scripts and update-rc.d,
MariaDB 10.5, the agent of an old Trove.
"""

import pathlib

from lab.images import oldest
from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.datastores.mysql_family import autostart
from trove_upgrade.guestagent.machine import commands, service
from trove_upgrade.guestagent.machine.agent_services import PROGRAMS, AgentServices, Processes
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.trove import old_agent
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import old_root, test_lab_guests
from trove_upgrade.tests.functional.waiting import Waiting

AGENT = 'trove-guestagent'
LINKS = 'find /etc/rc?.d -type l -printf "%p %l\\n" | sort'


class InGuest:
    """`Commands` of the guest; a script's path is one of this host's until it is called."""

    def __init__(self, guest, root):
        self._guest, self._root = guest, str(root)

    def run(self, argv, timeout_seconds=60):
        inside = [word.removeprefix(self._root) for word in argv]
        done = self._guest.run(inside, timeout_seconds=timeout_seconds)
        return commands.Completed(done.exit_code, done.stdout.decode(), done.stderr.decode())


class Silent:
    """Nothing is sent to the old agent here."""

    def begin(self):
        pass

    def end(self):
        pass


class TestOldGuestParked(Waiting, base.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Before setUp: the base class replaces HOME, and the cache is the user's.
        cls.image = oldest.build(test_lab_guests.builder(), print).sysv

    def setUp(self):
        super().setUp()
        self.guest = self.useFixture(old_root.OldRoot(self.image.path))
        self.guest.start_database()
        self.guest.sh('update-rc.d mariadb defaults')
        self.root = pathlib.Path(f'/proc/{self.guest.pid}/root')
        self.services = service.detect(InGuest(self.guest, self.root), self.root)

    def boot_setting(self):
        """Anew each time: as after a restart of the agent."""
        memory = self.root / 'var/lib/trove-upgrade/database-autostart.json'
        return autostart.Autostart(self.services, memory)

    def agent(self):
        agents = AgentServices(self.services, Processes(proc=self.root / 'proc'))
        return old_agent.OldAgent(Layout(self.root), agents, Silent(), (AGENT,))

    def links(self):
        return self.guest.sh(LINKS)

    def test_the_old_agent_and_the_database_are_what_they_were_after_an_undo(self):
        self.guest.sh('mv /etc/rc4.d/S??mariadb /etc/rc4.d/K99mariadb')
        before = self.links()
        self.assertEqual((True, True), (self.services.status('mariadb'), self.runs()))

        self.agent().hold()
        self.boot_setting().switch_off()
        self.services.stop('mariadb')

        self.assertEqual((False, False), (self.services.status('mariadb'), self.runs()))
        self.assertEqual(
            '',
            self.guest.sh(f'ls /etc/rc[2-5].d | grep -e "^S..mariadb$" -e "^S..{AGENT}$" || true'),
        )
        self.assertEqual('mariadb', self.boot_setting().former())

        self.boot_setting().undo()
        self.services.start(self.boot_setting().former())
        self.agent().release()

        self.assertEqual((True, True), (self.services.status('mariadb'), self.runs()))
        self.assertEqual(before, self.links())

    def test_a_database_that_no_boot_started_and_an_agent_that_was_stopped_stay_so(self):
        self.guest.sh(f'update-rc.d mariadb disable; /etc/init.d/{AGENT} stop')
        before = self.links()
        self.agent().hold()
        self.boot_setting().switch_off()
        self.boot_setting().undo()
        self.agent().release()
        self.assertEqual((before, False), (self.links(), self.runs()))

    def test_an_agent_whose_script_has_no_status_is_stopped_and_runs_again_after_an_undo(self):
        script = f'/etc/init.d/{AGENT}'
        self.guest.sh(f'sed -i "s/status/state-of-it/" {script}')
        self.wait_until(self.processes, 'the old agent')
        self.assertFalse(self.services.status(AGENT))
        self.agent().hold()
        self.assertEqual([], self.processes())
        self.agent().release()
        self.wait_until(self.processes, 'the old agent')

    def test_an_agent_of_any_name_is_stopped_and_runs_again_after_an_undo(self):
        self.rename()
        self.guest.sh(f'/etc/init.d/{AGENT} start')
        self.wait_until(self.own_processes, 'the old agent')
        before = self.links()
        self.agent().hold()
        self.assertEqual([], self.own_processes())
        self.agent().release()
        self.wait_until(self.own_processes, 'the old agent')
        self.assertEqual(before, self.links())

    def test_a_dead_agent_whose_script_fails_to_stop_it_is_parked_all_the_same(self):
        self.rename()
        self.guest.sh(f'update-rc.d {AGENT} disable')
        before = self.links()
        self.assertRaises(exceptions.StepFailed, self.services.stop, AGENT)
        self.agent().hold()
        self.agent().release()
        self.assertEqual(([], before), (self.own_processes(), self.links()))

    def rename(self):
        """Stop it and give its program a name of its own; its script tells less than before."""
        script = f'/etc/init.d/{AGENT}'
        self.guest.sh(f'{script} stop; mv /usr/bin/{AGENT} /srv/agent.py')
        self.guest.sh(
            f'sed -i "s,/usr/bin/{AGENT},/srv/agent.py,; s/grep -q {AGENT}/grep -q agent.py/; '
            f's/status/state-of-it/; s/--oknodo//; /rm -f/d" {script}'
        )

    def own_processes(self):
        return Processes(proc=self.root / 'proc').named({'agent.py'})

    def runs(self):
        return self.services.status(AGENT)

    def processes(self):
        return Processes(proc=self.root / 'proc').named(PROGRAMS)
