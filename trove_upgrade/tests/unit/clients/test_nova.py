# SPDX-License-Identifier: Apache-2.0
"""The Nova adapter through the real python-novaclient, against HTTP on loopback."""

import base64
import time

from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import plugin
from keystoneauth1 import session as keystone_session

from trove_upgrade.clients import session
from trove_upgrade.clients.glance import Glance
from trove_upgrade.clients.nova import Nova
from trove_upgrade.clients.nova_list import NovaDirectory
from trove_upgrade.domain import compute, exceptions
from trove_upgrade.tests.fakes import FakeClock
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.clients import cloud

ACTION = f'/v2.1/servers/{cloud.SERVER}/action'
SHOW = f'/v2.1/servers/{cloud.SERVER}'
Result = compute.RebuildResult


def in_seconds(seconds):
    """Moment of the monotonic clock."""
    return time.monotonic() + seconds


class _NovaCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(cloud.Cloud())
        self.nova = Nova.from_conf(self.cloud.conf())


class TestReading(_NovaCase):
    def test_a_server_is_looked_at_without_its_user_data(self):
        server = self.nova.server(cloud.SERVER)
        self.assertEqual(
            ('ACTIVE', 'image-1', {'kept': 'yes'}, None),
            (server.status, server.image_id, server.metadata, server.user_data),
        )

    def test_a_server_is_read_whole(self):
        server = self.nova.server_with_user_data(cloud.SERVER)
        self.assertEqual(
            ('ACTIVE', None, 'image-1', cloud.USER_DATA, 'c1', 512, 4),
            (
                server.status,
                server.task_state,
                server.image_id,
                server.user_data,
                server.host,
                server.flavor_ram_mb,
                server.flavor_disk_gb,
            ),
        )
        self.assertEqual(
            [('10.0.0.3', 'private'), ('192.0.2.7', 'public')],
            [(item.address, item.type) for item in server.addresses],
        )
        self.assertIsNone(server.marker)
        self.assertFalse(server.volume_backed)

    def test_a_server_without_user_data_is_told_from_one_whose_user_data_is_hidden(self):
        name = 'OS-EXT-SRV-ATTR:user_data'
        self.cloud.server[name] = None
        found = self.nova.server_with_user_data(cloud.SERVER)
        self.assertEqual((None, True), (found.user_data, found.shows_user_data))
        del self.cloud.server[name]
        found = self.nova.server_with_user_data(cloud.SERVER)
        self.assertEqual((None, False), (found.user_data, found.shows_user_data))

    def test_the_flavors_id_is_asked_as_an_old_nova_shows_it(self):
        self.cloud.server.update(flavor={'id': '6', 'links': []})
        self.assertEqual('6', self.nova.flavor_id(cloud.SERVER))
        self.assertRaises(exceptions.ServerNotFound, self.nova.flavor_id, 'other')

    def test_its_nics_are_its_fixed_addresses_with_their_hardware_addresses(self):
        hidden = self.nova.server(cloud.SERVER)
        self.assertEqual(('p1', ()), (hidden.project_id, hidden.nics))
        self.cloud.shows_nics()
        nic = compute.ShownNic('fa:16:3e:00:00:01', '10.0.0.3')
        self.assertEqual((nic,), self.nova.server(cloud.SERVER).nics)

    def test_a_server_without_an_image_boots_from_a_volume(self):
        self.cloud.server.update(image='')
        self.assertTrue(self.nova.server(cloud.SERVER).volume_backed)

    def test_the_picture_has_host_quota_and_microversion(self):
        description = self.nova.describe(cloud.SERVER)
        self.assertEqual(
            (True, 128, (2, 93)),
            (description.compute_up, description.metadata_quota, description.max_microversion),
        )
        self.cloud.server.update(host_status='DOWN')
        self.assertIs(False, self.nova.describe(cloud.SERVER).compute_up)
        del self.cloud.server['host_status']
        self.assertIsNone(self.nova.describe(cloud.SERVER).compute_up)

    def test_an_older_nova_is_asked_in_its_own_version(self):
        self.cloud.version = '2.60'
        self.assertEqual((2, 60), self.nova.describe(cloud.SERVER).max_microversion)

    def test_an_unknown_server_is_not_found(self):
        self.assertRaises(
            exceptions.ServerNotFound, self.nova.server, '22222222-2222-4222-8222-222222222222'
        )

    def test_a_nova_that_hangs_breaks_or_is_down_is_unavailable(self):
        self.cloud.answers[('GET', SHOW)] = (503, {})
        self.assertRaises(exceptions.ComputeUnavailable, self.nova.server, cloud.SERVER)
        self.cloud.answers[('GET', SHOW)] = 'hang'
        impatient = Nova.from_conf(self.cloud.conf(compute_timeout=cloud.IMPATIENT))
        self.assertRaises(exceptions.ComputeUnavailable, impatient.server, cloud.SERVER)

    def test_a_keystone_that_is_down_is_unavailable(self):
        conf = self.cloud.conf()
        conf.set_override('auth_url', cloud.unused_url(), 'service_credentials')
        self.assertRaises(exceptions.ComputeUnavailable, Nova.from_conf(conf).server, cloud.SERVER)


