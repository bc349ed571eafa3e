# SPDX-License-Identifier: Apache-2.0
"""The filters before Routes itself with Trove's own shapes: no spelling of a path leads past
them.
"""

import io
import json
from urllib import parse

import routes
import routes.middleware
import webtest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trove_upgrade.api.backup_filter import BackupFilter
from trove_upgrade.api.filter import UpgradeFilter
from trove_upgrade.db import trove_tables
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.api import stage, test_backups

UPGRADE = json.dumps({'instance': {'datastore_version': '11.8.6'}}).encode()
INCREMENTAL = json.dumps(
    {'backup': {'name': 'b', 'instance': database.INSTANCE, 'incremental': 1}}
).encode()

_INSTANCE = f'/{database.PROJECT}/instances/{database.INSTANCE}'
_MANAGED = f'/{database.PROJECT}/mgmt/instances/{database.INSTANCE}'

#: Every shape that is guarded: method and path, by which a handler of Trove would upgrade or make a
#: backup, or that is ours.
SHAPES = (
    ('PATCH', _INSTANCE),
    ('PUT', _INSTANCE),
    ('PATCH', _MANAGED),
    ('PUT', _MANAGED),
    ('PUT', f'{_MANAGED}.json'),
    ('GET', f'{_MANAGED}/edit'),
    ('GET', f'{_MANAGED}/edit.json'),
    ('POST', f'/{database.PROJECT}/backups'),
    ('GET', f'/{database.PROJECT}/upgrades'),
    ('GET', f'/{database.PROJECT}/upgrade-openapi'),
    ('GET', f'/{database.PROJECT}/mgmt/upgrade-drift'),
    ('GET', f'{_INSTANCE}/upgrades'),
    ('GET', f'{_INSTANCE}/upgrade-targets'),
    ('POST', f'{_INSTANCE}/upgrade-checks'),
)
CONTROLS = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), '\u2028', '\u2029']


class Router:
    """Trove's two routers, of its own shapes; remembers what they led to.  Source:
    trove/common/api.py, extensions/routes/mgmt.py.
    """

    def __init__(self):
        self.seen = []
        mapper = routes.Mapper()
        mapper.resource(
            '{tenant_id}/mgmt/instances', '{tenant_id}/mgmt/instances', controller='instances'
        )
        for methods, action in (
            (['GET'], 'show'),
            (['PUT'], 'update'),
            (['PATCH'], 'edit'),
            (['DELETE'], 'delete'),
        ):
            mapper.connect(
                '/{tenant_id}/instances/{id}',
                controller='instances',
                action=action,
                conditions={'method': methods},
            )
        for methods, action in ((['GET'], 'index'), (['POST'], 'create')):
            mapper.connect(
                '/{tenant_id}/backups',
                controller='backups',
                action=action,
                conditions={'method': methods},
            )
        self._routed = routes.middleware.RoutesMiddleware(self._answer, mapper)

    def __call__(self, environ, start_response):
        return self._routed(environ, start_response)

    def _answer(self, environ, start_response):
        led_to = environ['wsgiorg.routing_args'][1]
        self.seen.append((led_to.get('controller'), led_to.get('action')))
        start_response('418 Trove', [('Content-Type', 'text/plain')])
        return [b'trove']

    @property
    def unguarded(self):
        """What upgrades or makes a backup."""
        guarded = {('instances', 'update'), ('instances', 'edit'), ('backups', 'create')}
        return [each for each in self.seen if each in guarded]


def body_of(method, path):
    return INCREMENTAL if path.endswith('/backups') else UPGRADE


