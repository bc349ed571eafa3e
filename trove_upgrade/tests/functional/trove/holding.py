# SPDX-License-Identifier: Apache-2.0
"""Holds an upgrade on real Trove in a step for as long as a test needs, and sends requests of
Trove's own meanwhile.
"""

import json
import os
import signal
import urllib.error
import urllib.request

from lab import errors, following, rest
from lab.knobs import Knobs, KnobStore
from lab.product import TASKMANAGER
from lab.supervisor import Supervisor
from lab.trove import stage
from lab.trove.instances import DATABASE
from trove_upgrade.tests.exclusion_table import Group
from trove_upgrade.tests.functional import waiting
from trove_upgrade.tests.functional.trove import base

ROWS = 200


class HoldingCase(waiting.Waiting, base.TroveGuestTestCase):
    """`NAMES` are made at once, before the first test: an instance takes a minute, and five take
    little more.
    """

    NAMES = ()
    wait_seconds = 300.0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.made = {}
        begun = {}
        for name in cls.NAMES:
            begun[name] = cls.instances.begin(name, cls.former)
            cls.addClassCleanup(cls.remove, begun[name])
        for name, instance_id in begun.items():
            cls.made[name] = cls.instances.wait_healthy(instance_id, 600)

    @classmethod
    def remove(cls, instance_id):
        if cls.instances.row(instance_id)['compute_instance_id'] and cls.side.sql(
            f"SELECT 1 FROM instances WHERE id = '{instance_id}' AND deleted = 0;"
        ):
            cls.instances.delete(instance_id)

    def setUp(self):
        super().setUp()
        self.knobs = KnobStore(self.stage.layout.faults_dir)

    # --- the API
    # ---------------------------------------------------------------------------------------------

    def call(self, method, path, body=None, *, user='demo', url=None):
        """(status, parsed body or None) of Trove's API, whatever the status; `path` is below the
        project.
        """
        data = None if body is None else json.dumps(body).encode()
        project = self.instances.project_id if user != 'admin' else self._admin_project()
        request = urllib.request.Request(
            f'{url or self.handle.database_api_url}/{project}{path}',
            data=data,
            method=method,
            headers={
                'X-Auth-Token': self.session(user).token(),
                'Content-Type': 'application/json',
                'Accept': 'application/json',
            },
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=120
            ) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b'{') else text.decode()

    def _admin_project(self):
        name = self.handle.users['admin'].project_name
        return self.session('admin').request('GET', f'{self.handle.auth_url}/projects?name={name}')[
            'projects'
        ][0]['id']

    def patch(self, instance, version, *, url=None):
        return self.call(
            'PATCH',
            f'/instances/{instance.id}',
            {'instance': {'datastore_version': version.id}},
            url=url,
        )

    def reset_status(self, instance):
        return self.call(
            'POST', f'/instances/{instance.id}/action', {'reset_status': {}}, user='admin'
        )

    def upgrades_of(self, instance):
        return self.get(f'/instances/{instance.id}/upgrades')['upgrades']

    def upgrade(self, instance, version, seconds=base.UPGRADE_SECONDS):
        """From the request to the end."""
        status, body = self.patch(instance, version)
        self.assertEqual(202, status, body)
        return self.ended(instance, seconds)

    def ended(self, instance, seconds=base.UPGRADE_SECONDS):
        return following.Follower(self.get, lambda _line: None).until_ended(instance.id, seconds)

    def upgrade_row(self, upgrade_id):
        """From our table: users of the API see no deleted instance's upgrades."""
        names = ('state', 'error_code')
        return dict(
            zip(
                names,
                self.side.sql(
                    f"SELECT {', '.join(names)} FROM instance_upgrades WHERE id = '{upgrade_id}';"
                )[0],
                strict=True,
            )
        )

    # --- holding
    # ---------------------------------------------------------------------------------------------

    def pause(self):
        """Our taskmanager stands still in the middle of whatever it does."""
        self._signal(signal.SIGSTOP)
        self.addCleanup(self.go_on)

    def go_on(self):
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        layout = self.stage.layout
        for record in Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir).records():
            if record.name == TASKMANAGER:
                for member in record.members():
                    os.kill(member.pid, number)

    def hold(self, instance, group):
        """Before the upgrade is asked for: it will stand still there, until `let_go`.  Restoring:
        by `pause` at that step.
        """
        if group is Group.STOPPED:  # Nova does not answer to us, and does to Trove
            self._control(
                'POST',
                '/__faults',
                {
                    'action': 'refuse',
                    'status': 503,
                    'count': -1,
                    'method': 'POST',
                    'path': f'{instance.server_id}/action$',
                    'body': '"rebuild"',
                },
            )
            self.addCleanup(self._control, 'DELETE', '/__faults')
        if group is Group.REBUILDING:
            self.knobs.turn(instance.server_id, Knobs(stuck='blocked'))
            self.addCleanup(self.knobs.clear, instance.server_id)

    def let_go(self, instance, group):
        if group is Group.STOPPED:
            self._control('DELETE', '/__faults')
        if group is Group.REBUILDING:
            self.knobs.clear(instance.server_id)

    def until(self, instance, group):
        """Wait until the upgrade stands there."""
        step, words = {
            Group.STOPPED: ('rebuild', 'read from the server'),
            Group.REBUILDING: ('rebuild', 'task rebuild_spawning'),
            Group.RESTORING: ('restore', ''),
        }[group]

        def there():
            runs = self.upgrades_of(instance)[0]['steps']
            return runs and runs[-1]['step'] == step and words in (runs[-1].get('message') or '')

        self.wait_until(there, f'{group} at {step}')

    def _control(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.handle.proxy_control_url + path,
            data=data,
            method=method,
            headers={'Content-Type': 'application/json'},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            request, timeout=10
        ) as answer:
            answer.read()

    # --- what there is
    # ---------------------------------------------------------------------------------------

    def guest(self, instance):
        return self.instances.guest(instance)

    def fill(self, instance):
        self.sql(
            instance,
            f'CREATE OR REPLACE TABLE {DATABASE}.kept SELECT seq AS number FROM '
            f'{DATABASE}.seq_1_to_{ROWS}',
        )

    def container(self, instance):
        """Which one it is and since when it runs: equal before and after means that no client was
        interrupted.
        """
        return (
            self.guest(instance)
            .exec(
                [
                    'docker',
                    'inspect',
                    '--format',
                    '{{.Id}} {{.Image}} {{.State.StartedAt}} {{.HostConfig.RestartPolicy.Name}}',
                    'database',
                ]
            )
            .output.strip()
        )

    def assert_serves(self, instance, version):
        """This server, on the volume, with every row; and Trove knows which version it is."""
        self.assertTrue(
            self.sql(instance, 'SELECT VERSION()').startswith(version.number), version.number
        )
        self.assertEqual(
            '/dev/vdb',
            self.guest(instance)
            .exec(['findmnt', '-n', '-o', 'SOURCE', '/var/lib/mysql'])
            .output.strip(),
        )
        self.assertEqual(str(ROWS), self.sql(instance, f'SELECT COUNT(*) FROM {DATABASE}.kept'))
        self.assertEqual(version.id, self.instances.row(instance.id)['datastore_version_id'])
        self.assertTrue(
            self.container(instance).endswith('unless-stopped'), self.container(instance)
        )

    def serves(self, instance):
        try:
            return self.sql(instance, 'SELECT 1') == '1'
        except errors.LabError:
            return False

    def register(self, number):
        """A version whose container image has this tag; the guest image is the target's.  Its facts
        are loaded: else a guest with a key cannot follow.
        """
        version = self.stage.datastores.register('mariadb', number, number, self.target.image_id)
        facts = stage.facts_of(self.stage.layout, self.target.number)
        stage.load_facts(self.product, version.name, facts)
        return version

    def admin(self):
        found = self.handle.users['admin']
        return rest.Session.of(found)
