# SPDX-License-Identifier: Apache-2.0
"""A guest that a failed upgrade holds, released by hand as the page on removal has it."""

import pathlib
import re
import subprocess

import trove_upgrade
from lab.containers.recipes import BROKEN_11_8, MARIADB_11_8
from lab.services import trove
from trove_upgrade.tests.functional.trove import test_failures_long

_ADMIN = pathlib.Path(trove_upgrade.__file__).parents[1] / 'doc' / 'source' / 'admin'
#: Asks what Trove's API asks of a guest, and waits for the answer.
_CALL = """
import sys
from trove.common import cfg
CONF = cfg.CONF
cfg.parse_args(['call', '--config-file', sys.argv[1]])
from trove import rpc
from trove.common.context import TroveContext
from trove.db.sqlalchemy import session
session.configure_db()
rpc.init(CONF)
from trove.guestagent.api import API
print('answer', API(TroveContext(is_admin=True, project_id=sys.argv[3]), \
sys.argv[2]).get_volume_info())
"""


def by_hand(page):
    """Commands of the page, for the lab's name of Trove's agent."""
    found = re.search(r'((?:    +.*\n)+) +service guest-agent start', (_ADMIN / page).read_text())
    return f'{found[0]}\n'.replace('guest-agent start', 'trove-guestagent start')


class TestReleased(test_failures_long.ImageCase):
    NAMES = ('released',)

    def ask_guest(self, instance):
        settings = self.side.settings
        return subprocess.run(
            [
                settings.venv.program('python'),
                '-c',
                _CALL,
                str(self.side.conf_path),
                instance.id,
                self.instances.project_id,
            ],
            env=trove.manage_env(settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def test_troves_agent_reports_and_obeys_again(self):
        instance = self.made['released']
        self.addCleanup(self.push, MARIADB_11_8)
        self.push(BROKEN_11_8)
        upgrade = self.upgrade(instance, self.register(test_failures_long.MOVING_TAG))
        self.assertEqual('FAILED', upgrade['state'], upgrade)
        self.assertIn('UpgradeRuns', self.ask_guest(instance).stderr)
        self.assertEqual(202, self.reset_status(instance)[0])
        self.assertEqual(by_hand('remove.rst').split(), by_hand('two-agents.rst').split())

        self.guest(instance).exec(['sh', '-euc', by_hand('remove.rst')])

        self.wait_until(
            lambda: self.ask_guest(instance).stdout.startswith('answer'), "Trove's agent to answer"
        )
        self.assertEqual(
            ['answer'] * 6, [self.ask_guest(instance).stdout[:6] for _ in range(6)]
        )  # in turn with ours if that still refused
        self.wait_until(
            lambda: self.instances.show(instance.id).get('operating_status') == 'SHUTDOWN',
            'Trove to hear of it',
        )
