# SPDX-License-Identifier: Apache-2.0
"""The filter in the pipeline of Trove's own API, under the servers that Trove is served with;
gunicorn's threads are a longer test.
"""

import concurrent.futures
import dataclasses
import datetime
import http.client
import json
import pathlib
import uuid

import sqlalchemy as sa

from lab.clients import Clients
from trove_upgrade.db import models, trove_tables
from trove_upgrade.tests.functional.cloud import trove_api, trove_case


class UnderServer:
    """What must hold under each server; a class below names one."""

    server = ''
    environment = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api = cls.new_api()
        cls.addClassCleanup(cls.api.stop)

    @classmethod
    def new_api(cls, *, arguments=(), lazy_apps=True, **options):
        chosen = {'taskmanager_topic': trove_case.TOPIC, 'service_report_interval': 1, **options}
        return trove_api.TroveApi(
            cls.installation,
            cls.server,
            options=chosen,
            environment=cls.environment,
            arguments=arguments,
            lazy_apps=lazy_apps,
        )

    def assert_begun(self, instance_id):
        begun = self.upgrade_of(instance_id)
        self.assertEqual(
            ('PENDING', self.versions[trove_case.TARGET]), (begun.state, begun.target_version_id)
        )
        row = self.instance_row(instance_id)
        self.assertEqual(
            (0x59, self.versions[trove_case.FORMER]), (row.task_id, row.datastore_version_id)
        )
        return begun

    def test_put_is_an_upgrade_too(self):
        instance_id = self.new_instance()
        status, body, headers = self.upgrade(self.api, instance_id, method='PUT')
        self.assertEqual((202, b''), (status, body))
        self.assertIn('x-compute-request-id', headers)
        self.assert_begun(instance_id)
        self.assertEqual(
            'UPGRADE',
            self.ask(self.api, 'GET', f'/instances/{instance_id}')[1]['instance']['status'],
        )

    def test_the_way_of_troves_management_is_an_upgrade_too(self):
        instance_id, wanted = (
            self.new_instance(),
            {'instance': {'datastore_version': trove_case.TARGET}},
        )
        path = f'/mgmt/instances/{instance_id}'
        for hidden in (
            f'{path}?_method=PUT',
            f'{path}.json?_method=PUT',
            f'{path}/edit',
            f'{path}/edit.json',
        ):
            self.assert_refused(self.ask(self.api, 'GET', hidden, wanted), 400, 'METHOD_OVERRIDDEN')
        for hidden in (
            f'{path}/edit%0A',
            f'{path}/edit%0D',
            f'{path}/edit.json%0A',
            f'{path}%0A',
            f'/instances/{instance_id}%0A',
            '/backups%0A',
        ):
            for method in ('GET', 'PUT', 'PATCH', 'POST'):
                self.assert_refused(self.ask(self.api, method, hidden, wanted), 400, 'PATH_INVALID')
        self.assert_refused(
            self.ask(self.api, 'PUT', f'{path}.json', wanted), 404, 'INSTANCE_NOT_FOUND'
        )
        self.assertIsNone(self.upgrade_of(instance_id))
        self.assertEqual(202, self.ask(self.api, 'PUT', path, wanted)[0])
        self.assert_begun(instance_id)

    def test_a_taskmanager_is_nudged(self):
        nudged = trove_case.Nudged(self.handle.transport_url)
        self.addCleanup(nudged.stop)
        for _ in range(3):
            instance_id = self.new_instance()
            self.assertEqual(202, self.upgrade(self.api, instance_id)[0])
            self.assertTrue(
                nudged.wait_for(self.upgrade_of(instance_id).id), self.api.said()[-3000:]
            )

    def test_of_many_at_once_each_is_answered_and_one_wins(self):
        wanted = [self.new_instance() for _ in range(16)] + [self.new_instance()] * 8
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = list(
                pool.map(lambda instance_id: self.upgrade(self.api, instance_id)[0], wanted)
            )
        self.assertEqual([202] * 16, statuses[:16])
        self.assertEqual([202] + [422] * 7, sorted(statuses[16:]))

    def test_our_own_resources(self):
        instance_id = self.new_instance()
        self.upgrade(self.api, instance_id)
        upgrade_id = self.upgrade_of(instance_id).id
        for path in (
            '/upgrades',
            f'/upgrades/{upgrade_id}',
            f'/instances/{instance_id}/upgrades',
            f'/instances/{instance_id}/upgrade-targets',
        ):
            self.assertEqual(200, self.ask(self.api, 'GET', path)[0], path)
        status, body, _ = self.ask(
            self.api,
            'POST',
            f'/instances/{instance_id}/upgrade-checks',
            {'upgrade_check': {'datastore_version': trove_case.TARGET}},
        )
        self.assertEqual(202, status, body)

    def test_errors_have_one_form_and_no_known_one_is_a_500(self):
        instance_id = self.new_instance()
        self.assert_refused(
            self.upgrade(self.api, instance_id, '9.9'), 404, 'DATASTORE_VERSION_NOT_FOUND'
        )
        self.assert_refused(self.upgrade(self.api, str(uuid.uuid4())), 404, 'INSTANCE_NOT_FOUND')
        self.assert_refused(self.upgrade(self.api, instance_id, user='reader'), 403, 'FORBIDDEN')
        self.assert_refused(
            self.upgrade(self.api, self.new_instance(task_id=3)), 422, 'INSTANCE_BUSY'
        )
        self.assert_refused(
            self.upgrade(self.api, self.new_instance(has_agent=False)), 422, 'GUEST_AGENT_MISSING'
        )
        self.assert_refused(self.ask(self.api, 'DELETE', '/upgrades'), 405, 'METHOD_NOT_ALLOWED')
        status, body, _ = trove_api.ask(f'{self.api.url}/{self.project_id}/upgrades', 'GET')
        self.assertEqual(401, status, body)

    def test_an_unexpected_error_is_logged_and_named_by_the_id_of_its_request(self):
        instance_id = self.new_instance()
        self.upgrade(self.api, instance_id)
        upgrade_id = self.upgrade_of(instance_id).id
        with self.database.write() as connection:
            connection.execute(
                sa.update(models.instance_upgrades)
                .where(models.instance_upgrades.c.id == upgrade_id)
                .values(state='NO NAME')  # of no release
            )
        answer = self.ask(self.api, 'GET', f'/upgrades/{upgrade_id}')
        with self.database.write() as connection:
            connection.execute(
                sa.update(models.instance_upgrades)
                .where(models.instance_upgrades.c.id == upgrade_id)
                .values(state='PENDING')
            )
        fault = self.assert_refused(answer, 500, 'INTERNAL_ERROR')
        request_id = answer[2]['x-openstack-request-id']
        self.assertIn(request_id, fault['message'])
        logged = [
            line
            for line in self.api.said().splitlines()
            if f'Request {request_id} could not be served' in line
        ]
        self.assertTrue(logged)
        self.assertRegex(
            logged[0],
            r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \d+ ERROR trove_upgrade\.api\.application \[.*'
            + request_id,
        )

    def test_where_the_body_cannot_be_told_the_request_ends_here(self):
        instance_id = self.new_instance()
        path = f'/instances/{instance_id}'
        upgrade = json.dumps({'instance': {'datastore_version': trove_case.TARGET}}).encode()
        big = upgrade + b' ' * 70000
        for method in ('PATCH', 'PUT'):
            self.assert_refused(self.ask(self.api, method, path, big), 413, 'BODY_TOO_LARGE')
            self.assert_refused(
                self.ask(self.api, method, path, b'{"instance": {}, "instance": {}}'),
                400,
                'BODY_DUPLICATE_KEY',
            )
            self.assert_refused(self.ask(self.api, method, path, b'{'), 400, 'BODY_NOT_JSON')
            for depth in (65, 900, 940, 959, 2000):
                deep = (
                    b'{"instance": {"datastore_version": '
                    + b'{"a":' * depth
                    + b'1'
                    + b'}' * depth
                    + b'}}'
                )
                self.assert_refused(self.ask(self.api, method, path, deep), 400, 'BODY_NOT_JSON')
            xml = b'<instance><datastore_version>x</datastore_version></instance>'
            self.assert_refused(
                self.ask(self.api, method, path, xml, headers={'Content-Type': 'application/xml'}),
                415,
                'UNSUPPORTED_MEDIA_TYPE',
            )
            self.assert_refused(
                self.chunked(method, path, [upgrade[:10], upgrade[10:]]), 400, 'BODY_LENGTH_UNKNOWN'
            )
        for method in ('POST', 'GET', 'DELETE'):
            self.assert_refused(
                self.ask(self.api, method, f'{path}?_method=PATCH', upgrade),
                400,
                'METHOD_OVERRIDDEN',
            )
        form = {'Content-Type': 'application/x-www-form-urlencoded'}
        self.assert_refused(
            self.ask(self.api, 'POST', path, b'_method=PATCH', headers=form),
            400,
            'METHOD_OVERRIDDEN',
        )
        row = self.instance_row(instance_id)
        self.assertEqual(
            (None, 1, False), (self.upgrade_of(instance_id), row.task_id, bool(row.deleted))
        )

    def chunked(self, method, path, parts):
        connection = http.client.HTTPConnection(trove_api.HOST, self.api.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request(
            method,
            f'/v1.0/{self.project_id}{path}',
            body=iter(parts),
            encode_chunked=True,
            headers={
                'X-Auth-Token': self.tokens['demo'],
                'Content-Type': 'application/json',
                'Transfer-Encoding': 'chunked',
            },
        )
        answer = connection.getresponse()
        content = answer.read()
        return (
            answer.status,
            json.loads(content) if content.startswith(b'{') else content,
            {name.lower(): value for name, value in answer.getheaders()},
        )

    def completed_backup(self, instance_id, version):
        """As Trove's conductor leaves it; each one is newer than those before."""
        backup_id = str(uuid.uuid4())
        moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        with self.database.write() as connection:
            known = connection.execute(
                sa.select(sa.func.count()).select_from(trove_tables.backups)
            ).scalar_one()
        moment += datetime.timedelta(minutes=known)
        self.insert(
            trove_tables.backups,
            id=backup_id,
            name='full',
            tenant_id=self.project_id,
            state='COMPLETED',
            instance_id=instance_id,
            deleted=False,
            created=moment,
            updated=moment,
            datastore_version_id=self.versions[version],
            backup_type='full',
            location='http://store/v1/backups/full',
            checksum='x',
            storage_driver='none',
        )
        return backup_id

    def back_up(self, instance_id, **wanted):
        """No guest has this storage driver, and Nova no server of the instance: what reaches Trove
        ends there, and makes no backup.
        """
        return self.ask(
            self.api,
            'POST',
            '/backups',
            {'backup': {'name': 'b', 'instance': instance_id, 'storage_driver': 'none', **wanted}},
        )

    def assert_trove_answers(self, answer):
        status, body, _ = answer
        self.assertGreaterEqual(status, 400, body)
        self.assertNotIn('error_code', next(iter(body.values())))

    def test_an_incremental_backup_on_one_of_a_former_version_is_refused_and_every_other_is_troves_to_answer(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        instance_id = self.new_instance(datastore_version_id=self.versions[trove_case.TARGET])
        self.assert_trove_answers(self.back_up(instance_id, incremental=1))
        former = self.completed_backup(instance_id, trove_case.FORMER)
        for wanted in (
            {'incremental': 1},
            {'parent_id': former},
            {'parent_id': former, 'incremental': 0},
        ):
            self.assert_refused(
                self.back_up(instance_id, **wanted), 422, 'BACKUP_OF_FORMER_VERSION'
            )
        self.assert_trove_answers(self.back_up(instance_id, incremental=0))
        self.assert_trove_answers(self.back_up(instance_id, incremental='yes'))
        present = self.completed_backup(instance_id, trove_case.TARGET)
        self.assert_trove_answers(self.back_up(instance_id, incremental=1))
        self.assert_trove_answers(self.back_up(instance_id, parent_id=present))
        self.assert_refused(
            self.back_up(instance_id, parent_id=former), 422, 'BACKUP_OF_FORMER_VERSION'
        )

    def test_it_registers_and_removes_itself(self):
        api = self.new_api()
        try:
            pids = {api.process.pid, *api.workers()}
            self.ask(api, 'GET', '/upgrades')
            self.wait_until(
                lambda: [service for service in self.repos.services.list() if service.pid in pids],
                'a sign of life',
            )
        finally:
            api.stop()
        self.wait_until(
            lambda: not [service for service in self.repos.services.list() if service.pid in pids],
            'its end',
        )

    def test_a_guest_without_an_agent_can_be_left_to_trove(self):
        api = self.new_api(guest_without_agent='pass')
        self.addCleanup(api.stop)
        server_id = self.new_server()
        for method in ('PATCH', 'PUT'):
            instance_id = self.new_instance(has_agent=False, compute_instance_id=server_id)
            status, body, headers = self.upgrade(api, instance_id, method=method)
            self.assertEqual((202, False), (status, 'x-compute-request-id' in headers), body)
            row = self.instance_row(instance_id)
            self.assertEqual(
                (None, 0x59, self.versions[trove_case.TARGET]),
                (self.upgrade_of(instance_id), row.task_id, row.datastore_version_id),
            )
        instance_id = self.new_instance(has_agent=True)
        self.upgrade(api, instance_id)
        self.assert_begun(instance_id)
        with self.database.write() as connection:
            connection.execute(
                sa.delete(models.upgrade_guests).where(
                    models.upgrade_guests.c.instance_id == instance_id
                )
            )
        self.assert_refused(self.upgrade(api, instance_id), 422, 'INSTANCE_BUSY')
        self.assertEqual(
            self.versions[trove_case.FORMER], self.instance_row(instance_id).datastore_version_id
        )

    def native_threads(self, api):
        return {
            pid: len(list(pathlib.Path(f'/proc/{pid}/task').iterdir())) for pid in api.workers()
        }


class TestUwsgi(UnderServer, trove_case.TroveTestCase):
    server = trove_api.UWSGI

    def region(self, api):
        """A region of the catalog in which this API is the database service: where the unmodified
        clients find it.
        """
        admin, auth_url = trove_api.session(self.handle.users['admin']), self.handle.auth_url
        name = f'filter-{uuid.uuid4().hex[:8]}'
        admin.request('POST', f'{auth_url}/regions', {'region': {'id': name}})
        self.addCleanup(admin.request, 'DELETE', f'{auth_url}/regions/{name}')
        service = admin.request('GET', f'{auth_url}/services?type=database')['services'][0]['id']
        made = admin.request(
            'POST',
            f'{auth_url}/endpoints',
            {
                'endpoint': {
                    'interface': 'public',
                    'region_id': name,
                    'service_id': service,
                    'url': f'{api.url}/$(project_id)s',
                }
            },
        )['endpoint']['id']
        self.addCleanup(admin.request, 'DELETE', f'{auth_url}/endpoints/{made}')
        return name

    def test_the_clients_start_an_upgrade_and_troves_own_view_shows_it(self):
        user = dataclasses.replace(self.handle.users['demo'], region_name=self.region(self.api))
        clients = Clients(user)
        for number, command in enumerate(
            (('trove', 'upgrade'), ('openstack', 'database', 'instance', 'upgrade'))
        ):
            instance_id = self.new_instance(f'{self.server}-{number}')
            clients.run(*command, instance_id, trove_case.TARGET)
            self.assert_begun(instance_id)
            self.assertRegex(clients.run('trove', 'show', instance_id), r'\| status +\| UPGRADE ')
        done = clients.attempt('trove', 'upgrade', instance_id, trove_case.TARGET)
        self.assertNotEqual(0, done.returncode)
        self.assertIn('(HTTP 422)', done.stderr)


class TestEventlet(UnderServer, trove_case.TroveTestCase):
    server = trove_api.EVENTLET

    def test_no_native_thread_is_started(self):
        """One would be fine until it touched a lock of a green one; everything here is green."""
        for _ in range(8):
            self.upgrade(self.api, self.new_instance())
        self.assertEqual({1}, set(self.native_threads(self.api).values()))


#: What stands in Trove's process before the filter is loaded, and after it has served.
_STATE = """
import json, sys, threading
from oslo_config import cfg
sys.argv = ['trove-api', '--config-file', sys.argv[1]]
from trove.cmd.common import initialize
CONF = initialize()
from trove import rpc
from trove.common import api, policy, wsgi

def options():
    return {(name or 'DEFAULT', option) for name, group in [(None, CONF._opts), *((n, \
g._opts) for n, g in CONF._groups.items())] for option in group}

def state():
    enforcer = policy.get_enforcer()
    return {'transport': id(rpc.TRANSPORT), 'notifier': id(rpc.NOTIFIER), \
'exchange': CONF.control_exchange, 'enforcer': id(enforcer),
            'rules': sorted(enforcer.registered_rules), 'defaults': {o: str(CONF[o]) for o in \
('host', 'transport_url')},
            'trove': sorted(m for m in sys.modules if m.split('.')[0] == 'trove'), \
'threads': threading.active_count()}

from oslo_db import options as db_options
CONF.register_opts(db_options.database_opts, 'database')   # as Trove's first statement does
before, known = state(), options()
from trove_upgrade.api import app
filtered = app.filter_factory({})(lambda environ, start_response: [b'trove'])
loaded = state()
services = app.new_services(CONF, beside_trove=True)
after = state()
json.dump({'before': before, 'loaded': loaded, 'after': after, 'new': sorted(options() - known),
           'transports': services.taskmanager._client.transport is rpc.TRANSPORT}, sys.stdout)
"""


#: Every way on which Trove's own routers lead to the handlers that can upgrade.
_WAYS = """
import json, sys
from oslo_config import cfg
from trove.common import cfg as _options
cfg.CONF(['--config-file', sys.argv[1]], project='trove')
from trove.common import api, extensions
from trove.instance.service import InstanceController

def ways(router):
    for route in router._router.mapper.matchlist:
        controller = route.defaults.get('controller')
        if isinstance(getattr(controller, 'controller', controller), \
InstanceController) and route.defaults.get('action') in ('update', 'edit'):
            for method in (route.conditions or {}).get('method', ['any']):
                yield method, route.routepath.replace(':(id)', '{id}')

json.dump(sorted({*ways(api.app_factory({})), *ways(extensions.factory({})(None))}), sys.stdout)
"""


class TestTrovesProcess(trove_case.TroveTestCase):
    def test_every_way_to_an_upgrade_is_one_that_the_filter_knows(self):
        program = self.installation.directory / 'ways.py'
        program.write_text(_WAYS)
        shown = json.loads(
            self.installation.run(
                'python', '-W', 'ignore', str(program), str(self.installation.config('trove'))
            )
        )
        one, managed = '/{tenant_id}/instances/{id}', '/{tenant_id}/mgmt/instances/{id}'
        self.assertEqual(
            sorted(
                [
                    ['PATCH', one],
                    ['PUT', one],
                    ['PATCH', managed],
                    ['PUT', managed],
                    ['PUT', f'{managed}.:(format)'],
                    ['GET', f'{managed}/edit'],
                    ['GET', f'{managed}/edit.:(format)'],
                ]
            ),
            shown,
        )

    def test_nothing_of_troves_is_touched(self):
        program = self.installation.directory / 'state.py'
        program.write_text(_STATE)
        shown = json.loads(
            self.installation.run(
                'python', '-W', 'ignore', str(program), str(self.installation.config('trove'))
            )
        )
        self.assertEqual(shown['before'], shown['loaded'])
        self.assertEqual(shown['before'], shown['after'])
        self.assertFalse(shown['transports'])
        # what any RPC client registers, Trove's first one, too
        of_oslo = {
            'rpc_response_timeout',
            *(name for group, name in shown['new'] if group.startswith('oslo_messaging_')),
        }
        self.assertEqual(
            {'trove_upgrade'}, {group for group, name in shown['new'] if name not in of_oslo}
        )

    def test_the_filter_imports_nothing_of_troves_and_starts_no_thread(self):
        shown = json.loads(
            self.installation.python(
                'import json, sys, threading\nimport trove_upgrade.api.app\n'
                'json.dump([sorted(m for m in sys.modules if m.split(".")[0] == "trove"), '
                'threading.active_count()], sys.stdout)'
            )
        )
        self.assertEqual([[], 1], shown)
