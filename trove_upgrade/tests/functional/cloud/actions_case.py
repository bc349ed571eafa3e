# SPDX-License-Identifier: Apache-2.0
"""Actions on upgrades as users and operators take them, and moments of an upgrade that a test can
keep.
"""

import contextlib
import json
import shlex

from lab.demo import application, snapshots, writer
from lab.following import FINAL
from lab.images import provision
from lab.product import TASKMANAGER
from trove_upgrade.tests.functional.cloud.nova_case import NovaCase

#: Each look at a server, by our taskmanager and our API.
LOOKS = {'action': 'refuse', 'method': 'GET', 'path': '/servers', 'status': 503, 'count': -1}
_BUSY = f'LOCK TABLES {provision.DATABASE}.heartbeat WRITE; SELECT SLEEP(600)'
#: In the guest: a server that shuts down stands still as soon as it takes no connections any more.
_SLOW_SHUTDOWN = """
pid=$(pidof mariadbd)
while [ -S /run/mysqld/mysqld.sock ]; do :; done
kill -STOP $pid
sleep {seconds}
kill -CONT $pid
"""


class ActionsCase(NovaCase):
    # --- users

    def setUp(self):
        super().setUp()
        self._sessions = {}

    def session(self, user='demo'):
        """One for all requests of a user: looks that follow each other ask for no token."""
        return self._sessions.setdefault(user, super().session(user))

    def openstack(self, *words, user='demo'):
        """The exit status of `openstack database upgrade ...`, and what it printed as JSON."""
        done = self.clients(user).attempt('openstack', 'database', 'upgrade', *words, '-f', 'json')
        print(f'openstack database upgrade {" ".join(words)}: {done.returncode}\n{done.stderr}')
        return done.returncode, json.loads(done.stdout) if done.stdout else None

    def begin(self, instance, version=None, **choices):
        """The upgrade that a POST has begun."""
        asked = {'instance_id': instance.id, 'datastore_version': (version or self.target).name}
        status, body = self.call('POST', '/upgrades', {'upgrade': asked | choices})
        self.assertEqual(202, status, body)
        return body['upgrade']

    def act(self, upgrade, action, **options):
        """(status, the error's code or the upgrade)."""
        status, body = self.call(
            'POST', f'/upgrades/{upgrade["id"]}/action', {action: {}}, **options
        )
        (content,) = body.values()
        return status, content if status < 400 else content['error_code']

    def see(self, upgrade):
        return self.call('GET', f'/upgrades/{upgrade["id"]}')[1]['upgrade']

    # --- moments

    def until_state(self, upgrade, *states, **options):
        return self.wait_until(
            lambda: (found := self.see(upgrade))['state'] in states and found,
            f'upgrade {upgrade["id"]} to be {" or ".join(states)}',
            **options,
        )

    def until_end(self, upgrade):
        return self.until_state(upgrade, *FINAL, timeout_seconds=240, interval_seconds=0.3)

    def until_step(self, upgrade, step, message=''):
        """The upgrade once it stands at this step and tells so."""

        def stands():
            found = self.see(upgrade)
            self.assertNotIn(found['state'], FINAL, found)
            told = (found['steps'] or [{}])[-1].get('message') or ''
            return found['step'] == step and message in told and found

        return self.wait_until(stands, f'{step}: {message}', interval_seconds=0.05)

    @contextlib.contextmanager
    def without_taskmanager(self):
        self.product.stop(TASKMANAGER)
        try:
            yield
        finally:
            self.product.start_taskmanager()

    @contextlib.contextmanager
    def busy_database(self, instance):
        """A client's statement keeps the database from being locked, and so from being stopped."""
        self.in_background(instance, f'mariadb -e "{_BUSY}"')
        self.wait_until(lambda: self._busy(instance), 'the lock')
        try:
            yield
        finally:
            for number in self._busy(instance):
                self.sql(instance, f'KILL {number}')

    def _busy(self, instance):
        return self.sql(
            instance,
            "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%' AND id "
            '<> CONNECTION_ID()',
        ).split()

    def slow_shutdown(self, instance, seconds):
        """The next shutdown of the database lasts that long."""
        self.in_background(instance, _SLOW_SHUTDOWN.format(seconds=seconds))

    def in_background(self, instance, script):
        words = shlex.quote(script)
        self.guest(instance).exec(['sh', '-c', f'(setsid sh -c {words} >/dev/null 2>&1 &)'])

    # --- what stays

    def create_written(self, name, **options):
        """An instance with the table that an application writes to."""
        instance = self.create_instance(name, **options)
        self.sql(
            instance,
            f'CREATE TABLE {snapshots.WRITTEN_TABLE} (number BIGINT PRIMARY KEY, written_at '
            'DATETIME(6) DEFAULT NOW(6))',
        )
        return instance

    @contextlib.contextmanager
    def nothing_lost(self, instance):
        """An application writes meanwhile, and all that was acknowledged is there afterwards."""
        account = instance.credentials.application
        place = application.database_of(
            instance,
            self.stage.host.fabric,
            account.name,
            account.password,
            snapshots.WRITTEN_TABLE,
        )
        with application.writing(place, self.work_dir) as written:
            yield
            application.wait_for_writes(written, application.SETTLE_WRITES)
        seen = writer.measure(writer.read(written))
        self.assertEqual(
            set(), seen.acknowledged - snapshots.acknowledged_rows(self.guest(instance))
        )

    def assert_as_before(self, instance, before, upgrade, code='ABORTED_ON_REQUEST'):
        """It ended ABORTED, Nova was asked for no rebuild, and the former server serves."""
        self.assertEqual(('ABORTED', code), (upgrade['state'], upgrade['error_code']), upgrade)
        self.assertEqual(before, self.snapshot(instance))
        self.assertEqual(0, self.rebuilds(instance))
        shown = self.show(instance)
        self.assertEqual(
            ('ACTIVE', 'HEALTHY', self.former.name),
            (shown['status'], shown['operating_status'], shown['datastore']['version']),
        )
        self.assert_serves(instance, self.former)
