# SPDX-License-Identifier: Apache-2.0
"""The filter before a stand-in of Trove's application."""

import io
import json

import routes
import routes.middleware
import webtest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trove_upgrade.api.filter import UpgradeFilter
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.api import stage

INSTANCE = f'/instances/{database.INSTANCE}'
UPGRADE = json.dumps({'instance': {'datastore_version': '11.8.6'}}).encode()


class Trove:
    """Remembers what was handed on to it, body included."""

    def __init__(self):
        self.seen = []

    def __call__(self, environ, start_response):
        body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
        self.seen.append((environ['REQUEST_METHOD'], environ['PATH_INFO'], body))
        start_response('418 Trove', [('Content-Type', 'text/plain')])
        return [b'trove']


class FilterTestCase(stage.ApiTestCase):
    def new_app(self, **changes):
        self.trove = Trove()
        ours = super().new_app(servers=None, **changes).app._application
        return webtest.TestApp(
            stage.FakeAuth(UpgradeFilter(self.trove, ours, lambda: 65536)), lint=False
        )

    def assert_handed_on(self, response, method, path, body=b''):
        self.assertEqual(418, response.status_int, response.text)
        self.assertEqual([(method, f'/{database.PROJECT}{path}', body)], self.trove.seen)
        self.trove.seen.clear()


class TestClaims(FilterTestCase):
    def test_an_upgrade_is_ours_by_patch_and_put(self):
        for method in ('PATCH', 'PUT'):
            instance_id = self.db.add_instance(name=method)
            response = self.ask(method, f'/instances/{instance_id}', raw=UPGRADE)
            self.assertEqual(202, response.status_int)
        self.assertEqual((2, []), (len(self.taskmanager.upgrades), self.trove.seen))

    def test_an_upgrade_by_the_way_of_troves_management_is_ours_too(self):
        """Trove's extensions give every member this way to the same handler."""
        for method in ('PATCH', 'PUT'):
            instance_id = self.db.add_instance(name=method)
            self.assertEqual(
                202, self.ask(method, f'/mgmt/instances/{instance_id}', raw=UPGRADE).status_int
            )
            self.assert_refused(
                self.ask(method, f'/mgmt/instances/{instance_id}.json', raw=UPGRADE),
                404,
                'INSTANCE_NOT_FOUND',
            )
        self.assert_refused(
            self.ask('PUT', f'/mgmt/instances/{instance_id}', raw=UPGRADE, roles=stage.READER),
            403,
            'FORBIDDEN',
        )
        for path in ('?_method=PUT', '/edit', '/edit.json', '//edit/'):
            self.assert_refused(
                self.ask('GET', f'/mgmt/instances/{instance_id}{path}', raw=UPGRADE),
                400,
                'METHOD_OVERRIDDEN',
            )
        self.assertEqual((2, []), (len(self.taskmanager.upgrades), self.trove.seen))

    def test_our_own_resources(self):
        begun = self.db.begin()
        for path, status in (
            ('/upgrades', 200),
            (f'/upgrades/{begun.id}', 200),
            (f'{INSTANCE}/upgrades', 200),
            (f'{INSTANCE}/upgrade-targets', 200),
            (f'{INSTANCE}/upgrade-checks', 405),
            (f'{INSTANCE}/upgrade-checks/x', 404),
            (f'{INSTANCE}/upgrades/x', 404),
        ):
            self.assertEqual(status, self.ask('GET', path).status_int, path)
        self.assertEqual([], self.trove.seen)

    def test_what_is_ours_carries_the_header_that_the_client_prints(self):
        response = self.patch('12.0')
        self.assertRegex(response.headers['x-compute-request-id'], '^req-')

    def test_a_path_in_another_spelling_is_still_an_upgrade(self):
        for path in (f'/{INSTANCE}', f'{INSTANCE}/', f'//instances//{database.INSTANCE}//'):
            response = self.ask(
                'PATCH', path, raw=json.dumps({'instance': {'datastore_version': '12.0'}}).encode()
            )
            self.assert_refused(response, 404, 'DATASTORE_VERSION_NOT_FOUND')

    def test_an_upgrade_among_other_attributes_is_ours_and_refused(self):
        for more in ({'name': 'x'}, {'configuration': None}, {'slave_of': ''}):
            response = self.ask(
                'PATCH', INSTANCE, {'instance': {'datastore_version': '11.8.6', **more}}
            )
            self.assert_refused(response, 400, 'BODY_INVALID')

    def test_an_upgrade_of_another_type_is_415(self):
        self.assert_refused(
            self.ask('PATCH', INSTANCE, raw=UPGRADE, content_type='text/plain'),
            415,
            'UNSUPPORTED_MEDIA_TYPE',
        )

    def test_errors_of_the_handlers_are_answered_here(self):
        self.assert_refused(self.patch('11.8.6', roles=stage.READER), 403, 'FORBIDDEN')
        self.assert_refused(self.patch('11.8.6', 'db1'), 404, 'INSTANCE_NOT_FOUND')
        self.db.update_instance(task_id=3)
        self.assert_refused(self.patch('11.8.6'), 422, 'INSTANCE_BUSY')