class TestEveryShape(stage.ApiTestCase):
    def setUp(self):
        super().setUp()
        self.trove = Router()
        made = self.new_services(servers=None)
        ours = stage.application.Application(lambda: made)
        inner = BackupFilter(self.trove, lambda: made, lambda: 65536)
        self.filters = stage.FakeAuth(UpgradeFilter(inner, ours, lambda: 65536))
        self.backups = stage.FakeAuth(inner)

    def send(self, method, path, filters=None, query='', **environ):
        """`path` in characters; they go as a server hands them on."""
        app = webtest.TestApp(filters or self.filters, lint=False)
        request = webtest.TestRequest.blank('/', method=method, body=body_of(method, path.strip()))
        request.headers.update({'X-Auth-Token': stage.token(), 'Content-Type': 'application/json'})
        request.environ.update(
            PATH_INFO=path.encode().decode('latin-1'), QUERY_STRING=query, **environ
        )
        return app.do_request(request, expect_errors=True)

    def test_it_is_what_routes_leads_to(self):
        """Without the filters each guarded one of Trove's is reached: what follows looks at the
        right shapes.

        PATCH by the way of management is a route of some releases of Routes only.
        """
        for method, path in SHAPES[:8]:
            self.send(method, path, filters=stage.FakeAuth(self.trove))
        self.assertIn(len(self.trove.unguarded), {7, 8}, self.trove.seen)

    def test_with_a_character_that_is_not_printed_it_is_refused_wherever_that_stands(self):
        for method, path in SHAPES:
            for control in CONTROLS:
                for spelled in (
                    f'{path}{control}',
                    f'{path}/{control}',
                    f'{path}{control}/',
                    f'{control}{path}',
                    path.replace('/instances', f'/{control}instances'),
                    path.replace('.json', f'.{control}json'),
                ):
                    if control in spelled:
                        self.assert_refused(self.send(method, spelled), 400, 'PATH_INVALID')
        self.assertEqual([], self.trove.seen)

    def test_the_filter_of_backups_needs_no_other_before_it(self):
        for control in CONTROLS:
            refused = self.send('POST', f'/{database.PROJECT}/backups{control}', self.backups)
            self.assert_refused(refused, 400, 'PATH_INVALID')
        self.assertEqual([], self.trove.seen)

    def test_the_answer_names_the_character_and_the_request(self):
        refused = self.send('GET', f'{_MANAGED}/edit\n')
        self.assertIn('U+000A', self.fault(refused)['message'])
        self.assertRegex(refused.headers['x-compute-request-id'], '^req-')

    def test_other_resources_of_troves_too_because_routes_reads_all_paths_alike(self):
        for path in ('/clusters/c1\n', '/instances\r', '/mgmt/instances/x/action\n', '/\0'):
            self.assert_refused(self.send('GET', f'/{database.PROJECT}{path}'), 400, 'PATH_INVALID')
        self.assertEqual([], self.trove.seen)

    def test_a_name_with_a_space_or_with_letters_of_any_language_is_looked_up(self):
        for name in (
            'my db',
            ' ',
            'db ',
            'données',
            'Ünïcode',
            '数据库',
            'a%0Ab',
            'a;b',
            'x\u00a0y',
        ):
            path = f'/{database.PROJECT}/instances/{name}'
            self.assert_refused(self.send('PATCH', path), 404, 'INSTANCE_NOT_FOUND')
            self.assertEqual(418, self.send('GET', path).status_int)
        self.assertEqual([], self.trove.unguarded)

    def test_bytes_that_are_no_utf_8_are_not_taken_for_another_resource(self):
        app = webtest.TestApp(self.filters, lint=False)
        for path in (f'{_MANAGED}/edit\xff', f'{_MANAGED}/edit\xff\n', f'{_INSTANCE}\xff\n'):
            request = webtest.TestRequest.blank('/', method='GET', body=UPGRADE)
            request.headers['X-Auth-Token'] = stage.token()
            request.environ['PATH_INFO'] = path
            app.do_request(request, expect_errors=True)
        self.assertEqual([], self.trove.unguarded)

    def test_other_spellings_reach_no_guarded_handler(self):
        for method, path in SHAPES[:7]:
            for spelled in (
                f'{path}/',
                f'/{path}',
                f'{path}//',
                path.replace('/instances', '//instances'),
                f'{path};x=1',
                f'{path}.',
                f'{path}.xml',
                f'{path}%0A',
                f'{path}%250A',
                path.upper(),
                f'{path}/.',
                f'{path}/..',
                f'/.{path}',
                f'{path}#x',
                f'{path}?x',
                f'{path} ',
            ):
                for more in (
                    {},
                    {'SCRIPT_NAME': '/v1.0'},
                    {'SCRIPT_NAME': path},
                    {'HTTP_X_SCRIPT_NAME': '/edit', 'HTTP_X_FORWARDED_PREFIX': '/edit'},
                    {'HTTP_X_HTTP_METHOD_OVERRIDE': 'PATCH', 'HTTP_X_ORIGINAL_URL': path},
                ):
                    self.send(method, spelled, **more)
        self.assertEqual([], self.trove.unguarded)

    def test_a_query_that_names_a_method_upgrades_nothing_however_it_is_written(self):
        for method in ('GET', 'POST', 'DELETE', 'PATCH', 'PUT'):
            for query in (
                '_method=PATCH',
                '_method=put',
                'x=1&_method=PUT',
                '_method=GET&_method=PUT',
                '_method=&_method=PUT',
            ):
                for path in (_INSTANCE, _MANAGED, f'{_MANAGED}.json', f'{_MANAGED}/edit'):
                    self.assert_refused(
                        self.send(method, path, query=query), 400, 'METHOD_OVERRIDDEN'
                    )
        self.assertEqual([], self.trove.seen)

    def test_no_query_leads_a_backup_past_its_filter(self):
        """Routes takes the last value, none that is empty, and none where the query is no UTF-8."""
        self.db.update_instance(datastore_version_id=database.MARIADB_11_8)
        self.add_former_backup()
        for query in (
            '_method=GET&_method=',
            '_method=GET&x=\xff',
            '_method=GET&x=%ff',
            '_method=GET&_method=post',
            '%5Fmethod=GET',
            '_method',
        ):
            for filters in (self.filters, self.backups):
                refused = self.send('POST', f'/{database.PROJECT}/backups', filters, query=query)
                self.assert_refused(refused, 422, 'BACKUP_OF_FORMER_VERSION')
        self.assertEqual([], self.trove.seen)

    def add_former_backup(self):
        self.db.insert(
            trove_tables.backups,
            id=database.OTHER_INSTANCE,
            instance_id=database.INSTANCE,
            state='COMPLETED',
            parent_id=None,
            name='b',
            datastore_version_id=database.MARIADB_10_11,
            tenant_id=database.PROJECT,
            deleted=False,
            created=test_backups.hours(0),
            updated=test_backups.hours(0),
        )


