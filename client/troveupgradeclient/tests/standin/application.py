# SPDX-License-Identifier: Apache-2.0
"""WSGI application that speaks the API of the service, in one of its releases, or of a Trove
without it; and as much of Keystone as a client needs.
"""

import enum
import json
import re
import urllib.parse

from troveupgradeclient.tests.standin import actions, drift, keystone
from troveupgradeclient.tests.standin import world as worlds

_NAMES = {
    400: 'badRequest',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    409: 'conflict',
    422: 'unprocessableEntity',
    503: 'serviceUnavailable',
}


class Release(enum.Enum):
    NEWEST = 'newest'
    EARLIER = 'earlier'  #: without actions, holds, drift and the newer fields
    NONE = 'none'  #: Trove alone


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def not_found(kind, found):
    code = f'{kind.upper()}_NOT_FOUND'
    return Refused(404, code, f'{kind.capitalize()} {found} cannot be found. Look it up.')


NO_ROUTE = Refused(404, 'RESOURCE_NOT_FOUND', 'Nothing was found there. Look the address up.')


class Application:
    """Answers of one project."""

    page_size = 100

    def __init__(self, world, release=Release.NEWEST):
        self.world, self.release = world, release
        self.requests = []  #: (method, path with query, body) of each
        self.fails = 0  #: requests that a gateway answers with 503 from now on
        self.answers = {}  #: (method, path) -> (status, bytes): what another program answers
        self.once = []  #: (method, path, status, bytes, headers) of answers that come once
        self.keystone = keystone.Keystone()
        self.base = ''

    def __call__(self, environ, start_response):
        length = int(environ.get('CONTENT_LENGTH') or 0)
        body = environ['wsgi.input'].read(length)
        status, content, headers = self.answer(environ, json.loads(body) if body else None)
        start_response(
            f'{status} {_NAMES.get(status, "OK")}',
            [('Content-Type', 'application/json'), *headers],
        )
        return [content]

    def answer(self, environ, body):
        method, path = environ['REQUEST_METHOD'], environ['PATH_INFO']
        if not path.startswith('/v1.0/'):
            return self.keystone.answer(self.base, body)
        query = urllib.parse.parse_qs(environ.get('QUERY_STRING', ''))
        path = path.removeprefix(f'/v1.0/{worlds.PROJECT}')
        full = path + (f'?{environ["QUERY_STRING"]}' if environ.get('QUERY_STRING') else '')
        self.requests.append((method, full, body))
        if self.fails:
            self.fails -= 1
            return 503, b'<html>no server is available</html>', []
        for each in self.once:
            if each[:2] == (method, path):
                self.once.remove(each)
                return each[2:]
        if (method, path) in self.answers:
            return *self.answers[method, path], []
        try:
            status, document = self.route(method, path, query, body)
        except Refused as refused:
            status, document = refused.status, self.fault(refused)
        return status, b'' if document is None else json.dumps(document).encode(), []

    def fault(self, refused):
        found = {'code': refused.status, 'message': refused.message}
        if refused.code:
            found['message'] += f' ({refused.code})'
            found['error_code'] = refused.code
        return {_NAMES[refused.status]: found}

    def route(self, method, path, query, body):
        routes = (*_TROVES, *(() if self.release is Release.NONE else _OURS))
        if self.release is Release.NEWEST:
            routes += _NEW
        path_found = False
        for wanted, pattern, handler in routes:
            match = re.fullmatch(pattern, path)
            if match and wanted == method:
                found = [urllib.parse.unquote(part) for part in match.groups()]
                return handler(self, query, body, *found)
            path_found |= bool(match)
        if self.release is Release.NONE:
            raise Refused(404, None, 'The resource could not be found.')
        if path_found:
            raise Refused(405, 'METHOD_NOT_ALLOWED', 'The method cannot be used there.')
        raise NO_ROUTE

    def upgrade(self, upgrade_id):
        if upgrade_id not in self.world.upgrades:
            raise not_found('upgrade', upgrade_id)
        return self.world.upgrades[upgrade_id]

    def instance(self, instance_id):
        if instance_id not in self.world.instances:
            code = None if self.release is Release.NONE else 'INSTANCE_NOT_FOUND'
            raise Refused(404, code, f'Instance {instance_id} cannot be found.')
        return {
            'id': instance_id,
            'name': self.world.instances[instance_id],
            'status': 'UPGRADE' if self.world.active(instance_id) else 'ACTIVE',
            'datastore': {'type': 'mariadb', 'version': '10.11.14'},
        }

    def version_id(self, name_or_id):
        for version_id, name in worlds.VERSIONS.items():
            if name_or_id in {version_id, name}:
                return version_id
        raise Refused(
            404,
            'DATASTORE_VERSION_NOT_FOUND',
            f'Datastore version {name_or_id} cannot be found in datastore mariadb.',
        )

    def shown(self, upgrade, *, only_listed=False):
        hidden = {'number'} | (set(worlds.ONLY_SHOWN) if only_listed else set())
        if self.release is Release.EARLIER:
            hidden |= set(worlds.NEW_FIELDS)
        return {name: value for name, value in upgrade.items() if name not in hidden}

    def page(self, key, items, query, identity='id'):
        """A page of a list, with the link to the next one."""
        limit = min(int(query.get('limit', [self.page_size])[0]), self.page_size)
        begin = 0
        if 'marker' in query:
            begin = [each[identity] for each in items].index(query['marker'][0]) + 1
        found, document = items[begin : begin + limit], {}
        if items[begin + limit :]:
            address = urllib.parse.urlencode({**query, 'marker': found[-1][identity]}, doseq=True)
            link = f'https://another.example/{key}?{address}'
            document['links'] = [{'rel': 'next', 'href': link}]
        return 200, {key: found, **document}

    def begin(self, instance_id, asked):
        self.instance(instance_id)
        held = [
            each
            for each in self.world.upgrades.values()
            if each['instance_id'] == instance_id and each['state'] == 'HELD'
        ]
        if held:
            raise Refused(
                422,
                'UPGRADE_HELD',
                f'Instance {instance_id} cannot be upgraded: its upgrade {held[0]["id"]} to '
                'version 11.8.6 is held. Let that one proceed, or abort it first.',
            )
        active = self.world.active(instance_id)
        if active:
            raise Refused(
                422,
                'INSTANCE_BUSY',
                f'Instance {instance_id} cannot be upgraded now: its status is UPGRADE, as its '
                f'upgrade {active["id"]} to version 11.8.6 goes on. Follow that one to its end, '
                'and try again.',
            )
        version_id = self.allowed_version_id(asked.get('datastore_version'))
        options = {name: asked.get(name) for name in ('on_failure', 'hold')}
        # as the service shows times: UTC, without the letter for it
        options['not_before'] = (asked.get('not_before') or '').removesuffix('Z') or None
        return self.world.begin(instance_id, version_id, options)

    def allowed_version_id(self, name_or_id):
        version_id = self.version_id(name_or_id)
        if version_id == worlds.V10_6:
            raise Refused(
                400,
                'VERSION_NOT_ALLOWED',
                'The upgrade from 10.11.14 to 10.6.22 is not allowed: it is a downgrade. '
                'Choose one of the upgrade targets.',
            )
        return version_id


