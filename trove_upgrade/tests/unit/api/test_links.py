# SPDX-License-Identifier: Apache-2.0
"""Links of answers: ours lead where the request came, Trove's are as Trove writes them."""

import json

import paste.urlmap
import webtest
from oslo_middleware import http_proxy_to_wsgi

from trove_upgrade.api import app, application
from trove_upgrade.api.filter import UpgradeFilter
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import stage

INSTANCE = f'/instances/{database.INSTANCE}'
#: (What a client sent or a proxy added, where it came), the proxy's headers being honoured.
WAYS = (
    ({}, {}, 'http://db.example.org:8779'),
    ({}, {'wsgi.url_scheme': 'https', 'SERVER_PORT': '443'}, 'https://db.example.org:8779'),
    ({'X-Forwarded-Proto': 'https'}, {}, 'https://db.example.org:8779'),
    ({'X-Forwarded-Proto': 'http'}, {'wsgi.url_scheme': 'https'}, 'http://db.example.org:8779'),
    (
        {'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'cloud.example.org'},
        {},
        'https://cloud.example.org',
    ),
    (
        {
            'X-Forwarded-Proto': 'https',
            'X-Forwarded-Host': 'cloud.example.org',
            'X-Forwarded-Prefix': '/database',
        },
        {},
        'https://cloud.example.org/database',
    ),
    (
        {'Forwarded': 'for=192.0.2.1;proto=https;host=cloud.example.org:8443'},
        {},
        'https://cloud.example.org:8443',
    ),
    ({}, {'SCRIPT_NAME': '/a b'}, 'http://db.example.org:8779/a%20b'),
)


class LinksCase(stage.ApiTestCase):
    parses = True

    def setUp(self):
        super().setUp()
        self.conf.register_opts(http_proxy_to_wsgi.OPTS, group='oslo_middleware')
        self.conf.set_override('enable_proxy_headers_parsing', self.parses, group='oslo_middleware')

    def through_proxy(self, inner):
        return http_proxy_to_wsgi.HTTPProxyToWSGI(stage.FakeAuth(inner), self.conf)

    def get(self, path, headers, environ, method='GET', document=None):
        request = webtest.TestRequest.blank(
            path, method=method, environ={'HTTP_HOST': 'db.example.org:8779', **environ}
        )
        if document is not None:
            request.content_type, request.body = 'application/json', json.dumps(document).encode()
        request.headers.update({'X-Auth-Token': stage.token(), **headers})
        return self.app.do_request(request)

    def ours(self, headers, environ, base):
        """Every link of the resources that both set-ups have."""
        mine = f'{base}/v1.0/{database.PROJECT}'
        shown = self.get(
            f'/v1.0/{database.PROJECT}/upgrades?limit=1&state=running', headers, environ
        ).json
        newest = shown['upgrades'][0]
        self.assertEqual(
            [f'{mine}/upgrades/{newest["id"]}', f'{base}/upgrades/{newest["id"]}'],
            _hrefs(newest['links']),
        )
        self.assertEqual(
            [f'{mine}/upgrades?limit=1&state=running&marker={newest["id"]}'], _hrefs(shown['links'])
        )
        answer = self.get(
            f'/v1.0/{database.PROJECT}{INSTANCE}/upgrade-checks',
            headers,
            environ,
            'POST',
            {'upgrade_check': {'datastore_version': '11.8.6'}},
        )
        check = answer.json['upgrade_check']
        self.assertEqual(
            f'{mine}{INSTANCE}/upgrade-checks/{check["id"]}', answer.headers['Location']
        )
        self.assertEqual(
            [answer.headers['Location'], f'{base}{INSTANCE}/upgrade-checks/{check["id"]}'],
            _hrefs(check['links']),
        )

    def two_upgrades(self):
        for name in ('a', 'b'):
            begun = self.db.begin(self.db.add_instance(name=name))
            self.db.repositories.upgrades.claim(begun.id, 'tm', 60)


def _hrefs(links):
    return [each['href'] for each in links]


class TestAlone(LinksCase):
    def new_app(self, **changes):
        made = self.new_services(**changes)
        pipeline = self.through_proxy(application.Application(lambda: made))
        return webtest.TestApp(app.Root(pipeline, None, self.conf), lint=False)

    def test_ours_lead_where_the_request_came(self):
        self.two_upgrades()
        for headers, environ, base in WAYS:
            with self.subTest(base=base, headers=headers):
                self.ours(headers, environ, base)

    def test_the_next_page_has_all_conditions_of_the_one_before(self):
        self.two_upgrades()
        asked = 'state=running&state=failed&limit=1'
        path = f'/v1.0/{database.PROJECT}/upgrades?{asked}'
        pages = []
        while path is not None:
            page = self.get(path, {}, {}).json
            pages.append([each['instance_name'] for each in page['upgrades']])
            path = next(iter(_hrefs(page.get('links', ()))), None)
            if path is not None:
                newest = page['upgrades'][-1]['id']
                self.assertTrue(path.endswith(f'/upgrades?{asked}&marker={newest}'), path)
        self.assertEqual([['b'], ['a']], pages)

    def test_the_version_documents_do_too(self):
        for headers, environ, base in WAYS:
            root, version = (self.get(path, headers, environ).json for path in ('/', '/v1.0/'))
            self.assertEqual(
                [[f'{base}/v1.0/']] * 2,
                [_hrefs(root['versions'][0]['links']), _hrefs(version['version']['links'])],
            )

    def test_those_of_instances_do_too(self):
        self.db.add_instance(name='second')
        for headers, environ, base in WAYS:
            with self.subTest(base=base, headers=headers):
                shown = self.get(f'/v1.0/{database.PROJECT}{INSTANCE}', headers, environ).json[
                    'instance'
                ]
                self.assertEqual(
                    [f'{base}/v1.0/{database.PROJECT}{INSTANCE}', f'{base}{INSTANCE}'],
                    _hrefs(shown['links']),
                )
                listed = self.get(
                    f'/v1.0/{database.PROJECT}/instances?limit=1', headers, environ
                ).json
                self.assertEqual(
                    [
                        f'{base}/v1.0/{database.PROJECT}/instances?limit=1&marker={listed["instances"][0]["id"]}'
                    ],
                    _hrefs(listed['links']),
                )

    def test_an_endpoint_that_the_operator_names_stands_before_all_of_them(self):
        self.two_upgrades()
        base = 'http://cloud.example.org/database'
        self.conf.set_override('public_endpoint', f'{base}/', group='trove_upgrade')
        settings = app.settings_of(self.conf, beside_trove=False)
        self.app = self.new_app(settings=settings)
        for headers, environ, _ in WAYS:
            self.ours(headers, environ, base)
            self.assertEqual(
                [f'{base}/v1.0/'],
                _hrefs(self.get('/', headers, environ).json['versions'][0]['links']),
            )
            shown = self.get(f'/v1.0/{database.PROJECT}/instances?limit=1', headers, environ).json
            self.assertTrue(
                all(
                    href.startswith(f'{base}/')
                    for href in _hrefs(shown['links'] + shown['instances'][0]['links'])
                )
            )


class TestAloneWithoutParsing(TestAlone):
    parses = False

    def test_what_anybody_can_send_changes_nothing(self):
        self.two_upgrades()
        sent = {
            'X-Forwarded-Proto': 'https',
            'X-Forwarded-Host': 'evil.example.org',
            'X-Forwarded-Prefix': '/evil',
        }
        self.ours(sent, {}, 'http://db.example.org:8779')
        self.assertEqual(
            ['http://db.example.org:8779/v1.0/'],
            _hrefs(self.get('/', sent, {}).json['versions'][0]['links']),
        )

    def test_ours_lead_where_the_request_came(self):
        self.two_upgrades()
        self.ours({}, {'wsgi.url_scheme': 'https'}, 'https://db.example.org:8779')

    test_the_version_documents_do_too = test_those_of_instances_do_too = None


class TestBesideTrove(LinksCase):
    def new_app(self, **changes):
        self.seen = []
        made = self.new_services(servers=None, **changes)
        ours = application.Application(lambda: made)
        urls = paste.urlmap.URLMap()
        urls['/v1.0'] = self.through_proxy(
            self.watched(UpgradeFilter(self.trove, ours, lambda: 65536))
        )
        return webtest.TestApp(urls, lint=False)

    def watched(self, inner):
        def middleware(environ, start_response):
            self.came = dict(environ)
            return inner(environ, start_response)

        return middleware

    def trove(self, environ, start_response):
        self.seen.append(dict(environ))
        start_response('200 OK', [('Content-Type', 'application/json'), ('Content-Length', '2')])
        return [b'{}']

    def test_ours_lead_where_the_request_came(self):
        self.two_upgrades()
        for headers, environ, base in WAYS:
            with self.subTest(base=base, headers=headers):
                self.ours(headers, environ, base)

    def test_what_trove_answers_is_handed_through_and_its_request_as_it_came(self):
        for method, path, document in (
            ('GET', INSTANCE, None),
            ('GET', '/instances?limit=1', None),
            ('DELETE', INSTANCE, None),
            ('PATCH', INSTANCE, {'instance': {'name': 'x'}}),
            ('POST', '/instances', {}),
        ):
            for headers, environ, _ in WAYS:
                answer = self.get(
                    f'/v1.0/{database.PROJECT}{path}', headers, environ, method, document
                )
                self.assertEqual(
                    (200, b'{}', [('Content-Type', 'application/json'), ('Content-Length', '2')]),
                    (answer.status_int, answer.body, answer.headerlist),
                )
                body = self.seen[-1].pop('wsgi.input').read()
                self.assertEqual(b'' if document is None else json.dumps(document).encode(), body)
                self.came.pop('wsgi.input')
                self.assertEqual(self.came, self.seen[-1])