_PIECES = st.sampled_from(
    [
        'p',
        'instances',
        'mgmt',
        'i',
        'edit',
        'backups',
        '.json',
        '.',
        ';',
        '%0A',
        ' ',
        '/',
        '/',
        '/',
        '\n',
        '\r',
        '\0',
        '\x85',
        '\x7f',
        '\xff',
    ]
)


class TestWhateverPath(base.TestCase):
    """What Routes would lead to a handler that upgrades is claimed or refused, however the path is
    put together.
    """

    @settings(
        max_examples=400, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
    )
    @given(
        method=st.sampled_from(['GET', 'PUT', 'PATCH', 'POST']),
        begin=st.sampled_from(
            ['/p/instances/i', '/p/mgmt/instances/i', '/p/mgmt/instances/i/edit', '']
        ),
        pieces=st.lists(_PIECES, max_size=4),
    )
    @example(method='GET', begin='/p/mgmt/instances/i/edit', pieces=['\n'])
    def test_it_reaches_no_handler_past_the_filter(self, method, begin, pieces):
        trove, claimed = Router(), []
        environ = {
            'REQUEST_METHOD': method,
            'PATH_INFO': begin + ''.join(pieces),
            'QUERY_STRING': '',
            'CONTENT_LENGTH': str(len(UPGRADE)),
            'CONTENT_TYPE': 'application/json',
            'wsgi.input': io.BytesIO(UPGRADE),
            'wsgi.url_scheme': 'http',
            'HTTP_HOST': 'h',
            'SCRIPT_NAME': '',
        }
        ours = lambda environ, _start_response: claimed.append(environ['PATH_INFO']) or []  # noqa: E731
        UpgradeFilter(trove, ours, lambda: 65536)(environ, lambda *_: None)
        upgraded = {('instances', 'update'), ('instances', 'edit')}
        self.assertEqual(
            [], [each for each in trove.seen if each in upgraded], parse.quote(environ['PATH_INFO'])
        )
