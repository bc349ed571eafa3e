# SPDX-License-Identifier: Apache-2.0
"""Faults of network nodes, of servers, and of the host that the bridge runs on."""

import psutil

from lab.publishing import PublishedVersion
from trove_upgrade.tests.old_cloud.faults_case import FaultsTestCase
from trove_upgrade.tests.old_cloud.moments import LEASE_SECONDS, MOMENTS

_BY_NAME = {one.name: one for one in MOMENTS}
ON_ITS_WAY = _BY_NAME['the bundle is on its way']
NODE = 'network-node'


class TestNetworkNode(FaultsTestCase):
    """Of the instance that is reached through it."""

    def setUp(self):
        super().setUp()
        [self.instance] = [one for one in self.stage.instances if one.network.on_node]
        self.guest = self.guest_of(self.instance)
        self.before = {self.instance.id: self.state(self.instance)}
        self.node = self.host.guests.get(NODE)
        self.addCleanup(self.start_sshd)

    def stop_sshd(self):
        self.node.exec(['sh', '-c', 'service ssh stop; pkill -x sshd; true'], check=False)

    def start_sshd(self):
        self.node.exec(['sh', '-c', 'pgrep -x sshd || service ssh start'])

    def test_one_that_is_gone_before_is_named_with_what_was_tried(self):
        self.stop_sshd()
        ended = self.tried('reach', '--instance', self.instance.id)
        self.assert_failed(ended, 'BRIDGE_NO_WAY_IN', self.stage.node_address, 'Connection refused')
        self.start_sshd()
        self.assert_is_reached()

    def test_one_whose_namespace_is_gone_is_named_with_the_namespace(self):
        name = self.instance.network.namespace
        moved = 'cd /run/netns && touch {1} && mount --bind {0} {1} && umount {0} && rm {0}'
        away, back = moved.format(name, 'kept'), moved.format('kept', name)
        self.node.exec(['sh', '-ec', away])
        try:
            ended = self.tried('reach', '--instance', self.instance.id)
        finally:
            self.node.exec(['sh', '-ec', back])
        self.assert_failed(ended, 'BRIDGE_NO_WAY_IN', name, 'there is no such namespace')
        self.assert_is_reached()

    def test_one_that_is_lost_during_the_upload_leaves_the_rest_to_a_resume(self):
        ended = self.while_at(ON_ITS_WAY, self.stop_sshd, 'run', *('--instance', self.instance.id))
        self.assertEqual(1, ended.code, ended.output)
        self.assert_closed()
        found = self.member(ended.run_id)
        self.assertEqual(('RUNNING', 'REACH_LOST'), (found['state'], found['error_code']))
        self.assertIn('"resume" tries it again', ended.output)
        self.assertIn(self.stage.node_address, found['facts']['not_removed'])
        self.start_sshd()
        self.assertEqual(1, self.resumed(ended.run_id))
        self.assert_line(ended.run_id, 'FAILED', 'REACH_LOST')
        self.assertIsNone(self.member(ended.run_id)['facts']['not_removed'])
        self.assert_closed()
        self.assert_as_before()
        self.assert_is_brought_in()


