# SPDX-License-Identifier: Apache-2.0
"""The plugin in the real openstack command, of the newest release and of one a year older."""

import os
import pathlib
import pty
import signal
import subprocess

import jsonschema

from trove_upgrade.tests.functional.host.openstack_client import (
    COMMAND_SECONDS,
    YEAR_OLDER,
    OpenStackClientCase,
)
from troveupgradeclient.tests import schemas, transcripts
from troveupgradeclient.tests.standin import world
from troveupgradeclient.tests.standin.application import Release

_QUICK = ('--interval', '0.05')
_WATCH = ('openstack', 'database', 'upgrade', 'watch')
_START = ('openstack', 'database', 'upgrade', 'start', 'orders', '11.8.6')
_CLOUDS = """
clouds:
  mine:
    auth: {{auth_url: {base}/v3, username: demo, password: p, project_name: demo,
            user_domain_id: default, project_domain_id: default}}
    region_name: RegionOne
    database_endpoint_override: {base}/v1.0/%(project_id)s
"""


class TestNewest(OpenStackClientCase):
    def json_of(self, *words):
        ended = self.run_command(*words, '-f', 'json')
        self.assertEqual(0, ended.status, ended.err)
        jsonschema.validate(ended.json, schemas.of_command(words))
        return ended.json

    def test_each_command_prints_json_of_its_form(self):
        check = self.json_of('check', 'orders', '11.8.6', *_QUICK)
        self.json_of('check', 'show', 'orders', check['id'])
        self.json_of('targets', 'orders')
        self.json_of('targets', 'orders', '--long')
        self.json_of('start', 'orders', '11.8.6', '--hold', '--wait', *_QUICK)
        self.json_of('action', 'list', 'orders')
        self.json_of('proceed', 'orders', '--wait', *_QUICK)
        self.json_of('show', 'orders')
        self.json_of('start', 'orders', '11.8.6')
        self.json_of('abort', 'orders', '--wait', *_QUICK)
        self.json_of('start', 'orders', '11.8.6')
        self.json_of('watch', 'orders', *_QUICK)
        for action in ('retry', 'rollback'):
            self.world.add_upgrade(**world.failed())
            self.json_of(action, 'orders', '--wait', *_QUICK)
        self.assertLess(3, len(self.json_of('list')))
        self.json_of('list', '--long', '--limit', '2')
        self.world.drift = {'p': [world.ORDERS]}
        self.json_of('drift')
        self.json_of('drift', '--project', 'p')

    def test_the_users_guide_shows_what_the_command_prints(self):
        shown = transcripts.PAGE.read_text()
        self.assertEqual(shown, transcripts.Transcriber(self).page(shown))

    def test_each_command_has_a_help_and_is_completed(self):
        self.assert_described(self.environment)

    def test_the_trove_clients_commands_stay_as_they_are(self):
        listed = self.openstack('datastore', 'list', '-f', 'json', OS_DATABASE_API_VERSION='1')
        self.assertEqual((0, ''), (listed.status, listed.err))
        self.assertEqual('mariadb', listed.json[0]['Name'])
        self.assertIn('database instance upgrade', self.openstack('--help').out)

    def test_a_cloud_of_clouds_yaml_is_found_with_its_endpoint(self):
        path = pathlib.Path(self.environment['HOME'], 'clouds.yaml')
        path.write_text(_CLOUDS.format(base=self.standin.base))
        for name in [name for name in self.environment if name.startswith('OS_')]:
            del self.environment[name]
        self.world.add_upgrade()
        ended = self.openstack(
            *('--os-cloud', 'mine', 'database', 'upgrade', 'list', '-f', 'json'),
            OS_CLIENT_CONFIG_FILE=str(path),
        )
        self.assertEqual((0, ''), (ended.status, ended.err))
        self.assertEqual('orders', ended.json[0]['Instance Name'])

    def test_a_trove_without_the_service_is_told_in_one_sentence(self):
        self.standin.application.release = Release.NONE
        ended = self.run_command('start', 'orders', '11.8.6')
        self.assertEqual((1, ''), (ended.status, ended.out))
        [line] = ended.err.strip().splitlines()
        self.assertTrue(line.endswith('(UPGRADE_API_MISSING)'), line)

    def test_a_login_that_fails_before_the_command_has_the_words_that_the_page_promises(self):
        page = ' '.join((transcripts.PAGES / 'reference' / 'client.rst').read_text().split())
        for address, told in (
            ('', 'Missing value auth-url required for auth plugin password'),
            ('http://127.0.0.1:1/v3', 'Unable to establish connection to'),
        ):
            ended = self.openstack('database', 'upgrade', 'list', OS_AUTH_URL=address)
            self.assertEqual((1, ''), (ended.status, ended.out))
            line = ended.err.splitlines()[-1]
            self.assertTrue(line.startswith(told), line)
            self.assertNotRegex(line, r'\([A-Z_]+\)$')
            self.assertIn(f'``{told}``', page)

    def test_ctrl_c_before_the_answer_to_a_start_tells_how_to_look(self):
        with subprocess.Popen(
            ('env', '--default-signal=INT', *_START, '--wait'),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            original = self.standin.application.answer

            def answer(environ, body):
                answered = original(environ, body)
                if environ['REQUEST_METHOD'] == 'POST' and self.world.upgrades:
                    process.send_signal(signal.SIGINT)
                    process.wait(COMMAND_SECONDS)  # no answer before the command has ended
                return answered

            self.standin.application.answer = answer
            out, err = process.communicate(timeout=COMMAND_SECONDS)
        self.assertEqual((130, b''), (process.returncode, out), err)
        [line] = err.decode().splitlines()
        self.assertTrue(line.startswith('The upgrade may have begun.'), line)
        [upgrade] = self.world.upgrades
        shown = self.json_of(*line.split()[-2:])
        self.assertEqual(upgrade, shown['id'])

    def test_ctrl_c_on_a_terminal_leaves_the_upgrade_running_and_prints_how_to_follow_it(self):
        upgrade = self.world.add_upgrade()['id']
        self.world.script[upgrade] = [world.running('boot', left=9.0)] * 10_000
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        with subprocess.Popen(
            # a run in the background has SIGINT ignored, and so would what it starts
            ('env', '--default-signal=INT', *_WATCH, upgrade, '--timeout', '60', *_QUICK),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            shown = b''
            while shown.count(b'\r\x1b[K') < 2:  # drawn anew
                shown += os.read(ours, 1000)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=COMMAND_SECONDS)
        self.assertIn(b'boot (step 4 of 6), about 9 s left', shown)
        self.assertEqual(130, process.returncode)
        self.assertIn(b'| RUNNING', out)
        self.assertIn(f'watch {upgrade}'.encode(), _rest(ours))
        self.assertEqual('RUNNING', self.world.upgrades[upgrade]['state'])


class TestYearOlder(TestNewest):
    pins = YEAR_OLDER


def _rest(terminal):
    """All that is left to read of a terminal whose other end is closed."""
    found = b''
    try:
        while part := os.read(terminal, 1000):
            found += part
    except OSError:  # EIO: Linux's end of file of a terminal
        pass
    return found
