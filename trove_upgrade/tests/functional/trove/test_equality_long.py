# SPDX-License-Identifier: Apache-2.0
"""Every request of Trove's API that the filter does not claim, once through it and once without:
the same answers.

The requests come from Trove's own table of routes, so a route that a later Trove adds is asked,
too.  Each that may change something has an instance of its own on either side, and what must differ
(ids, times, ports) is written the same before it is compared.
"""

import concurrent.futures
import itertools
import json
import re
import uuid

from trove_upgrade.tests.functional.cloud import trove_api, trove_case

_ROUTES = """
import json, sys
import trove.common.cfg
from oslo_config import cfg
cfg.CONF(['--config-file', sys.argv[1]], project='trove', default_config_files=[])
from trove.common import api, extensions
mappers = api.API().map, extensions.ExtensionMiddleware(None, {})._router.mapper
json.dump([[sorted((route.conditions or {}).get('method') or []), \
route.routepath] for mapper in mappers for route in mapper.matchlist],
          sys.stdout)
"""
_VARIABLE = re.compile(r'\{(\w+)\}|:\((\w+)\)|:(\w+)')
_SAFE = ('GET', 'HEAD', 'OPTIONS')
#: Where the filter reads the body of a PUT or PATCH, in the form of `_general`: a body that cannot
#: be read is its own to refuse.
_READ_BY_FILTER = {'/{tenant_id}/instances/{id}', '/{tenant_id}/mgmt/instances/{id}'}
#: Of a request's own: everything else in the headers must be equal.
_OWN_HEADERS = {'date', 'x-openstack-request-id', 'content-length'}
#: Bodies that the route's handler gets to see, by the end of the path.
_PLAUSIBLE = {
    '/instances': [
        {
            'instance': {
                'name': 'new',
                'flavorRef': '6',
                'volume': {'size': 1},
                'datastore': {'type': 'mariadb'},
            }
        }
    ],
    '/instances/{id}': [
        {'instance': {'name': 'renamed'}},
        {'instance': {}},
        {'instance': {'configuration': str(uuid.uuid4())}},
        {'instance': {'slave_of': ''}},
        {'instance': {'access': {'is_public': False}}},
        {'instance': []},
        [],
        'x',
    ],
    '/action': [
        {'restart': {}},
        {'resize': {'volume': {'size': 2}}},
        {'resize': {'flavorRef': '7'}},
        {'reset_status': {}},
        {'stop': {}},
        {},
    ],
    '/databases': [{'databases': [{'name': 'd'}]}],
    '/users': [{'users': [{'name': 'u', 'password': 'p'}]}],
    '/backups': [{'backup': {'name': 'b', 'instance': 'INSTANCE'}}],
    '/log': [{'name': 'general', 'enable': 1}],
    '/configurations': [
        {
            'configuration': {
                'name': 'c',
                'values': {'max_connections': 5},
                'datastore': {'type': 'mariadb'},
            }
        }
    ],
    '/configurations/{id}': [{'configuration': {'values': {}}}],
    '/root': [{}],
    '/modules': [{'modules': []}],
}
_WRITES = {'POST', 'PUT', 'PATCH'}
JSON = 'application/json'


def _general(route):
    """`route` with its variables written in one way: Trove's two tables have three."""
    return _VARIABLE.sub(lambda match: f'{{{next(filter(None, match.groups()))}}}', route)