def _instances(app, query, _body):
    return app.page('instances', [app.instance(each) for each in app.world.instances], query)


def _instance(app, _query, _body, instance_id):
    return 200, {'instance': app.instance(instance_id)}


def _edit(app, _query, body, instance_id):
    if not app.world.is_handed_on:
        app.begin(instance_id, body['instance'])
    return 202, None


def _datastores(_app, _query, _body):
    return 200, {'datastores': [{'id': worlds.MARIADB, 'name': 'mariadb'}]}


def _versions(_app, _query, _body, _datastore):
    return 200, {'versions': [{'id': each, 'name': name} for each, name in worlds.VERSIONS.items()]}


def _targets(app, _query, _body, instance_id):
    app.instance(instance_id)
    verdicts = (
        (worlds.V10_6, False, 'DOWNGRADE', '10.6.22 is older than 10.11.14', None),
        (worlds.V10_11, True, 'SAME_VERSION', 'it is the version that the instance has', None),
        (worlds.V11_8, True, 'NEXT_SERIES', 'series 11.8 may follow 10.11', worlds.EXPECTED),
    )
    return 200, {
        'upgrade_targets': [
            {
                **worlds.version(version_id),
                'active': True,
                'current': version_id == worlds.V10_11,
                'allowed': allowed,
                'reason_code': code,
                'reason': reason,
                'expected_downtime': expected,
                **_image(app, instance_id, version_id),
            }
            for version_id, allowed, code, reason, expected in verdicts
        ]
    }


def _image(app, instance_id, version_id):
    if app.release is not Release.NEWEST:
        return {}
    return {'image_is_booted': version_id == worlds.V10_11 and instance_id in app.world.booted}


def _check(app, _query, body, instance_id):
    app.instance(instance_id)
    version_id = app.allowed_version_id(body['upgrade_check']['datastore_version'])
    made = {
        'id': worlds.new_id('check', len(app.world.checks)),
        'instance_id': instance_id,
        'target_version_id': version_id,
        'state': 'PENDING',
        'allowed': None,
        'expected_downtime': worlds.EXPECTED,
        'results': [],
        'cause': None,
        'error_code': None,
        'created_at': '2026-11-30T09:58:00',
        'updated_at': '2026-11-30T09:58:00',
        'links': [],
    }
    app.world.checks[made['id']] = made
    made['looks'] = app.world.check_looks
    return 202, {'upgrade_check': {**made, 'looks': 0}}