class TestPlainExceptions(_NovaCase):
    """What keystoneauth1 and python-novaclient raise beside their own errors."""

    def refused(self, ask, *arguments, **more):
        error = self.assertRaises(exceptions.ComputeUnavailable, ask, *arguments, **more)
        self.assertNotIn('p4ssword', error.message)
        return error.message

    def test_a_service_user_without_a_password(self):
        conf = self.cloud.conf()
        conf.set_override('password', None, 'service_credentials')
        self.assertIn(
            'password is a required attribute',
            self.refused(Nova.from_conf(conf).server, cloud.SERVER),
        )
        self.assertIn(
            'password is a required attribute',
            self.refused(Glance.from_conf(conf).image, 'image-2'),
        )
        self.assertIn(
            'password is a required attribute',
            self.refused(NovaDirectory.from_conf(conf).list_servers, [cloud.SERVER]),
        )

    def test_a_password_that_keystone_refuses_later(self):
        self.nova.server(cloud.SERVER)
        self.cloud.answers['GET', SHOW] = (401, {'error': {'code': 401}})
        self.cloud.answers['POST', '/v3/auth/tokens'] = (
            401,
            {'error': {'code': 401, 'message': 'no such user or password'}},
        )
        self.assertIn('401', self.refused(self.nova.server, cloud.SERVER))

    def test_a_file_of_certificates_that_is_not_there(self):
        conf = self.cloud.conf()
        conf.set_override(
            'auth_url', self.cloud.url.replace('http:', 'https:'), 'service_credentials'
        )
        conf.set_override('cafile', '/does/not/exist', 'service_credentials')
        self.assertIn('/does/not/exist', self.refused(Nova.from_conf(conf).server, cloud.SERVER))

    def test_answers_of_another_form(self):
        for document in (
            [],
            {},
            {'server': None},
            {'server': []},
            'text',
            {'server': {'id': cloud.SERVER}},
        ):
            self.cloud.answers['GET', SHOW] = (200, document)
            self.refused(self.nova.server, cloud.SERVER)
            self.refused(self.nova.describe, cloud.SERVER)
            self.refused(self.nova.flavor_id, cloud.SERVER)

    def test_the_answer_to_a_rebuild_of_another_form_leaves_open_whether_it_was_accepted(self):
        server = self.nova.server(cloud.SERVER)
        self.cloud.answers['POST', ACTION] = (202, {'other': 1})
        self.refused(self.nova.rebuild, server, 'image-2', 'u:1', b'', ends_at=in_seconds(20))

    def test_images_of_another_form(self):
        glance = Glance.from_conf(self.cloud.conf())
        for document in ([], {}, None, {'images': 5}, {'images': [{}]}):
            self.cloud.answers['GET', '/v2/images'] = self.cloud.answers[
                'GET', '/v2/images/image-2'
            ] = (200, document)
            self.refused(glance.newest, ['trove'])
            self.refused(glance.image, 'image-2')


