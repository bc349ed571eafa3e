# SPDX-License-Identifier: Apache-2.0
"""Trove's agent and ours in one guest, from create to delete; the client is the unmodified one, and
the application writes all through.
"""

from lab.demo import application, beside_trove
from lab.servers import DATABASE_MOUNT
from trove_upgrade.tests.functional.trove import guests
from trove_upgrade.tests.functional.trove.lifecycle import PATIENCE_SECONDS, LifecycleCase

GUEST_INFO = '/etc/trove/conf.d/guest_info.conf'
AGENT_CONF = '/etc/trove/conf.d/trove-guestagent.conf'


class TestLifecycle(LifecycleCase):
    def test_two_agents_share_a_guest_from_create_to_delete(self):
        instance_id = self.instances.begin('two-agents', self.former)
        self.addCleanup(self.remove_left_over, instance_id)
        instance = self.instances.wait_healthy(instance_id, PATIENCE_SECONDS)
        self.fill(instance)
        self.add_user_and_database(instance, 'before')
        rows, first_server = self.checksum(instance), self.guest(instance).boot_id
        former = self.belongings(instance)

        with (
            application.writing(self.writes_to(instance), self.work_dir) as written,
            beside_trove.Views(lambda: self.instances.show(instance.id)) as views,
        ):
            self.trove_upgrade(instance, self.target)
            application.wait_for_writes(written, application.SETTLE_WRITES)
        self.assertIn('UPGRADE', views.seen)
        self.assertFalse({'ERROR', 'SHUTDOWN', 'UNKNOWN', 'FAILED'} & set(views.seen), views.seen)
        self.assert_nothing_lost(instance, written)
        self.assertNotEqual(first_server, self.guest(instance).boot_id)
        self.assertEqual(rows, self.checksum(instance))
        self.assert_serves_as(instance, self.target)
        self.assert_belongings_kept(instance, former, self.target)
        self.trove_shows(instance, self.target)
        self.assertLessEqual({'app', 'before'}, self.listed(instance, 'user'))
        self.assertLessEqual({'app', 'before'}, self.listed(instance, 'db'))

        self.reboot(instance)
        self.assert_serves_as(instance, self.target)
        self.assert_belongings_kept(instance, former, self.target)

        second = self.trove_upgrade(
            instance, self.target
        )  # a new root disk of the same image, as for an operating system's patch
        self.assertGreater(second['attempt'], 0)
        self.assertEqual(rows, self.checksum(instance))
        self.assert_serves_as(instance, self.target)
        self.assert_belongings_kept(instance, former, self.target)
        self.trove_shows(instance, self.target)

        self.add_user_and_database(instance, 'after')
        self.assertLessEqual({'app', 'before', 'after'}, self.listed(instance, 'user'))
        self.troves_own_restart(instance)
        self.assertEqual(rows, self.checksum(instance))
        self.assert_serves_as(instance, self.target)

        self.delete(instance)

    def remove_left_over(self, instance_id):
        if self.exists(instance_id):
            self.instances.delete(instance_id)

    def exists(self, instance_id):
        return bool(
            self.side.sql(f"SELECT 1 FROM instances WHERE id = '{instance_id}' AND deleted = 0;")
        )

    def delete(self, instance):
        """By the unmodified client; nothing of it is left."""
        volume = self.guest(instance).volume
        self.instances.clients.run('openstack', 'database', 'instance', 'delete', instance.id)
        self.wait_until(
            lambda: not self.exists(instance.id), 'the instance to go', 150, interval_seconds=0.5
        )
        service = self.session('trove')
        servers = service.request('GET', f'{self.handle.nova_url}/servers')['servers']
        self.assertNotIn(instance.server_id, {server['id'] for server in servers})
        ports = service.request('GET', f'{self.handle.neutron_url}/v2.0/ports')['ports']
        self.assertFalse(
            [
                port
                for port in ports
                if instance.id in port['name'] or port['device_id'] == instance.server_id
            ]
        )
        self.assertNotIn(instance.server_id, {guest.id for guest in self.stage.host.guests.all()})
        self.assertIsNone(self.stage.host.volumes.find(volume.volume_id))

    def add_user_and_database(self, instance, name):
        """By Trove's agent, over Trove's API."""
        path = f'{self.instances.base_url}/instances/{instance.id}'
        self.session().request('POST', f'{path}/databases', {'databases': [{'name': name}]})
        self.session().request(
            'POST',
            f'{path}/users',
            {
                'users': [
                    {'name': name, 'password': f'{name}-Password-1', 'databases': [{'name': name}]}
                ]
            },
        )
        self.wait_until(
            lambda: name in self.listed(instance, 'user'),
            f'user {name} to be listed',
            30,
            interval_seconds=0.3,
        )

    def listed(self, instance, what):
        """Names of users, or databases, as Trove's agent tells."""
        found = self.get(f'/instances/{instance.id}/{"users" if what == "user" else "databases"}')
        return {entry['name'] for entry in found['users' if what == 'user' else 'databases']}

    def troves_own_restart(self, instance):
        started = self.sql(
            instance,
            'SELECT variable_value FROM information_schema.global_status WHERE variable_name = '
            "'UPTIME'",
        )
        self.session().request(
            'POST', f'{self.instances.base_url}/instances/{instance.id}/action', {'restart': {}}
        )
        self.no_task(instance)
        uptime = self.sql(
            instance,
            'SELECT variable_value FROM information_schema.global_status WHERE variable_name = '
            "'UPTIME'",
        )
        self.assertLess(int(uptime), int(started) + 60)
        self.trove_shows(instance, self.target)

    def belongings(self, instance):
        """What an upgrade has to leave as it is: the file system, the container's shape, the
        guest's secrets.
        """
        files = self.instances.user_data(instance.server_id)
        guest = self.guest(instance)
        return guests.volume(guest), guests.container(guest), files

    def assert_belongings_kept(self, instance, former, version):
        volume, container, files = former
        now, shape, rendered = self.belongings(instance)
        self.assertEqual(
            (volume.source, volume.uuid, volume.created, volume.data_owners),
            (now.source, now.uuid, now.created, now.data_owners),
            DATABASE_MOUNT,
        )
        self.assertEqual(('0:0', 1), (now.top_owner, now.lines_in_fstab))
        self.assertEqual(
            (container.privileged, container.binds, container.ports),
            (shape.privileged, shape.binds, shape.ports),
        )
        self.assertLessEqual(set(files), set(rendered))
        for section, name in (
            ('DEFAULT', 'instance_rpc_encr_key'),
            ('DEFAULT', 'guest_id'),
            ('DEFAULT', 'tenant_id'),
        ):
            self.assertEqual(
                guests.option(files, GUEST_INFO, section, name),
                guests.option(rendered, GUEST_INFO, section, name),
                name,
            )
        self.assertEqual(files[AGENT_CONF], rendered[AGENT_CONF])
        self.assertEqual(
            version.number, guests.option(rendered, GUEST_INFO, 'DEFAULT', 'datastore_version')
        )
        self.assertIn(
            f'datastore_version = {version.number}',
            self.guest(instance)
            .exec(['cat', GUEST_INFO])
            .output.replace('=', ' = ')
            .replace('  ', ' '),
        )