def _shown_check(app, _query, _body, instance_id, check_id):
    app.instance(instance_id)
    if check_id not in app.world.checks:
        raise not_found('upgrade_check', check_id)
    made = app.world.checks[check_id]
    made['looks'] -= 1
    if made['looks'] <= 0 and made['state'] != 'FAILED':
        full = instance_id == worlds.REPORTS
        sentence = (
            f'Instance {instance_id} cannot be upgraded: its volume has 11 MB free and the '
            'upgrade needs 20 MB to keep its files. Resize the volume and try again.'
        )
        disk = (
            ('refused', sentence, 'VOLUME_SPACE')
            if full
            else ('ok', 'The volume has 12412 MB free.', None)
        )
        active = "The database server's user reads no file with the account of an agent."
        rows = (('guest_volume_space', *disk), ('guest_secrets', 'ok', active, None))
        keys = ('name', 'outcome', 'message', 'code')
        made.update(
            state='COMPLETED',
            allowed=not full,
            results=[dict(zip(keys, row, strict=True)) for row in rows],
            updated_at='2026-11-30T09:58:04',
        )
    return 200, {'upgrade_check': made}


def _upgrades(app, query, _body):
    return _listed(app, query, list(app.world.upgrades.values()))


def _upgrades_of(app, query, _body, instance_id):
    app.instance(instance_id)
    found = app.world.upgrades.values()
    if app.world.is_admin:  # of any project
        query = {**query, 'all_projects': ['true']}
    return _listed(app, query, [each for each in found if each['instance_id'] == instance_id])


def _listed(app, query, found):
    is_new = app.release is Release.NEWEST
    one = {name: values[0] for name, values in query.items()}
    project = None if 'all_projects' in one else one.get('project_id', worlds.PROJECT)
    if project != worlds.PROJECT and not app.world.is_admin:
        raise Refused(403, 'FORBIDDEN', 'The request is not allowed. Ask for a role.')
    found = [each for each in found if project in {None, each['project_id']}]
    if 'state' in query:
        states = set(query['state'] if is_new else query['state'][:1])
        found = [each for each in found if each['state'] in states]
    if 'instance_id' in one:
        found = [each for each in found if each['instance_id'] == one['instance_id']]
    if is_new and 'instance_name' in one:
        found = [each for each in found if each['instance_name'] == one['instance_name']]
    if is_new and 'target_version_id' in one:
        wanted = one['target_version_id']
        found = [each for each in found if each['target_version']['id'] == wanted]
    if is_new and 'since' in one:
        found = [each for each in found if each['created_at'] >= one['since'].rstrip('Z')]
    ascending = is_new and one.get('sort_dir') == 'asc'
    is_by_update = is_new and one.get('sort_key') == 'updated_at'
    found.sort(
        key=lambda each: (each['updated_at'] if is_by_update else '', each['number']),
        reverse=not ascending,
    )
    shown = [app.shown(each, only_listed=True) for each in found]
    return app.page('upgrades', shown, query)


def _upgrade(app, _query, _body, upgrade_id):
    return 200, {'upgrade': app.shown(app.world.look(app.upgrade(upgrade_id)))}


def _start(app, _query, body):
    return 202, {'upgrade': app.shown(app.begin(body['upgrade']['instance_id'], body['upgrade']))}


def _act(app, _query, body, upgrade_id):
    upgrade, [action] = app.upgrade(upgrade_id), body
    refusal = actions.refused(app.world, upgrade, action)
    if refusal:
        raise Refused(*refusal)
    actions.take(app.world, upgrade, action)
    return 202, {'upgrade': app.shown(upgrade)}


def _actions(app, _query, _body, upgrade_id):
    return 200, {'actions': actions.told(app.world, app.upgrade(upgrade_id))}


_TROVES = (
    ('GET', '/instances', _instances),
    ('GET', '/instances/([^/]+)', _instance),
    ('PATCH', '/instances/([^/]+)', _edit),
    ('GET', '/datastores', _datastores),
    ('GET', '/datastores/([^/]+)/versions', _versions),
)
_OURS = (
    ('GET', '/instances/([^/]+)/upgrade-targets', _targets),
    ('POST', '/instances/([^/]+)/upgrade-checks', _check),
    ('GET', '/instances/([^/]+)/upgrade-checks/([^/]+)', _shown_check),
    ('GET', '/instances/([^/]+)/upgrades', _upgrades_of),
    ('GET', '/upgrades', _upgrades),
    ('GET', '/upgrades/([^/]+)', _upgrade),
)
_NEW = (
    ('POST', '/upgrades', _start),
    ('POST', '/upgrades/([^/]+)/action', _act),
    ('GET', '/upgrades/([^/]+)/actions', _actions),
    ('GET', '/mgmt/upgrade-drift', drift.of_projects),
    ('GET', '/mgmt/upgrade-drift/([^/]+)', drift.of_project),
)
