# SPDX-License-Identifier: Apache-2.0
"""Answers that a client may get, and what it makes of them."""

import json
import socket
import urllib.parse

from keystoneauth1 import session, token_endpoint

from troveupgradeclient import exceptions
from troveupgradeclient.tests import base
from troveupgradeclient.tests.standin import world
from troveupgradeclient.v1 import api, client


class TestAnswers(base.ClientTestCase):
    def answering(self, status, content, path='/upgrades'):
        self.standin.application.answers['GET', path] = (status, content)

    def listed(self):
        return list(self.client.upgrades.list())

    def test_a_refusal_has_the_servers_sentence_code_and_status(self):
        refused = self.assertRaises(
            exceptions.RequestRefused, self.client.instances.get, world.new_id('instance', 9)
        )
        self.assertEqual((404, 'INSTANCE_NOT_FOUND'), (refused.status, refused.code))
        self.assertIn('cannot be found. (INSTANCE_NOT_FOUND)', str(refused))

    def test_what_is_no_id_asks_for_nothing(self):
        for given in ('', ' ', '.', '..'):
            for asked in (
                self.client.instances.get,
                self.client.upgrades.get,
                self.client.upgrades.actions,
            ):
                refused = self.assertRaises(exceptions.IdInvalid, asked, given)
                self.assertIn(f'"{given}"', str(refused))
        self.assertEqual([], self.standin.application.requests)

    def test_a_refusal_in_another_form_has_its_status(self):
        for content in (b'<html>', b'[]', b'{"a": 1}', b'{"forbidden": {"message": "No."}}', b''):
            self.answering(403, content)
            refused = self.assertRaises(exceptions.RequestRefused, self.listed)
            self.assertEqual((403, None), (refused.status, refused.code))
            self.assertTrue(str(refused).endswith('(HTTP 403)'), refused)

    def test_a_sentence_has_nothing_that_a_terminal_would_obey(self):
        self.answering(403, b'{"forbidden": {"message": "No \\u001b[2J.\\nNo."}}')
        refused = self.assertRaises(exceptions.RequestRefused, self.listed)
        self.assertEqual('No \\x1b[2J.\\nNo. (HTTP 403)', str(refused))

    def test_a_gateway_without_a_service_behind_it_is_silence(self):
        self.answering(503, b'<html>no server is available</html>')
        silent = self.assertRaises(exceptions.ApiSilent, self.listed)
        self.assertIn('HTTP 503', str(silent))

    def test_the_services_own_503_is_a_refusal_with_its_sentence(self):
        fault = {'code': 503, 'message': 'Later. (X_AWAY)', 'error_code': 'X_AWAY'}
        self.answering(503, json.dumps({'serviceUnavailable': fault}).encode())
        refused = self.assertRaises(exceptions.RequestRefused, self.listed)
        self.assertEqual('Later. (X_AWAY)', str(refused))

    def test_an_endpoint_where_nothing_listens_is_silence(self):
        auth = token_endpoint.Token('http://127.0.0.1:1/v1.0/p', 't')
        keystone = session.Session(auth=auth)
        self.addCleanup(keystone.session.close)
        away = client.Client(session=keystone)
        self.assertRaises(exceptions.ApiSilent, away.upgrades.get, world.new_id('upgrade', 1))

    def test_what_is_no_answer_of_the_service_is_told_as_such(self):
        for content in (
            b'<html>',
            b'',
            b'null',
            b'{}',
            b'{"upgrades": {}}',
            b'{"upgrades": [1]}',
            b'{"upgrades": [{"id": 1}]}',
            b'{"upgrades": [{"id": "a"}]}',
        ):
            self.answering(200, content)
            self.assertRaises(exceptions.AnswerInvalid, self.listed)

    def test_a_link_that_leads_back_to_the_same_page_ends_the_list(self):
        upgrade = self.world.add_upgrade()
        link = {'rel': 'next', 'href': f'http://x/?marker={upgrade["id"]}'}
        self.answering(200, json.dumps({'upgrades': [upgrade], 'links': [link]}).encode())
        self.assertEqual([upgrade['id']], [each.id for each in self.listed()])
        self.assertEqual(2, len(self.requests('GET')))

    def test_the_next_page_begins_where_the_link_tells_though_its_row_has_changed(self):
        upgrade = self.world.add_upgrade()
        moment = '2026-11-30T10:00:00.123456+00:00'
        begin = urllib.parse.urlencode({'marker': upgrade['id'], 'marker_time': moment})
        link = {'rel': 'next', 'href': f'http://x/?{begin}&limit=1'}
        self.answering(200, json.dumps({'upgrades': [upgrade], 'links': [link]}).encode())
        self.assertEqual([upgrade['id']], [each.id for each in self.listed()])
        self.assertEqual(['/upgrades', f'/upgrades?{begin}'], self.requests('GET'))

    def test_a_name_is_one_part_of_the_address(self):
        self.assertRaises(exceptions.RequestRefused, self.client.upgrades.get, 'x?a=b#c')
        self.assertEqual(['/upgrades/x?a=b#c'], self.requests('GET'))

    def test_a_list_is_read_no_further_than_it_is_looked_at(self):
        for _ in range(250):
            self.world.add_upgrade()
        next(iter(self.client.upgrades.list()))
        self.assertEqual(1, len(self.requests('GET')))

    def test_a_limit_of_troves_is_passing_and_a_body_that_is_too_large_is_not(self):
        limit = b'{"overLimit": {"code": 413, "message": "This request was rate-limited."}}'
        code = b'{"overLimit": {"code": 413, "message": "Too large.", "error_code": "X"}}'
        for status, content, header, passing, seconds in (
            (413, limit, '7', True, 7.0),
            (413, limit, 'Mon, 30 Nov 2026 10:00:00 GMT', True, None),
            (429, b'<html>', '7', True, 7.0),
            (413, code, '7', False, 7.0),
        ):
            headers = [('Retry-After', header)]
            path = f'/upgrades/{world.new_id("upgrade", 1)}'
            self.standin.application.once = [('GET', path, status, content, headers)]
            look = self.client.upgrades.get
            upgrade = path.rpartition('/')[2]
            refused = self.assertRaises(exceptions.RequestRefused, look, upgrade, seconds=9.0)
            found = (refused.status, refused.is_passing, refused.retry_after_seconds)
            self.assertEqual((status, passing, seconds), found)

    def test_a_request_that_is_one_too_many_is_sent_again_after_a_while(self):
        limit = ('GET', '/upgrades', 413, b'{"overLimit": {"code": 413}}', [])
        self.standin.application.once = [limit] * 3
        self.assertEqual([], self.listed())
        self.assertEqual([2, 4, 8], self.clock.pauses)
        post = ('POST', '/upgrades', 429, b'', [('Retry-After', '7')])
        self.standin.application.once = [post]
        self.assertEqual('PENDING', self.client.upgrades.start(world.ORDERS, '11.8.6').state)
        self.assertEqual(7, self.clock.pauses[-1])
        self.assertEqual(1, len(self.world.upgrades))

    def test_a_limit_that_stays_is_a_refusal(self):
        self.answering(429, b'<html>')
        refused = self.assertRaises(exceptions.RequestRefused, self.listed)
        self.assertEqual((429, True), (refused.status, refused.is_limit))
        self.assertTrue(api.LIMIT_SECONDS <= self.clock.time < 3 * api.LIMIT_SECONDS)