class TestFailsClosed(FilterTestCase):
    def refuse(self, raw, status, error_code, **options):
        for method in ('PATCH', 'PUT'):
            response = self.ask(method, INSTANCE, raw=raw, **options)
            self.assert_refused(response, status, error_code)
            self.assertIn('x-compute-request-id', response.headers)
        self.assertEqual([], self.trove.seen)

    def test_without_a_length(self):
        self.refuse(UPGRADE, 400, 'BODY_LENGTH_UNKNOWN', headers={'Transfer-Encoding': 'chunked'})
        request = webtest.TestRequest.blank(f'/{database.PROJECT}{INSTANCE}', method='PATCH')
        request.headers['X-Auth-Token'] = stage.token()
        for length in (None, '', '-1', 'x'):
            request.environ.pop('CONTENT_LENGTH', None)
            if length is not None:
                request.environ['CONTENT_LENGTH'] = length
            request.environ['wsgi.input'] = io.BytesIO(UPGRADE)
            self.assert_refused(
                self.app.do_request(request, expect_errors=True), 400, 'BODY_LENGTH_UNKNOWN'
            )
        self.assertEqual([], self.trove.seen)

    def test_what_troves_router_would_take_for_another_method(self):
        """Routes' own middleware behind the filter: without it a POST reaches the handler of
        PATCH.
        """
        seen = []

        def trove(environ, start_response):
            seen.append(environ['wsgiorg.routing_args'][1].get('action'))
            start_response('418 Trove', [])
            return [b'']

        mapper = routes.Mapper()
        for method, action in (
            ('PATCH', 'edit'),
            ('PUT', 'update'),
            ('GET', 'show'),
            ('DELETE', 'delete'),
        ):
            mapper.connect(
                '/{tenant_id}/instances/{id}', action=action, conditions={'method': [method]}
            )
        behind = routes.middleware.RoutesMiddleware(trove, mapper, singleton=False)
        app = webtest.TestApp(
            stage.FakeAuth(UpgradeFilter(behind, self.app.app._application, lambda: 65536)),
            lint=False,
        )
        for method in ('POST', 'GET', 'DELETE', 'PATCH'):
            for query in ('_method=PATCH', '_method=patch', 'a=b&%5Fmethod=PUT', '_method='):
                request = webtest.TestRequest.blank(
                    f'/{database.PROJECT}{INSTANCE}?{query}', method=method, body=UPGRADE
                )
                request.headers.update(
                    {'X-Auth-Token': stage.token(), 'Content-Type': 'application/json'}
                )
                self.assert_refused(
                    app.do_request(request, expect_errors=True), 400, 'METHOD_OVERRIDDEN'
                )
        for kind in ('application/x-www-form-urlencoded', 'Multipart/Form-Data; boundary=x'):
            request = webtest.TestRequest.blank(
                f'/{database.PROJECT}{INSTANCE}', method='POST', body=b'_method=PATCH'
            )
            request.headers.update({'X-Auth-Token': stage.token(), 'Content-Type': kind})
            self.assert_refused(
                app.do_request(request, expect_errors=True), 400, 'METHOD_OVERRIDDEN'
            )
        self.assertEqual([], seen)

    def test_over_the_bound(self):
        self.refuse(UPGRADE + b' ' * 65536, 413, 'BODY_TOO_LARGE')

    def test_cut_short(self):
        self.refuse(
            UPGRADE, 400, 'BODY_LENGTH_UNKNOWN', headers={'Content-Length': str(len(UPGRADE) + 1)}
        )

    def test_with_a_key_twice(self):
        for raw in (
            b'{"instance": {"name": "x", "datastore_version": "1"}, "instance": {"name": "x"}}',
            b'{"instance": {"name": "x", "name": "y"}}',
            b'{"a": [{"b": 1, "b": 2}]}',
        ):
            self.refuse(raw, 400, 'BODY_DUPLICATE_KEY')

    def test_what_cannot_be_parsed(self):
        utf16 = UPGRADE.decode().encode('utf-16')
        for raw in (
            b'{',
            b'nonsense',
            b'\xff',
            b'\xef\xbb\xbf' + UPGRADE,
            utf16,
            b'[' * 60000,
            UPGRADE + b'x',
            b'{"a": NaN}',
        ):
            self.refuse(raw, 400, 'BODY_NOT_JSON')
        self.refuse(b'<instance/>', 415, 'UNSUPPORTED_MEDIA_TYPE', content_type='application/xml')


