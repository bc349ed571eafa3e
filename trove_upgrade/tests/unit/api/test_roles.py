# SPDX-License-Identifier: Apache-2.0
"""Every route by every kind of caller: what each gets, alone and through the filter.  A route
without a line fails.
"""

import dataclasses
import json

import webtest
from oslo_config import cfg

from trove_upgrade.api import app, application
from trove_upgrade.api.backup_filter import BackupFilter
from trove_upgrade.api.filter import UpgradeFilter
from trove_upgrade.api.routes import ROUTES
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import stage, test_filter

OWN, OTHER = database.PROJECT, database.OTHER_PROJECT


@dataclasses.dataclass(frozen=True)
class Caller:
    """Whose token, and the project in the address.  The objects in the address are always those of
    OWN.
    """

    project_id: str | None
    roles: str
    address: str = OWN
    scope: str = ''  #: 'system' or 'domain' in place of a project

    def environ(self):
        """What authtoken leaves, which has checked the token."""
        known = {
            'keystone.token_info': {'token': {}},
            'HTTP_X_IDENTITY_STATUS': 'Confirmed',
            'HTTP_X_USER_ID': stage.USER,
            'HTTP_X_ROLES': self.roles,
        }
        if self.project_id:
            known['HTTP_X_PROJECT_ID'] = self.project_id
        if self.scope == 'system':
            known['HTTP_OPENSTACK_SYSTEM_SCOPE'] = 'all'
        if self.scope == 'domain':
            known['HTTP_X_DOMAIN_ID'] = 'default'
        return known


#: None: no token, or one that Keystone does not know.
CALLERS = {
    'member': Caller(OWN, 'member,reader'),
    'member without reader': Caller(OWN, 'member'),
    'reader': Caller(OWN, 'reader'),
    'no role': Caller(OWN, ''),
    'another role': Caller(OWN, 'heat_stack_owner'),
    'service': Caller(OWN, 'service'),
    'member of another project, at this one': Caller(OTHER, 'member,reader'),
    'reader of another project, at this one': Caller(OTHER, 'reader'),
    'admin of another project, at this one': Caller(OTHER, 'admin,member,reader'),
    'member of another project, at its own': Caller(OTHER, 'member,reader', OTHER),
    'reader of another project, at its own': Caller(OTHER, 'reader', OTHER),
    'service of another project, at its own': Caller(OTHER, 'service', OTHER),
    'admin of the project': Caller(OWN, 'admin,member,reader'),
    'admin of another project, at its own': Caller(OTHER, 'admin,member,reader', OTHER),
    'admin of the system': Caller(None, 'admin,member,reader', scope='system'),
    'admin of the domain': Caller(None, 'admin,member,reader', scope='domain'),
    'no caller': None,
}

#: In the order of CALLERS.                own project        at this one    elsewhere      admins
#: -
LOOK_AT_ALL = (200, 200, 200, 403, 403, 403, 403, 403, 403, 200, 200, 403, 200, 200, 403, 403, 401)
LOOK_AT_ONE = (200, 200, 200, 403, 403, 403, 403, 403, 403, 404, 404, 403, 200, 200, 403, 403, 401)
CHANGE_ONE = (202, 202, 403, 403, 403, 403, 403, 403, 403, 404, 403, 403, 202, 202, 403, 403, 401)
FOR_ADMINS = (403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 200, 200, 403, 403, 401)