class TestLogin(base.ClientTestCase):
    """Keystone's answers, at the login and where the token is to be made anew."""

    def setUp(self):
        super().setUp()
        self.upgrade = self.world.add_upgrade()['id']

    def test_a_keystone_that_is_away_when_the_token_is_made_anew_is_silence(self):
        self.standin.application.keystone.expires_at = '2001-01-01T00:00:00.000000Z'
        made = self.with_login()
        self.assertEqual(self.upgrade, made.upgrades.get(self.upgrade).id)
        for status in (500, 503, 429):
            self.standin.application.keystone.logins = [status]
            silent = self.assertRaises(exceptions.ApiSilent, made.upgrades.get, self.upgrade)
            self.assertTrue(silent.is_passing)
        self.assertEqual(self.upgrade, made.upgrades.get(self.upgrade).id)

    def test_a_login_that_is_refused_has_a_code(self):
        for status in (401, 403, 400):
            self.standin.application.keystone.logins = [status, status]
            failed = self.assertRaises(
                exceptions.LoginFailed, self.with_login().upgrades.get, self.upgrade
            )
            self.assertIn('(LOGIN_FAILED)', str(failed))

    def test_a_catalog_without_the_endpoint_has_a_code(self):
        made = self.with_login(region_name='RegionTwo')
        missing = self.assertRaises(exceptions.EndpointMissing, made.upgrades.get, self.upgrade)
        self.assertIn('(DATABASE_ENDPOINT_MISSING)', str(missing))


class TestSilence(base.ClientTestCase):
    def test_a_request_that_nothing_answers_ends_with_the_time_that_is_left(self):
        listening = socket.create_server(('127.0.0.1', 0))  # it accepts, and answers nothing
        self.addCleanup(listening.close)
        endpoint = f'http://127.0.0.1:{listening.getsockname()[1]}/v1.0/p'
        keystone = session.Session(auth=token_endpoint.Token(endpoint, 't'))
        self.addCleanup(keystone.session.close)
        keystone.session.trust_env = False
        away = client.Client(session=keystone)
        upgrade = world.new_id('upgrade', 1)
        self.assertRaises(exceptions.ApiSilent, away.upgrades.get, upgrade, seconds=0.1)
        keystone.timeout = 0.1
        bounded = client.Client(session=keystone)
        self.assertRaises(exceptions.ApiSilent, bounded.upgrades.get, upgrade)