class TestRebuild(_NovaCase):
    def rebuild(self, user_data=b'#cloud-config\n', *, seconds=20):
        server = self.nova.server(cloud.SERVER)
        self.nova.max_microversion()  # asked before the time begins
        self.nova.rebuild(server, 'image-2', 'u:1', user_data, ends_at=in_seconds(seconds))
        return self.cloud.asked('POST', ACTION)[0]['rebuild']

    def test_all_other_metadata_is_sent_again_and_user_data_in_base64(self):
        body = self.rebuild()
        self.assertEqual(
            {
                'imageRef': 'image-2',
                'metadata': {'kept': 'yes', 'trove_upgrade': 'u:1'},
                'user_data': base64.b64encode(b'#cloud-config\n').decode(),
            },
            body,
        )

    def test_below_2_57_files_are_injected(self):
        self.cloud.version = '2.56'
        body = self.rebuild(
            b'#cloud-config\nwrite_files: [{path: /a, encoding: b64, content: aGk=}]\n'
        )
        self.assertNotIn('user_data', body)
        self.assertEqual(
            [{'path': '/a', 'contents': base64.b64encode(b'hi').decode()}], body['personality']
        )

    def raises(self, status):
        self.cloud.answers[('POST', ACTION)] = (
            status,
            {'x': {'code': status, 'message': 'because'}},
        )
        return self.assertRaises(exceptions.TroveUpgradeError, self.rebuild)

    def test_what_nova_answers_decides_what_may_be_done_next(self):
        for status, kind in (
            (400, exceptions.RebuildRefused),
            (403, exceptions.RebuildRefused),
            (404, exceptions.RebuildRefused),
            (409, exceptions.RebuildConflict),
            (429, exceptions.RebuildConflict),
            (500, exceptions.ComputeUnavailable),
            (503, exceptions.ComputeUnavailable),
        ):
            error = self.raises(status)
            self.assertIs(kind, type(error), status)
        self.assertIn('because', self.raises(400).message)

    def test_user_data_that_nova_repeats_does_not_come_into_our_error(self):
        secret = base64.b64encode(
            b'#cloud-config\n# transport_url = rabbit://u:canary@b/ and more\n'
        ).decode()
        for status in (400, 409, 500):
            message = (
                f'Invalid input for field/attribute user_data. Value: {secret}. '
                f"'{secret[:50]}' is too long, request req-{cloud.SERVER}"
            )
            self.cloud.answers[('POST', ACTION)] = (
                status,
                {'x': {'code': status, 'message': message}},
            )
            error = self.assertRaises(exceptions.TroveUpgradeError, self.rebuild)
            for text in (error.message, str(error.__cause__)):
                self.assertNotIn(secret[:50], text)
                self.assertIn(f"Value: ***. '***' is too long, request req-{cloud.SERVER}", text)

    def test_it_is_posted_once_even_if_no_answer_comes(self):
        self.cloud.answers[('POST', ACTION)] = 'hang'
        self.assertRaises(exceptions.ComputeUnavailable, self.rebuild, seconds=cloud.IMPATIENT)
        self.assertEqual(1, len(self.cloud.asked('POST', ACTION)))

    def test_none_is_posted_by_a_process_that_was_paused_until_its_time_was_over(self):
        self.assertRaises(exceptions.ComputeUnavailable, self.rebuild, seconds=0)
        self.assertEqual([], self.cloud.asked('POST', ACTION))

    def test_one_whose_token_is_refused_is_not_posted_once_more_when_its_time_is_over(self):
        self.cloud.answers[('POST', ACTION)] = (401, {'error': {'code': 401}})
        self.assertRaises(exceptions.ComputeUnavailable, self.rebuild)
        self.assertEqual(1, len(self.cloud.asked('POST', ACTION)))


