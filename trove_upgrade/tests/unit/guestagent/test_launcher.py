# SPDX-License-Identifier: Apache-2.0
"""Units and scripts that start the guest agent and the taskmanager.

With the same arguments, and a log of their own.
"""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys

import fixtures

import trove_upgrade
from trove_upgrade.tests.unit import base

_ETC = pathlib.Path(trove_upgrade.__file__).parents[1] / 'etc' / 'trove-upgrade'
_AGENT = """#!/bin/sh
echo "$$ $*" >> {seen}
exec sleep 1000
"""


def exec_start(unit):
    """The command of a unit, its lines joined."""
    return shlex.split(
        re.search(r'^ExecStart=(.*)$', unit.read_text().replace('\\\n', ' '), re.MULTILINE).group(1)
    )


class TestGuestAgent(base.TestCase):
    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.seen, agent, self.launcher = (
            folder / 'seen',
            folder / 'agent',
            folder / 'guestagent-run',
        )
        os.mkfifo(self.seen)
        agent.write_text(_AGENT.format(seen=self.seen))
        agent.chmod(0o755)
        text = (_ETC / 'guest/lib/guestagent-run').read_text()
        text = text.replace(
            '/opt/trove-upgrade/venv/bin/trove-upgrade-guestagent', str(agent)
        ).replace('/var/log/trove', str(folder / 'log'))
        self.launcher.write_text(text)
        self.launcher.chmod(0o755)

    def launch(self, *arguments):
        """(the launcher, the agent's pid, its arguments)."""
        process = subprocess.Popen([str(self.launcher), *arguments])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        pid, *given = self.seen.read_text().split()
        self.addCleanup(self.kill, int(pid))
        return process, int(pid), given

    def kill(self, pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            self.assertFalse(pathlib.Path(f'/proc/{pid}').exists())

    def test_systemd_gets_the_agent_itself_and_sysv_the_same_arguments(self):
        program, *arguments = exec_start(_ETC / 'guest/systemd/trove-upgrade-guestagent.service')
        self.assertEqual('/usr/lib/trove-upgrade/guestagent-run', program)
        by_systemd, pid, given = self.launch(*arguments)
        self.assertEqual(by_systemd.pid, pid)
        by_sysv, pid, given_by_sysv = self.launch()
        self.assertNotEqual(by_sysv.pid, pid)
        self.assertEqual(given, given_by_sysv)
        by_sysv.terminate()
        self.assertEqual(0, by_sysv.wait(30))

    def test_the_log_is_its_own_whatever_the_configuration_says_of_troves(self):
        _, _, given = self.launch('--exec')
        self.assertEqual([given[-1]], log_files(self, given[2:]))

    def test_its_directory_is_made(self):
        _, _, given = self.launch('--exec')
        self.assertTrue(pathlib.Path(given[-1]).parent.is_dir())


class TestTaskmanager(base.TestCase):
    def test_the_log_is_its_own_whatever_the_configuration_says_of_troves(self):
        _program, *arguments = exec_start(_ETC / 'systemd/trove-upgrade-taskmanager.service')
        own = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'own.log'
        self.assertEqual('/var/log/trove-upgrade/trove-upgrade-taskmanager.log', arguments[-1])
        self.assertEqual([str(own)], log_files(self, [*arguments[2:-1], str(own)]))


#: As a guest of Trove has it, and a file of loggers besides.
_TROVES = """[DEFAULT]
log_dir = {folder}
log_file = trove-guestagent.log
log_config_append = {folder}/logging.conf
"""


def log_files(test, arguments):
    """Files that a program with Trove's configuration and these arguments writes its log to."""
    folder = pathlib.Path(test.useFixture(fixtures.TempDir()).path)
    (folder / 'trove.conf').write_text(_TROVES.format(folder=folder))
    program = (
        'import logging, sys; from oslo_config import cfg; from oslo_log import log\n'
        'conf = cfg.ConfigOpts(); log.register_options(conf)\n'
        'conf(sys.argv[1:]); log.setup(conf, "x")\n'
        'found = [getattr(one, "baseFilename", None) for one in logging.getLogger().handlers]\n'
        'print(*filter(None, found), sep="\\n")'
    )
    done = subprocess.run(
        [sys.executable, '-c', program, '--config-file', str(folder / 'trove.conf'), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.split()