class TestServers(FaultsTestCase):
    """Of an instance of its own, as it does not outlive its test."""

    def setUp(self):
        super().setUp()
        self.instance = self.made()
        self.guest = self.guest_of(self.instance)
        self.before = {}
        self.servers = f'{self.handle.nova_url}/servers'

    def made(self):
        """Another one of the first instance's version, in its network."""
        former = self.stage.instances[0]
        listed = self.shown('inventory', '--json')['instances']
        [known] = [one for one in listed if one['id'] == former.id]
        server = self.admin.request('GET', f'{self.handle.nova_url}/servers/{former.server_id}')[
            'server'
        ]
        version = PublishedVersion(
            datastore=known['datastore'],
            name=known['version'],
            image_id=server['image']['id'],
            image_name='',
        )
        made = self.stage.makers.create('passing', version, former.network, rows=10)
        self.addCleanup(self.delete, made)
        return made

    def delete(self, instance):
        """As Trove deletes an instance; safe to repeat."""
        with self.database() as connection:
            connection.exec_driver_sql(
                'UPDATE instances SET deleted = 1, deleted_at = NOW() WHERE id = %s',
                (instance.id,),
            )
        listed = self.admin.request('GET', f'{self.handle.nova_url}/servers?all_tenants=1')
        if any(one['id'] == instance.server_id for one in listed['servers']):
            self.admin.request('DELETE', f'{self.handle.nova_url}/servers/{instance.server_id}')
            self.wait_until(lambda: self.is_gone(instance), 'the server to be deleted', 120)

    def is_gone(self, instance):
        listed = self.admin.request('GET', f'{self.handle.nova_url}/servers?all_tenants=1')
        return all(one['id'] != instance.server_id for one in listed['servers'])

    def act(self, body):
        self.admin.request('POST', f'{self.servers}/{self.instance.server_id}/action', body)

    def status(self):
        found = self.admin.request('GET', f'{self.servers}/{self.instance.server_id}')
        return found['server']['status']

    def run_it(self, act):
        return self.while_at(ON_ITS_WAY, act, 'run', *('--instance', self.instance.id))

    def test_one_that_is_deleted_in_the_middle_is_no_failure_and_nothing_is_left(self):
        ended = self.run_it(lambda: self.delete(self.instance))
        self.assertEqual(0, ended.code, ended.output)
        self.assert_line(ended.run_id, 'LEFT_OUT', 'BRIDGE_INSTANCE_GONE', 'was deleted')
        self.assert_closed()
        self.assertNotIn(
            self.instance.id,
            [one['id'] for one in self.shown('inventory', '--json')['instances']],
        )

    def test_one_that_is_stopped_in_the_middle_is_told_and_cleared_once_it_runs_again(self):
        ended = self.run_it(lambda: self.act({'os-stop': None}))
        self.assertEqual(1, ended.code, ended.output)
        self.assert_closed()
        found = self.member(ended.run_id)
        self.assertEqual('RUNNING', found['state'], found)
        self.assertIn('What was pushed could not be removed', ended.output)
        self.act({'os-start': None})
        self.wait_until(lambda: self.guest.reachable, 'the server to run', 120)
        self.assertEqual(1, self.resumed(ended.run_id))
        self.assert_line(ended.run_id, 'FAILED', 'REACH_LOST')
        self.assertIsNone(self.member(ended.run_id)['facts']['not_removed'])
        self.assert_closed()
        self.assert_is_brought_in()

    def test_one_that_is_rebooted_in_the_middle_is_cleared_by_the_run_or_by_a_resume(self):
        ended = self.run_it(lambda: self.act({'reboot': {'type': 'HARD'}}))
        self.assertEqual(1, ended.code, ended.output)
        self.assert_closed()
        self.wait_until(lambda: self.status() == 'ACTIVE', 'the server to run', 120)
        if self.member(ended.run_id)['state'] == 'RUNNING':
            self.resumed(ended.run_id)
        self.assert_line(ended.run_id, 'FAILED', 'REACH_LOST')
        self.assert_closed()
        self.assertEqual('', self.in_guest('ls /opt'))

    def test_a_port_that_is_deleted_in_the_middle_leaves_no_group(self):
        def delete():
            [port] = self.groups(self.instance)
            self.admin.request('DELETE', f'{self.handle.neutron_url}/v2.0/ports/{port}')

        ended = self.run_it(delete)
        self.assert_closed()
        self.assertEqual(set(), self.ours())
        self.assertIn('was deleted while it was open', ended.output)


class TestTheBridgesOwnHost(FaultsTestCase):
    def test_all_its_processes_are_killed_at_once_and_a_resume_goes_on_from_the_tables(self):
        """Where all that is left was begun, a resume ends, and tells when the leases do; else it
        waits for that.
        """
        self.watch(*self.stage.instances)
        begun = self.begin('run', '--all', '--at-once', '3')
        self.run_id = begun.wait_begun()
        self.wait_until(lambda: ON_ITS_WAY.has_come(self), ON_ITS_WAY.name, 120, 0.02)
        process = psutil.Process(begun.process.pid)
        for one in (process, *process.children(recursive=True)):
            one.kill()
        begun.process.wait()

        self.assertEqual(0, self.resumed(self.run_id, LEASE_SECONDS * 4))
        self.assert_completed(self.run_id, *self.stage.instances)
