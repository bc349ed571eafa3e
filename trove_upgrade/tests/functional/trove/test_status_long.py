# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-status upgrade check` in real Trove's own environment: a right installation, and
each of several wrong ones.
"""

import concurrent.futures
import configparser
import json
import pathlib
import subprocess
import tempfile

from lab.cloud import Cloud
from lab.layout import Layout
from lab.product import Product
from lab.services import trove, trove_conf, trove_deployment
from lab.supervisor import Supervisor
from lab.trove import schema, stage
from lab.trove.side import TroveSide
from trove_upgrade.tests import base

PORT = 18782
DATABASE = 'trove_status'
TASKMANAGER = 'trove-upgrade-status-taskmanager'
#: Not that of the taskmanager which works for other tests on this cloud.
TOPIC = 'trove-upgrade-status'
_SECONDS = 120
_SUCCESS, _WARNING, _FAILURE = 0, 1, 2
_PROGRAM = 'import sys; from trove_upgrade.cmd import status; sys.exit(status.main())'


class TroveStatusTest(base.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        layout = Layout.from_environ()
        cls.cloud = Cloud(layout)
        cls.cloud.create_database(DATABASE)
        cls.before = trove_deployment.load(cls.cloud.settings())
        cls.side = TroveSide.of(cls.cloud)
        cls.side.stop()
        cls.addClassCleanup(cls.as_before)
        guests = str(trove_conf.guest_config_file(cls.side.settings))
        options = {**stage.BESIDE_TROVE, 'taskmanager_topic': TOPIC, 'guest_config_file': guests}
        cls.side.configure(
            server='uwsgi',
            with_filter=True,
            database=DATABASE,
            port=PORT,
            processes=1,
            options=options,
            guest_options={**stage.GUEST_OPTIONS, 'taskmanager_topic': TOPIC},
        )
        schema.ensure(cls.side.settings, DATABASE)
        cls.supervisor = Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir)
        cls.product = Product(
            layout, cls.cloud.handle(), cls.supervisor, config_file=cls.side.conf_path
        )
        cls.product.manage('db', 'sync')
        cls.start_taskmanager()
        cls.addClassCleanup(cls.product.stop, TASKMANAGER)
        cls.side.api.start()  # of Trove's three services the only one that has us in it

    @classmethod
    def start_taskmanager(cls):
        cls.product.start_taskmanager(TASKMANAGER)
        cls.supervisor.wait_ready(
            TASKMANAGER, lambda: trove.consumes(cls.side.settings, TOPIC), _SECONDS
        )

    @classmethod
    def as_before(cls):
        cls.side.remove()
        if cls.before is not None:
            cls.before.save(cls.cloud.settings())
            cls.side.start()

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def installation(self, name, *, paste=None, **sections):
        """A copy of trove.conf with other values, and perhaps another paste file."""
        folder = self.folder / name
        folder.mkdir()
        conf = configparser.RawConfigParser()
        conf.read(self.side.conf_path)
        for section, options in sections.items():
            if not conf.has_section(section) and section != 'DEFAULT':
                conf.add_section(section)
            for key, value in options.items():
                conf.set(section, key, str(value))
        if paste is not None:
            (folder / 'api-paste.ini').write_text(paste)
            conf.set('DEFAULT', 'api_paste_config', str(folder / 'api-paste.ini'))
        with (folder / 'trove.conf').open('w') as file:
            conf.write(file)
        return folder / 'trove.conf'

    def status(self, conf):
        """The exit code, and by check its code and what it said."""
        settings = self.side.settings
        done = subprocess.run(
            [
                settings.venv.program('python'),
                '-c',
                _PROGRAM,
                '--config-file',
                str(conf),
                'upgrade',
                'check',
                '--json',
            ],
            env=trove.manage_env(settings),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        self.assertIn(done.returncode, (_SUCCESS, _WARNING, _FAILURE), done.stdout + done.stderr)
        checks = json.loads(done.stdout.splitlines()[-1])['checks']
        return done.returncode, {
            one['check']: (one['result'], one['details'] or '') for one in checks
        }

    def assert_wrong(self, found, code, name, *said):
        """Just this check says so."""
        ended, checks = found
        wrong = {check: result for check, result in checks.items() if result[0] != _SUCCESS}
        self.assertEqual((code, {name}), (ended, set(wrong)), wrong)
        self.assertEqual([], [words for words in said if words not in wrong[name][1]], wrong)

    def test_a_right_installation_is_right_in_every_check(self):
        ended, checks = self.status(self.side.conf_path)
        self.assertEqual(
            {}, {name: found for name, found in checks.items() if found[0] != _SUCCESS}
        )
        self.assertEqual(_SUCCESS, ended)
        self.assertIn('for running beside Trove', checks['Way to run'][1])
        self.assertIn('Trove 26.', checks['Release of Trove'][1])
        self.assertIn('microversion 2.93', checks['Nova'][1])

    def test_each_wrong_installation_is_told_apart(self):
        paste = self.side.paste_path.read_text()
        demo = self.cloud.handle().users['demo']
        filtered, stock = f'{trove_conf.FILTER} extensions troveapp', 'extensions troveapp'
        cases = (
            (
                'without',
                {'paste': paste.replace(filtered, stock)},
                _FAILURE,
                "Filter in Trove's pipeline",
                'is without it',
            ),
            (
                'in-front',
                {
                    'paste': paste.replace(filtered, stock).replace(
                        '= cors', f'= {trove_conf.FILTER} cors'
                    )
                },
                _FAILURE,
                "Filter in Trove's pipeline",
                'no authtoken',
            ),
            (
                'behind',
                {'paste': paste.replace(filtered, f'extensions {trove_conf.FILTER} troveapp')},
                _FAILURE,
                "Filter in Trove's pipeline",
                'extensions come before it',
            ),
            (
                'one-topic',
                {'trove_upgrade': {'guest_topic_prefix': 'guestagent.'}},
                _FAILURE,
                'Topics of guests',
                "each other's messages",
            ),
            (
                'guests',
                {'DEFAULT': {'guest_config': self.side.conf_path.with_name('missing.conf')}},
                _FAILURE,
                'Topics of guests',
                'no such file',
            ),
            (
                'writer',
                {'trove_upgrade': {'write_service_status': 'true'}},
                _FAILURE,
                'Status of services',
                'Set it to false',
            ),
            (
                'user',
                {
                    'service_credentials': {
                        'username': demo.username,
                        'password': demo.password,
                        'project_name': demo.project_name,
                    }
                },
                _FAILURE,
                'Nova',
                'role admin',
            ),
            (
                'password',
                {'service_credentials': {'password': 'wrong'}},
                _FAILURE,
                'Nova',
                'user, password',
            ),
            (
                'body',
                {'trove_upgrade': {'max_body_bytes': 1024}},
                _WARNING,
                'Limits',
                'max_body_bytes',
            ),
        )
        files = [self.installation(name, **changes) for name, changes, *_ in cases]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for (_name, _changes, code, check, *said), found in zip(
                cases, list(pool.map(self.status, files)), strict=True
            ):
                self.assert_wrong(found, code, check, *said)

    def test_a_taskmanager_on_another_topic_is_not_taken_for_one_that_listens(self):
        guests = self.folder / 'trove-guestagent.conf'
        guests.write_text(
            trove_conf.guest_config_file(self.side.settings).read_text().replace(TOPIC, 'elsewhere')
        )
        found = self.status(
            self.installation(
                'topic',
                DEFAULT={'guest_config': guests},
                trove_upgrade={'taskmanager_topic': 'elsewhere', 'guest_config_file': guests},
            )
        )
        self.assert_wrong(found, _FAILURE, 'Taskmanager', 'no process listens on topic "elsewhere"')

    def test_no_taskmanager_is_a_warning(self):
        self.product.stop(TASKMANAGER)
        try:
            self.assert_wrong(
                self.status(self.side.conf_path), _WARNING, 'Taskmanager', 'No taskmanager was seen'
            )
        finally:
            self.start_taskmanager()

    def test_troves_database_with_a_configuration_that_is_not_troves_is_told(self):
        conf = configparser.RawConfigParser()
        conf.read(self.installation('plain'))
        conf.remove_option('DEFAULT', 'api_paste_config')
        path = self.folder / 'trove-upgrade.conf'
        with path.open('w') as file:
            conf.write(file)
        self.assert_wrong(self.status(path), _FAILURE, 'Way to run', "Trove's trove.conf")
