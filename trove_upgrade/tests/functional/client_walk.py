# SPDX-License-Identifier: Apache-2.0
"""Walk through every command of the upgrade service's client on one real instance, by a real
openstack command of one release; what each prints as JSON is of its form.
"""

import fixtures
import jsonschema

from trove_upgrade.tests.functional.host.openstack_client import OfRelease
from troveupgradeclient.osc.v1.exit_status import ExitStatus
from troveupgradeclient.tests import schemas
from troveupgradeclient.tests.base import commands

WAIT_SECONDS = 600
_PACE = ('--interval', '0.5', '--timeout', f'{WAIT_SECONDS}')
_WAIT = ('--wait', *_PACE)


class ClientWalk(OfRelease):
    """Of a test case on a real cloud, which has `handle` and `target`.  `walk` needs of it also
    `turn(instance, **knobs)` and `shown(instance)`, as the API shows the instance.
    """

    def setUp(self):
        super().setUp()
        self.home = self.useFixture(fixtures.TempDir()).path
        self.walked = set()

    # --- the program

    def environment(self, user):
        return self.programs.environment(self.home, self.handle.users[user].environ())

    def openstack(self, *words, user='demo'):
        seconds = WAIT_SECONDS + 60
        ended = self.programs.run(self.environment(user), *words, seconds=seconds)
        self.assertNotIn('Traceback', ended.err)
        return ended

    def json_of(self, *words, status=ExitStatus.AS_ASKED, user='demo'):
        """What `openstack database upgrade WORDS` prints as JSON, once it has ended so."""
        ended = self.openstack('database', 'upgrade', *words, '-f', 'json', user=user)
        self.assertEqual(status, ended.status, f'{words}: {ended.err}{ended.out}')
        jsonschema.validate(ended.json, schemas.of_command(words))
        line = ' '.join(('database', 'upgrade', *words, ''))
        names = [name for name in commands() if line.startswith(f'{name} ')]
        self.walked.add(max(names, key=len))
        return ended.json

    def state_of(self, *words, **options):
        return self.json_of(*words, **options)['state']

    # --- the walk

    def walk(self, instance, project_id):
        """From the former version, by one that is aborted, one that fails and is taken back, and
        one that fails and is retried, to the target.
        """
        self.looks_before(instance)
        self.aborts_what_is_held(instance)
        self.takes_back_what_has_failed(instance)
        self.until_healthy(instance)
        self.retries_what_has_failed(instance)
        self.looks_after(instance, project_id)
        self.assertEqual(set(commands()), self.walked)

    def looks_before(self, instance):
        for words in ((), ('--long',), ('--allowed',)):
            listed = self.json_of('targets', instance.name, *words)
            self.assertTrue({row['Name']: row for row in listed}[self.target.name]['Allowed'])
        report = self.json_of('check', instance.name, self.target.name, *_PACE)
        self.assertEqual(('COMPLETED', True), (report['state'], report['allowed']), report)
        self.assertEqual(report, self.json_of('check', 'show', instance.name, report['id']))
        later = self.json_of('check', instance.name, self.target.name, '--no-wait')
        shown = ('check', 'show', instance.name, later['id'])
        self.wait_until(lambda: self.state_of(*shown) == 'COMPLETED', 'the report', WAIT_SECONDS)

    def aborts_what_is_held(self, instance):
        held = self.json_of('start', instance.name, self.target.name, '--hold', *_WAIT)
        self.assertEqual('HELD', held['state'], held)
        shown = self.json_of('show', instance.name)
        self.assertEqual((held['id'], 'HELD'), (shown['id'], shown['state']))
        [row] = self.json_of('list', '--instance', instance.name, '--state', 'held')
        self.assertEqual((held['id'], 'HELD'), (row['ID'], row['State']))
        watched = self.json_of('watch', instance.name, *_PACE, status=ExitStatus.HELD)
        self.assertEqual(held['id'], watched['id'])
        self.assertEqual({'abort', 'proceed'}, self.allowed(held))
        self.assertEqual('ABORTED', self.state_of('abort', instance.name, *_WAIT))
        self.assertEqual(set(), self.allowed(held))

    def takes_back_what_has_failed(self, instance):
        self.turn(instance, spawn_error='no space left', times=1)
        begun = self.json_of('start', instance.name, self.target.name)
        ended = self.json_of('watch', begun['id'], *_PACE, status=ExitStatus.FAILED)
        self.assertEqual(('FAILED', 'REBUILD_FAILED'), (ended['state'], ended['error_code']), ended)
        self.assertEqual({'retry', 'rollback'}, self.allowed(begun, user='admin'))
        for action in ('retry', 'rollback'):
            refused = self.openstack('database', 'upgrade', action, instance.name)
            self.assertEqual((ExitStatus.ERROR, ''), (refused.status, refused.out))
            self.assertTrue(refused.err.strip().endswith('(FORBIDDEN)'), refused.err)
        state = self.state_of('rollback', begun['id'], *_WAIT, user='admin')
        self.assertEqual('ROLLED_BACK', state)

    def retries_what_has_failed(self, instance):
        self.turn(instance, spawn_error='no space left', times=1)
        held = self.json_of('start', instance.name, self.target.name, '--hold', *_WAIT)
        status = ExitStatus.FAILED
        self.assertEqual('FAILED', self.state_of('proceed', held['id'], *_WAIT, status=status))
        retried = self.json_of('retry', held['id'], *_WAIT, user='admin')
        self.assertEqual(('COMPLETED', 2), (retried['state'], retried['attempt']), retried)

    def looks_after(self, instance, project_id):
        states = ['COMPLETED', 'ROLLED_BACK', 'ABORTED']
        of_instance = ('--instance', instance.id)  # an earlier one may have had the name
        for words in ((), ('--long',), ('--sort', 'created_at:desc', '--limit', '3')):
            listed = self.json_of('list', *of_instance, *words)
            self.assertEqual(states, [row['State'] for row in listed])
        newest = listed[0]['ID']
        later = self.json_of('list', *of_instance, '--marker', newest)
        self.assertEqual(states[1:], [row['State'] for row in later])
        of_all = self.json_of('list', '--all-projects', '--state', 'COMPLETED', user='admin')
        self.assertIn((project_id, newest), [(row['Project ID'], row['ID']) for row in of_all])
        projects = {row['Project ID']: row for row in self.json_of('drift', user='admin')}
        self.assertGreaterEqual(projects[project_id]['Instances'], 1)
        drifted = self.json_of('drift', '--project', project_id, user='admin')
        self.assertNotIn(instance.id, [row['Instance ID'] for row in drifted])
        refused = self.openstack('database', 'upgrade', 'start', instance.name, self.target.name)
        self.assertEqual((ExitStatus.ERROR, ''), (refused.status, refused.out))
        self.assertTrue(refused.err.strip().endswith('(IMAGE_IS_BOOTED)'), refused.err)

    def allowed(self, upgrade, user='demo'):
        """Actions that the user can take now."""
        listed = self.json_of('action', 'list', upgrade['id'], user=user)
        return {row['Action'] for row in listed if row['Allowed']}

    def until_healthy(self, instance):
        def is_healthy():
            shown = self.shown(instance)
            return shown['status'] == 'ACTIVE' and shown.get('operating_status') == 'HEALTHY'

        self.wait_until(is_healthy, f'instance {instance.id} to be HEALTHY', WAIT_SECONDS)
