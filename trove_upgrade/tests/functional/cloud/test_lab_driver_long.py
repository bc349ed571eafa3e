# SPDX-License-Identifier: Apache-2.0
"""The lab's virt driver under a real Nova: what a rebuild keeps, and each way in which it can be
told to fail.
"""

import uuid

from lab.knobs import Knobs, KnobStore
from lab.layout import Layout
from trove_upgrade.tests.functional.cloud import base


class LabDriverTest(base.CloudTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.knobs = KnobStore(Layout.from_environ().faults_dir)
        cls.server_id = cls.maker.boot(
            f'driver-{uuid.uuid4().hex[:6]}',
            cls.former.image_id,
            str(uuid.uuid4()),
            flavor='db.small',
            datastore_version=cls.former.name,
            project='demo',
        )
        cls.addClassCleanup(cls.maker.delete, cls.server_id)

    def setUp(self):
        # One server for all: each test rebuilds it from the image that it does not run.
        super().setUp()
        self.addCleanup(self.knobs.clear, self.server_id)
        self.running = self.system()
        self.other, self.other_image_id = (
            ('trixie', self.target.image_id)
            if self.running == 'bookworm'
            else ('bookworm', self.former.image_id)
        )

    def server(self):
        return self.maker.server(self.server_id)

    def system(self):
        return (
            self.maker.guest(self.server_id)
            .exec(['sh', '-c', '. /etc/os-release; echo $VERSION_CODENAME'])
            .output.strip()
        )

    def act(self, action, body=None):
        service = self.handle.service
        session = base.rest.Session.of(service)
        session.request(
            'POST', f'{self.handle.nova_url}/servers/{self.server_id}/action', {action: body}
        )

    def rebuild(self):
        """Ask for a rebuild and wait for its end, which Nova's own record of the action tells."""
        before = len(self.results())
        self.act('rebuild', {'imageRef': self.other_image_id})
        self.wait_until(
            lambda: len(self.results()) > before and None not in self.results() and self.settled(),
            'the rebuild to end',
        )
        return self.server()

    def settled(self):
        return self.server()['OS-EXT-STS:task_state'] is None

    def results(self):
        """Results of all rebuilds of the server on its host, the newest first; None for one under
        way.
        """
        service = self.handle.service
        session = base.rest.Session.of(service)
        url = f'{self.handle.nova_url}/servers/{self.server_id}/os-instance-actions'
        actions = [
            action
            for action in session.request('GET', url)['instanceActions']
            if action['action'] == 'rebuild'
        ]
        details = [
            session.request('GET', f'{url}/{action["request_id"]}')['instanceAction']['events']
            for action in actions
        ]
        return [
            next(
                (
                    event['result']
                    for event in events
                    if event['event'] == 'compute_rebuild_instance'
                ),
                None,
            )
            for events in details
        ]

    def test_a_rebuild_keeps_volume_and_address_and_brings_the_other_image(self):
        guest = self.maker.guest(self.server_id)
        former_volume, former_ports, former_boot = guest.volume, guest.ports, guest.boot_id

        server = self.rebuild()

        guest = self.maker.guest(self.server_id)
        self.assertEqual(('ACTIVE', self.other), (server['status'], self.system()))
        self.assertEqual((former_volume, former_ports), (guest.volume, guest.ports))
        self.assertNotEqual(former_boot, guest.boot_id)
        self.assertEqual('Success', self.results()[0])

    def test_a_rebuild_that_fails_is_an_error_with_its_reason_and_the_next_one_works(self):
        self.knobs.turn(self.server_id, Knobs(spawn_error='no space left', times=1))

        server = self.rebuild()
        self.assertEqual('ERROR', server['status'])
        self.assertIn('no space left', server['fault']['message'])
        self.assertEqual('Error', self.results()[0])

        self.assertEqual('ACTIVE', self.rebuild()['status'])
        self.assertEqual(self.other, self.system())

    def test_an_image_that_cannot_be_loaded_leaves_the_old_guest_running(self):
        self.knobs.turn(self.server_id, Knobs(image_unloadable=True, times=1))
        boot_id = self.maker.guest(self.server_id).boot_id

        server = self.rebuild()

        self.assertEqual(
            ('ACTIVE', self.other_image_id, 'Error'),
            (server['status'], server['image']['id'], self.results()[0]),
        )
        self.assertEqual(
            (boot_id, self.running), (self.maker.guest(self.server_id).boot_id, self.system())
        )

    def test_a_wrong_image_without_agent_is_a_success_to_nova(self):
        self.knobs.turn(self.server_id, Knobs(wrong_image='former', no_agent=True))

        server = self.rebuild()

        self.assertEqual(
            ('ACTIVE', self.other_image_id, 'Success'),
            (server['status'], server['image']['id'], self.results()[0]),
        )
        self.assertEqual(self.running, self.system())
        self.assertEqual(
            1,
            self.maker.guest(self.server_id)
            .exec(['pgrep', '-x', 'guestagent-run'], check=False)
            .returncode,
        )

    def test_a_rebuild_can_be_held_and_let_go(self):
        self.knobs.turn(self.server_id, Knobs(stuck='blocked'))
        self.act('rebuild', {'imageRef': self.other_image_id})
        self.wait_until(
            lambda: self.server()['OS-EXT-STS:task_state'] == 'rebuild_spawning',
            'the rebuild to be held',
        )

        self.knobs.clear(self.server_id)

        self.wait_until(lambda: self.server()['status'] == 'ACTIVE', 'the rebuild to end')

    def test_a_guest_that_died_by_itself_is_rebuilt_like_any_other(self):
        self.maker.guest(self.server_id).kill()

        self.assertEqual('ACTIVE', self.rebuild()['status'])

    def test_reboots_and_power_change_the_boot_id_and_nothing_else(self):
        for action, body in (('reboot', {'type': 'SOFT'}), ('reboot', {'type': 'HARD'})):
            former = self.maker.guest(self.server_id).boot_id
            self.act(action, body)
            self.wait_until(
                lambda former=former: (
                    self.maker.guest(self.server_id).boot_id != former and self.settled()
                ),
                'the reboot',
            )
        self.act('os-stop')
        self.wait_until(
            lambda: self.server()['status'] == 'SHUTOFF' and self.settled(), 'the server to stop'
        )
        self.assertFalse(self.maker.guest(self.server_id).running)
        self.act('os-start')
        self.wait_until(
            lambda: self.server()['status'] == 'ACTIVE' and self.settled(), 'the server to start'
        )
        self.assertEqual(self.running, self.system())