class TestHandsOn(FilterTestCase):
    def test_every_other_request_with_its_body(self):
        for method, path, body in (
            ('GET', '/instances', b''),
            ('GET', INSTANCE, b''),
            ('POST', '/instances', b'{"instance": {"name": "x"}}'),
            ('POST', f'{INSTANCE}/action', b'{"restart": {}}'),
            ('DELETE', INSTANCE, b''),
            ('GET', '/datastores', b''),
            ('PATCH', INSTANCE, b'{"instance": {"name": "x"}}'),
            ('PUT', INSTANCE, b'{"instance": {"configuration": null}}'),
            ('PATCH', INSTANCE, b' {"instance" : []} '),
            ('PATCH', INSTANCE, b'[]'),
            ('PUT', INSTANCE, b'"datastore_version"'),
            ('PATCH', INSTANCE, b'{"datastore_version": "11.8.6"}'),
            ('PATCH', INSTANCE, b''),
            ('PATCH', '/configurations/c1', b'{"configuration": {"a": 1, "a": 2}}'),
            ('PUT', '/configurations/c1', b'not json'),
            ('GET', '/mgmt/instances', b''),
            ('PUT', f'/mgmt{INSTANCE}', b'{"instance": {"name": "x"}}'),
            ('POST', f'/mgmt{INSTANCE}/action', b'{"reboot": {}}'),
            ('PATCH', '/clusters/' + database.INSTANCE, UPGRADE),
            ('POST', INSTANCE, UPGRADE),
        ):
            self.assert_handed_on(self.ask(method, path, raw=body), method, path, body)

    def test_bodies_over_the_bound_that_are_not_on_an_instance(self):
        big = b'x' * 100000
        self.assert_handed_on(self.ask('POST', '/backups', raw=big), 'POST', '/backups', big)

    def test_a_request_without_identity_too_because_trove_answers_it(self):
        request = webtest.TestRequest.blank(f'/{database.PROJECT}/instances')
        self.assertEqual(418, self.app.do_request(request, expect_errors=True).status_int)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(['instance', 'datastore_version', 'name', 'x']) | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


class TestWhateverComes(base.TestCase):
    """Who answers is a question of the body alone, and what is handed on is what came."""

    @settings(
        max_examples=150, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
    )
    @given(document=_JSON)
    def test_exactly_what_trove_would_read_as_an_upgrade_is_claimed(self, document):
        raw = json.dumps(document).encode()
        reached = []

        def answer(name):
            def application(environ, _start_response):
                reached.append((name, environ['wsgi.input'].read()))
                return []

            return application

        environ = {
            'REQUEST_METHOD': 'PATCH',
            'PATH_INFO': f'/p{INSTANCE}',
            'CONTENT_LENGTH': str(len(raw)),
            'CONTENT_TYPE': 'application/json',
            'wsgi.input': io.BytesIO(raw),
        }
        UpgradeFilter(answer('trove'), answer('ours'), lambda: 65536)(environ, lambda *_: None)
        edit = document.get('instance') if isinstance(document, dict) else None
        is_upgrade = isinstance(edit, dict) and 'datastore_version' in edit
        self.assertEqual([('ours' if is_upgrade else 'trove', raw)], reached)
