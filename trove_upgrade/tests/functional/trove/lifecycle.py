# SPDX-License-Identifier: Apache-2.0
"""What holds of an instance with Trove's agent and ours after each upgrade of its life, however
that came to its end.
"""

from lab.demo import application, snapshots, writer
from lab.trove import database
from trove_upgrade.tests.functional import waiting
from trove_upgrade.tests.functional.trove import base, guests

ROWS = 20_000
#: For a machine that has more to do.
PATIENCE_SECONDS = 900.0


class LifecycleCase(waiting.Waiting, base.TroveGuestTestCase):
    """Asks, and asserts."""

    def guest(self, instance):
        return self.instances.guest(instance)

    def numbers(self, instance):
        return snapshots.numbers(database.asker(self.guest(instance)), base.TICKS)

    def fill(self, instance):
        database.asker(self.guest(instance))(database.rows_sql('app', ROWS, base.TICKS))

    def checksum(self, instance):
        return self.sql(
            instance, 'SELECT COUNT(*) FROM app.orders; CHECKSUM TABLE app.orders EXTENDED'
        )

    def trove_upgrade(self, instance, version, state='COMPLETED'):
        """By the unmodified client, to its end."""
        self.instances.clients.run('trove', 'upgrade', instance.id, version.name)
        upgrade = self.ended(instance, PATIENCE_SECONDS)
        self.assertEqual(state, upgrade['state'], upgrade)
        return upgrade

    def trove_shows(self, instance, version, seconds=150):
        """Once Trove's own agent has reported: its own words."""
        wanted = ('ACTIVE', 'HEALTHY', version.name)

        def words():
            shown = self.instances.show(instance.id)
            return shown['status'], shown.get('operating_status'), shown['datastore']['version']

        self.wait_until(
            lambda: words() == wanted,
            f'Trove to show {wanted}; it shows {words()}',
            seconds,
            interval_seconds=0.5,
        )

    def assert_nothing_lost(self, instance, written):
        downtime = writer.measure(writer.read(written))
        self.assertEqual(frozenset(), downtime.acknowledged - self.numbers(instance))
        self.assertGreater(downtime.seconds, 0)
        print(
            f'{self.id().rpartition(".")[2]}: client downtime {downtime.seconds:.1f} s', flush=True
        )

    def assert_serves_as(self, instance, version):
        """The server, its container and Trove's agent in this guest."""
        guest = self.guest(instance)
        self.assertTrue(self.sql(instance, 'SELECT VERSION()').startswith(version.number))
        self.assertEqual({database.CONTAINER}, guests.containers(guest))
        container = guests.container(guest)
        self.assertTrue(container.image.endswith(f':{version.number}'), container)
        self.assertEqual('unless-stopped', container.restart_policy)
        self.assertTrue(guests.runs_troves_agent(guest))

    def reboot(self, instance):
        """Through Nova, as an operator does it; returns when the database answers."""
        boot_id = self.guest(instance).boot_id
        self.session('trove').request(
            'POST',
            f'{self.handle.nova_url}/servers/{instance.server_id}/action',
            {'reboot': {'type': 'SOFT'}},
        )

        def serves():
            guest = self.guest(instance)
            return (
                guest.running
                and guest.boot_id != boot_id
                and guest.reachable
                and database.serves(guest)
            )

        self.wait_until(
            serves,
            'the database to serve after a reboot',
            application.SERVES_SECONDS,
            interval_seconds=0.3,
        )

    def no_task(self, instance, seconds=150):
        self.wait_until(
            lambda: self.instances.row(instance.id)['task_id'] == '1',
            "Trove's task to end",
            seconds,
            interval_seconds=0.5,
        )