class TestOneTry(base.TestCase):
    """The session of a rebuild, on a clock of the test's own."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(cloud.Cloud())
        self.clock = FakeClock()
        shared = session.from_conf(self.cloud.conf(), timeout_seconds=20)
        self.session = session.OneTry(shared, self.clock.monotonic() + 10, self.clock.monotonic)

    def test_it_asks_while_there_is_time(self):
        self.clock.pass_time(9.5)
        self.assertEqual(200, self.session.get(f'{self.cloud.url}{SHOW}').status_code)

    def test_it_sends_nothing_afterwards(self):
        for seconds in (10, 1000):
            self.clock.pass_time(seconds)
            self.assertRaises(
                keystone_exceptions.ConnectTimeout, self.session.get, f'{self.cloud.url}{SHOW}'
            )
        self.assertEqual([], self.cloud.requests)

    def test_it_sends_nothing_after_a_login_that_took_its_time(self):
        clock = self.clock

        class Slow(plugin.BaseAuthPlugin):
            def get_token(self, session, **_more):
                clock.pass_time(30)
                return 'a token'

        shared = keystone_session.Session(auth=Slow())
        slow = session.OneTry(shared, clock.monotonic() + 10, clock.monotonic)
        self.assertRaises(
            keystone_exceptions.ConnectTimeout, slow.post, f'{self.cloud.url}{ACTION}', json={}
        )
        self.assertEqual([], self.cloud.requests)


class TestResult(_NovaCase):
    def result(self, status='ACTIVE', task=None):
        self.cloud.server.update({'status': status, 'OS-EXT-STS:task_state': task})
        return self.nova.rebuild_result(self.nova.server(cloud.SERVER))

    def test_neither_status_nor_event_alone_proves_it(self):
        self.cloud.action('r1', ('compute_rebuild_instance', 'Success'))
        self.assertEqual(Result.SUCCESS, self.result())
        self.assertEqual(Result.RUNNING, self.result('REBUILD', 'rebuilding'))
        self.assertEqual(Result.RUNNING, self.result('ACTIVE', 'powering-off'))
        self.assertEqual(Result.ERROR, self.result('ERROR'))

    def test_active_with_an_error_means_that_nothing_happened(self):
        self.cloud.action(
            'r1', ('conductor_rebuild', 'Error'), ('compute_rebuild_instance', 'Error')
        )
        self.assertEqual(Result.NOTHING_HAPPENED, self.result())

    def test_an_event_that_has_not_ended_is_waited_for(self):
        self.assertEqual(Result.RUNNING, self.result())
        self.cloud.action('r1', ('compute_rebuild_instance', None))
        self.assertEqual(Result.RUNNING, self.result())

    def test_only_the_last_rebuild_counts(self):
        self.cloud.action(
            'r1', ('compute_rebuild_instance', 'Success'), start='2026-01-01T00:00:00'
        )
        self.cloud.action('r2', ('compute_rebuild_instance', 'Error'), start='2026-01-02T00:00:00')
        self.cloud.action(
            'r3',
            ('compute_reboot_instance', 'Success'),
            start='2026-01-03T00:00:00',
            action='reboot',
        )
        self.assertEqual(Result.NOTHING_HAPPENED, self.result())


class TestDirectory(_NovaCase):
    def directory(self, seconds=60.0):
        return NovaDirectory.from_conf(self.cloud.conf(server_list_timeout=seconds))

    def test_servers_that_nova_has_come_in_one_call(self):
        self.cloud.answers[('GET', '/v2.1/servers/detail')] = (
            200,
            {'servers': [self.cloud.server]},
        )
        found = self.directory().list_servers([cloud.SERVER])
        self.assertEqual(
            {cloud.SERVER: 'ACTIVE'}, {key: summary.status for key, summary in found.items()}
        )
        self.assertEqual('10.0.0.3', found[cloud.SERVER].addresses[0].address)
        self.assertEqual(1, len(self.cloud.asked('GET', '/v2.1/servers/detail')))

    def test_one_in_its_tenants_own_project_is_found_by_an_administrator(self):
        def listed(query):
            is_all = 'all_tenants=1' in query and 'project_id=p1' in query
            return 200, {'servers': [self.cloud.server] if is_all else []}

        self.cloud.answers[('GET', '/v2.1/servers/detail')] = listed
        self.assertEqual({}, self.directory().list_servers([cloud.SERVER], ['p2']))
        self.assertEqual(
            [cloud.SERVER], list(self.directory().list_servers([cloud.SERVER], ['p1']))
        )

    def test_a_login_that_is_no_administrator_gets_those_of_its_own_project(self):
        def listed(query):
            if 'all_tenants' in query:
                return 403, {}
            return 200, {'servers': [] if 'marker' in query else [self.cloud.server]}

        self.cloud.answers[('GET', '/v2.1/servers/detail')] = listed
        found = self.directory().list_servers([cloud.SERVER, 'gone'], ['p1', 'p2'])
        self.assertEqual([cloud.SERVER], list(found))

    def test_nothing_is_asked_for_no_servers(self):
        self.assertEqual({}, self.directory().servers([]))
        self.assertEqual([], self.cloud.requests)

    def test_the_limit_holds_for_everything_together(self):
        self.cloud.answers[('GET', '/v2.1/servers/detail')] = 'hang'
        self.assertRaises(
            exceptions.ComputeUnavailable, self.directory(0.2).list_servers, [cloud.SERVER]
        )

    def test_a_nova_that_breaks_is_unavailable(self):
        self.cloud.answers[('GET', '/v2.1/servers/detail')] = (500, {})
        self.assertRaises(
            exceptions.ComputeUnavailable, self.directory().list_servers, [cloud.SERVER]
        )