_INSTANCE = '/{project_id}/instances/{instance_id}'
_DATASTORES = '/{project_id}/datastores'
TABLE = {
    ('GET', '/{project_id}/instances'): LOOK_AT_ALL,
    ('GET', _INSTANCE): LOOK_AT_ONE,
    ('PATCH', _INSTANCE): CHANGE_ONE,
    ('PUT', _INSTANCE): CHANGE_ONE,
    ('GET', f'{_INSTANCE}/upgrade-targets'): LOOK_AT_ONE,
    ('POST', f'{_INSTANCE}/upgrade-checks'): CHANGE_ONE,
    ('GET', f'{_INSTANCE}/upgrade-checks/{{check_id}}'): LOOK_AT_ONE,
    ('GET', f'{_INSTANCE}/upgrades'): LOOK_AT_ONE,
    ('GET', '/{project_id}/mgmt/instances'): FOR_ADMINS,
    ('GET', '/{project_id}/mgmt/upgrade-drift'): FOR_ADMINS,
    ('GET', '/{project_id}/mgmt/upgrade-drift/{drift_project_id}'): FOR_ADMINS,
    ('GET', '/{project_id}/upgrades'): LOOK_AT_ALL,
    ('POST', '/{project_id}/upgrades'): CHANGE_ONE,
    ('GET', '/{project_id}/upgrades/{upgrade_id}'): LOOK_AT_ONE,
    ('POST', '/{project_id}/upgrades/{upgrade_id}/action'): CHANGE_ONE,
    ('GET', '/{project_id}/upgrades/{upgrade_id}/actions'): LOOK_AT_ONE,
    ('GET', '/{project_id}/upgrade-openapi'): LOOK_AT_ALL,
    ('GET', _DATASTORES): LOOK_AT_ALL,
    ('GET', f'{_DATASTORES}/versions/{{version_id}}'): LOOK_AT_ALL,
    ('GET', f'{_DATASTORES}/{{datastore}}'): LOOK_AT_ALL,
    ('GET', f'{_DATASTORES}/{{datastore}}/versions'): LOOK_AT_ALL,
    ('GET', f'{_DATASTORES}/{{datastore}}/versions/{{version}}'): LOOK_AT_ALL,
}
#: What a query makes another question of: another policy is asked then.
QUERIES = {
    ('GET', '/{project_id}/upgrades?all_projects=true'): FOR_ADMINS,
    ('GET', '/{project_id}/upgrades?project_id=any'): FOR_ADMINS,
}
#: In Trove's pipeline these are Trove's, for every caller.
LEFT_TO_TROVE = frozenset(
    (method, path)
    for method, path in TABLE
    if method == 'GET'
    and (path.endswith(('/instances', '{instance_id}')) or path.startswith(_DATASTORES))
)


def _body(path, instance_id):
    if path.endswith('/action'):
        return {'abort': {}}
    if path.endswith('/upgrades'):
        return {'upgrade': {'instance_id': instance_id, 'datastore_version': '11.8.6'}}
    noun = 'upgrade_check' if path.endswith('upgrade-checks') else 'instance'
    return {noun: {'datastore_version': '11.8.6'}}


class RolesTestCase(stage.ApiTestCase):
    def setUp(self):
        super().setUp()
        self.upgrade_id = self.db.begin(self.db.add_instance(name='upgraded')).id
        rows = self.db.repositories
        target = rows.datastores.version_by_id(database.MARIADB_11_8)
        self.check_id = rows.checks.begin(rows.instances.get(database.INSTANCE), target).id

    def new_app(self, **changes):
        made = self.new_services(**changes)
        ours = application.Application(lambda: made)
        self.trove = test_filter.Trove()
        backups = BackupFilter(self.trove, lambda: made, lambda: 65536)
        self.filtered = webtest.TestApp(UpgradeFilter(backups, ours, lambda: 65536), lint=False)
        return webtest.TestApp(ours, lint=False)

    def status_of(self, method, path, caller, filtered=False):
        """Each request on an instance of its own where it changes one."""
        changes = method in {'PATCH', 'PUT', 'POST'}
        instance_id = self.db.add_instance() if changes else database.INSTANCE
        found = path.format(
            project_id=caller.address if caller else OWN,
            instance_id=instance_id,
            drift_project_id=OWN,
            upgrade_id=self.upgrade_id,
            check_id=self.check_id,
            datastore='mariadb',
            version='11.8.6',
            version_id=database.MARIADB_11_8,
        )
        body = json.dumps(_body(path, instance_id)).encode() if changes else b''
        request = webtest.TestRequest.blank(found, method=method, body=body)
        request.content_type = 'application/json'
        request.environ.update(caller.environ() if caller else {})
        chosen = self.filtered if filtered else self.app
        return chosen.do_request(request, expect_errors=True).status_int