def _same(text):
    """`text` without what two answers to equal requests differ in."""
    text = re.sub(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', 'UUID', text)
    text = re.sub(r'\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?', 'TIME', text)
    return re.sub(r'127\.0\.0\.1:\d+', 'ADDRESS', text)


def _canonical(content):
    """Lists in one order: some of Trove's come from sets."""

    def order(value):
        if isinstance(value, dict):
            return {key: order(each) for key, each in value.items()}
        return (
            sorted((order(each) for each in value), key=str) if isinstance(value, list) else value
        )

    text = content.decode()
    return _same(json.dumps(order(json.loads(text)))) if text[:1] in {'{', '['} else _same(text)


class TestEquality(trove_case.TroveTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plain, cls.filtered = (
            trove_api.TroveApi(cls.installation, trove_api.UWSGI, filtered=filtered)
            for filtered in (False, True)
        )
        for api in (cls.plain, cls.filtered):
            cls.addClassCleanup(api.stop)
        cls.admin_project = cls.maker.project_id('admin')
        program = cls.installation.directory / 'trove_routes.py'
        program.write_text(_ROUTES)
        cls.table = json.loads(
            cls.installation.run(
                'python', '-W', 'ignore', str(program), str(cls.installation.config('trove'))
            )
        )

    def answer(self, api, method, path, body, headers, user):
        project = self.admin_project if user == 'admin' else self.project_id
        instance_id = (
            self.new_instance('equal', tenant_id=project)
            if method not in _SAFE
            else self.readable[user]
        )
        text = body.replace(b'INSTANCE', instance_id.encode()) if body is not None else None
        where = path.replace('PROJECT', project).replace('INSTANCE', instance_id)
        status, found, content = trove_api.ask(
            f'{api.url}{where}', method, self.tokens[user], text, headers=headers
        )
        kept = sorted(
            (name.lower(), _same(value))
            for name, value in found.items()
            if name.lower() not in _OWN_HEADERS
        )
        self.assertNotIn('x-compute-request-id', dict(kept))
        return status, kept, _canonical(content)

    def compare(self, request):
        """None where both answer alike."""
        method, path, body, headers, user = request
        plain, filtered = (
            self.answer(api, method, path, body, headers, user)
            for api in (self.plain, self.filtered)
        )
        return (
            None
            if plain == filtered
            else f'{method} {path} {body} {headers} as {user}:\n  without: {plain}\n  through: '
            f'{filtered}'
        )

    def requests(self):
        for methods, written in self.table:
            route = _general(written)
            if '.{format}' in route or '/new' in route or route.endswith('/edit'):
                continue  # the same handlers under another name
            user = 'admin' if '/mgmt' in route else 'demo'
            for method in methods or ['GET', 'POST']:
                for variables in ({}, {'id': 'nonsense'}) if 'id' in route else ({},):
                    yield from self.of_route(method, route, variables, user)

    def of_route(self, method, route, variables, user):
        def value(match):
            name = next(filter(None, match.groups()))
            if name == 'tenant_id':
                return 'PROJECT'
            return (
                variables.get('id')
                if 'id' in variables and name != 'tenant_id'
                else {'datastore': 'mariadb'}.get(name, 'INSTANCE')
            )

        path = _VARIABLE.sub(value, route)
        yield method, path, None, None, user
        if method not in _WRITES:
            return
        ending = next(
            (end for end in sorted(_PLAUSIBLE, key=len, reverse=True) if route.endswith(end)), None
        )
        for document in [*_PLAUSIBLE.get(ending, ()), {'a': 1}]:
            yield method, path, json.dumps(document).encode(), {'Content-Type': JSON}, user
        yield method, path, b'', {'Content-Type': JSON}, user
        if not (method in {'PUT', 'PATCH'} and route in _READ_BY_FILTER):
            yield method, path, b'{not json', {'Content-Type': JSON}, user
            yield method, path, b'<a/>', {'Content-Type': 'text/plain'}, user
            yield method, path, b'x' * 100000, {'Content-Type': JSON}, user

    def others(self):
        for method, path in itertools.product(
            ('HEAD', 'OPTIONS', 'DELETE', 'TRACE', 'POST', 'PUT', 'PATCH', 'GET'),
            (
                '/PROJECT',
                '/PROJECT/',
                '/PROJECT/nothing',
                '/PROJECT/instances',
                '/PROJECT/instances/INSTANCE/nothing',
                '/PROJECT/upgradesx',
                '/other/instances',
                '/other/upgrades',
                '/',
                '',
            ),
        ):
            yield method, path, None, None, 'demo'
        for query in ('limit=1', 'include_clustered=False', 'marker=x&limit=x', '_methods=x'):
            yield 'GET', f'/PROJECT/instances?{query}', None, None, 'demo'
        for accept in (
            'application/xml',
            'text/html',
            '*/*',
            'application/vnd.openstack.trove+json;version=1.0',
        ):
            yield 'GET', '/PROJECT/instances/INSTANCE', None, {'Accept': accept}, 'demo'

    def differences(self, requests, workers):
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            return [found for found in pool.map(self.compare, requests) if found]

    def test_what_is_not_claimed_is_answered_alike(self):
        self.readable = {
            'demo': self.new_instance('read'),
            'admin': self.new_instance('read', tenant_id=self.admin_project),
        }
        wanted = [*self.requests(), *self.others()]
        reads = [request for request in wanted if request[0] in _SAFE]
        writes = [request for request in wanted if request[0] not in _SAFE]
        self.assertGreater(min(len(reads), len(writes)), 100)
        found = self.differences(reads, 8) + self.differences(writes, 8)
        self.assertEqual([], found[:5], f'{len(found)} of {len(wanted)} differ')
