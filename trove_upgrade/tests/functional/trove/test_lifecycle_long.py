# SPDX-License-Identifier: Apache-2.0
"""Upgrades of Trove's own guests while something around them goes wrong, or is set in another
way.
"""

import dataclasses
import json

from benchmarks.trove import downtime
from lab.containers import registry
from lab.demo import application
from lab.knobs import Knobs, KnobStore
from lab.progress import Progress
from lab.supervisor import Supervisor
from lab.trove import database, stage
from trove_upgrade.tests.functional.trove import guests
from trove_upgrade.tests.functional.trove.lifecycle import PATIENCE_SECONDS, LifecycleCase

_REBUILD = {
    'action': 'refuse',
    'status': 503,
    'count': -1,
    'method': 'POST',
    'path': '/action$',
    'body': '"rebuild"',
}


class AroundCase(LifecycleCase):
    def begin(self, instance, version=None):
        """An upgrade that an actor of the test does something to."""
        self.instances.clients.run('trove', 'upgrade', instance.id, (version or self.target).name)

    def steps(self, instance):
        return {
            run['step']
            for run in self.get(f'/instances/{instance.id}/upgrades')['upgrades'][0]['steps']
        }

    def wait_step(self, instance, step):
        self.wait_until(
            lambda: step in self.steps(instance), f'step {step}', 180, interval_seconds=0.2
        )

    def proxy(self, method, path, body=None):
        return self.session('admin').request(method, f'{self.handle.proxy_control_url}{path}', body)

    def hold_rebuild(self):
        """Nova refuses for a while; the taskmanager asks again."""
        self.addCleanup(self.proxy, 'DELETE', '/__faults')
        self.proxy('POST', '/__faults', _REBUILD)

    def completes(self, instance):
        upgrade = self.ended(instance, PATIENCE_SECONDS)
        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        return upgrade

    def whole(self, instance, rows, version=None):
        """Served, the same rows, and Trove knows."""
        self.assertEqual(rows, self.checksum(instance))
        self.assert_serves_as(instance, version or self.target)
        self.trove_shows(instance, version or self.target)

    def filled(self, name):
        instance = self.create_instance(name)
        self.fill(instance)
        return instance, self.checksum(instance)


class TestServicesRestart(AroundCase):
    def test_an_upgrade_outlives_its_taskmanager_and_troves_own_services(self):
        instance, rows = self.filled('services-restart')
        self.begin(instance)
        self.wait_step(instance, 'quiesce')
        for daemon in (self.side.conductor, self.side.taskmanager):
            daemon.kill()
            daemon.start()
        self.wait_step(instance, 'rebuild')
        self.product.kill_taskmanager()
        self.product.start_taskmanager()
        self.completes(instance)
        self.whole(instance, rows)


class TestGuestReboots(AroundCase):
    def test_a_guest_that_reboots_while_it_waits_for_its_new_root_disk_starts_nothing_and_is_given_back(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        instance, rows = self.filled('reboots-between')
        self.hold_rebuild()
        self.begin(instance)
        self.wait_step(instance, 'rebuild')
        # it would find the boot, and give the database back at once
        self.product.kill_taskmanager()
        try:
            self.starts_nothing(instance)
        finally:
            self.proxy('DELETE', '/__faults')
            self.product.start_taskmanager()
        upgrade = self.ended(instance, PATIENCE_SECONDS)  # who has booted it, and why, is not known
        self.assertEqual(
            ('ABORTED', 'GUEST_NOT_QUIESCED'), (upgrade['state'], upgrade['error_code']), upgrade
        )
        self.whole(instance, rows, self.former)

    def starts_nothing(self, instance):
        self.guest(instance).reboot()
        guest = self.guest(instance)
        self.wait_until(
            lambda: guest.exec(['docker', 'ps'], check=False).returncode == 0, 'the engine', 60
        )
        self.assertEqual('', guest.exec(['docker', 'ps', '--quiet']).output)
        self.assertEqual('no', guests.container(guest).restart_policy)
        self.assertFalse(guests.runs_troves_agent(guest))


class TestRollback(AroundCase):
    def test_a_rollback_serves_on_the_former_image_with_the_former_container_image(self):
        instance, rows = self.filled('back-to-former')
        former = guests.container(self.guest(instance))
        knobs = KnobStore(self.stage.layout.faults_dir)
        knobs.turn(instance.server_id, Knobs(spawn_error='no space left', times=1))
        self.addCleanup(knobs.clear, instance.server_id)
        self.begin(instance)
        upgrade = self.ended(instance, PATIENCE_SECONDS)
        self.assertEqual('FAILED', upgrade['state'], upgrade)
        shown = self.instances.show(instance.id)
        self.assertEqual(
            ('ERROR', self.former.name), (shown['status'], shown['datastore']['version'])
        )
        self.assertIn('no space left', json.dumps(shown['fault']))

        self.product.manage('upgrade', 'rollback', upgrade['id'])

        self.wait_until(
            lambda: self.get(f'/upgrades/{upgrade["id"]}')['upgrade']['state'] == 'ROLLED_BACK',
            'the rollback to end',
            PATIENCE_SECONDS,
        )
        self.whole(instance, rows, self.former)
        self.assertEqual(former, guests.container(self.guest(instance)))


class TestPreloaded(AroundCase):
    def test_a_guest_image_that_has_the_container_image_needs_no_registry_after_the_rebuild(self):
        target = downtime.preloaded(self.stage, Progress())
        instance, rows = self.filled('preloaded')
        self.hold_rebuild()
        with application.writing(self.writes_to(instance), self.work_dir) as written:
            self.begin(instance, target)
            self.wait_step(instance, 'rebuild')
            self.stop_registry()
            self.proxy('DELETE', '/__faults')
            self.completes(instance)
            application.wait_for_writes(written, application.SETTLE_WRITES)
        self.assert_nothing_lost(instance, written)
        self.whole(instance, rows, target)

    def stop_registry(self):
        self.addCleanup(stage.start_registry, self.stage.layout, self.side, lambda _text: None)
        layout = self.stage.layout
        Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir).stop((registry.NAME,))