class TestEveryRouteByEveryRole(RolesTestCase):
    def test_every_route_has_a_line_and_every_line_a_column_for_each_caller(self):
        routes = {(method, path) for path, methods in ROUTES.items() for method in methods}
        self.assertEqual(routes, TABLE.keys())
        self.assertEqual(
            {len(CALLERS)}, {len(line) for line in (*TABLE.values(), *QUERIES.values())}
        )

    def test_alone(self):
        for (method, path), line in {**TABLE, **QUERIES}.items():
            found = {name: self.status_of(method, path, caller) for name, caller in CALLERS.items()}
            self.assertEqual(dict(zip(CALLERS, line, strict=True)), found, f'{method} {path}')

    def test_through_the_filter(self):
        for (method, path), line in {**TABLE, **QUERIES}.items():
            wanted = [418] * len(line) if (method, path) in LEFT_TO_TROVE else line
            found = {
                name: self.status_of(method, path, caller, filtered=True)
                for name, caller in CALLERS.items()
            }
            self.assertEqual(dict(zip(CALLERS, wanted, strict=True)), found, f'{method} {path}')

    def test_by_the_way_of_troves_management_the_same_rules_hold(self):
        for method in ('PATCH', 'PUT'):
            path = '/{project_id}/mgmt/instances/{instance_id}'
            found = [
                self.status_of(method, path, caller, filtered=True) for caller in CALLERS.values()
            ]
            self.assertEqual(list(CHANGE_ONE), found)

    def test_no_other_method_leads_anywhere(self):
        for path, methods in ROUTES.items():
            for method in {
                'GET',
                'POST',
                'PUT',
                'PATCH',
                'DELETE',
                'HEAD',
                'OPTIONS',
                'TRACE',
                'X',
            } - methods.keys():
                self.assertEqual(
                    {401, 405},
                    {
                        self.status_of(method, path, CALLERS[name])
                        for name in ('no caller', 'reader', 'admin of the project')
                    },
                )

    def test_headers_that_a_client_can_send_make_no_other_caller(self):
        for line in TABLE:
            forged = dataclasses.replace(CALLERS['admin of the project'])
            environ = forged.environ()
            environ.pop('keystone.token_info')
            request = webtest.TestRequest.blank(
                line[1].format(
                    project_id=OWN,
                    instance_id=database.INSTANCE,
                    drift_project_id=OWN,
                    upgrade_id=self.upgrade_id,
                    check_id=self.check_id,
                    datastore='mariadb',
                    version='11.8.6',
                    version_id=database.MARIADB_11_8,
                ),
                method=line[0],
            )
            request.environ.update(environ)
            self.assertEqual(401, self.app.do_request(request, expect_errors=True).status_int)


class TestWithoutToken(RolesTestCase):
    """What the composite before the pipeline answers to all alike: nothing of any project."""

    def test_versions_and_health_and_nothing_else(self):
        reached = []

        def pipeline(environ, start_response):
            reached.append(environ['PATH_INFO'])
            return application.Application(self.new_services)(environ, start_response)

        conf = cfg.ConfigOpts()
        conf([], project='trove-upgrade', default_config_files=[], default_config_dirs=[])
        app.our_conf.register_opts(conf)
        root = webtest.TestApp(app.Root(pipeline, app.healthcheck_factory({}), conf), lint=False)
        for path, status in (
            ('/', 200),
            ('/v1.0', 200),
            ('/v1.0/', 200),
            ('/healthcheck', 200),
            ('/openapi.json', 200),
            ('/openapi.json/', 404),
            ('/v1.0/openapi.json', 401),
            ('/healthcheck/', 404),
            ('/v1.1', 404),
            ('/v1.00', 404),
            ('/v1.0%0A', 404),
            ('/healthcheck%0A', 404),
            (f'/{OWN}/upgrades', 404),
            ('/v1.0/x', 401),
            (f'/v1.0/{OWN}/upgrades', 401),
        ):
            self.assertEqual(status, root.get(path, expect_errors=True).status_int, path)
        self.assertEqual(['/openapi.json', '/x', f'/{OWN}/upgrades'], reached)