class TestAnotherRepository(AroundCase):
    def test_a_repository_that_the_facts_name_is_let_into_the_guest_by_its_operator_and_goes_with_its_user_data(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        image = next(
            image
            for image in registry.build(self.stage.layout.images_cache, lambda _text: None)
            if (image.repository, image.version) == ('mariadb', self.target.number)
        )
        registry.client(self.side.settings).push(
            dataclasses.replace(image, repository='elsewhere/mariadb')
        )
        repository = f'{self.side.deployment.registry}/elsewhere/mariadb'
        self.addCleanup(stage.record_facts, self.stage.layout, self.product)
        self.record_facts(
            {**self.agents_facts(), 'container_image': f'{repository}:{self.target.number}'}
        )
        instance, rows = self.filled('another-repository')
        self.begin(instance)
        upgrade = self.ended(instance, PATIENCE_SECONDS)
        self.assertEqual('CONTAINER_REPOSITORY_NOT_ALLOWED', upgrade['error_code'], upgrade)
        self.whole(instance, rows, self.former)

        option = f'[trove_upgrade]\ncontainer_repositories = {repository}\n'
        self.guest(instance).exec(
            [
                'sh',
                '-ec',
                (
                    f"printf '{option}' > /etc/trove/conf.d/repositories.conf; "
                    '/etc/init.d/trove-upgrade-guestagent restart'
                ),
            ]
        )
        self.begin(instance)
        self.completes(instance)
        self.whole(instance, rows)
        self.assertEqual(
            f'{repository}:{self.target.number}', guests.container(self.guest(instance)).image
        )

    def agents_facts(self):
        """Of the target's image; a version without them is refused to a guest that has a key."""
        return json.loads((self.stage.layout.run_dir / 'trove-facts.json').read_text())[
            self.target.number
        ]

    def record_facts(self, facts):
        path = self.work_dir / 'facts.json'
        path.write_text(json.dumps(facts))
        self.product.manage('datastore_version_facts', stage.DATASTORE, self.target.name, str(path))


class TestNetworkIsolation(AroundCase):
    def test_a_guest_with_one_nic_keeps_it_under_troves_default_of_network_isolation(self):
        former = self.side.deployment.sections
        self.addCleanup(self.restart, former)
        self.restart({**former, 'network': {'network_isolation': True}})
        instance, rows = self.filled('one-nic')
        self.begin(instance)
        self.completes(instance)
        self.whole(instance, rows)
        self.reboot(instance)
        self.assertTrue(database.serves(self.guest(instance)))
        self.whole(instance, rows)

    def restart(self, sections):
        """Trove's taskmanager, which renders what a guest is told."""
        self.side.taskmanager.stop()
        self.side.configure(sections=sections)
        self.side.taskmanager.start()
