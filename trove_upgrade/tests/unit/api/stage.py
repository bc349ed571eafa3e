# SPDX-License-Identifier: Apache-2.0
"""The API over a database in memory, with stand-ins for what is outside of it."""

import json
import threading

import webtest
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.api import application, policies, services
from trove_upgrade.domain import compute, exceptions, versions
from trove_upgrade.tests.unit import base, database

USER = 'user-1'
MEMBER = 'member,reader'
READER = 'reader'
ADMIN = 'admin,member,reader'


class FakeTaskManager:
    """Remembers whom it was nudged for."""

    def __init__(self):
        self.upgrades = []
        self.checks = []

    def upgrade(self, context, row):
        self.upgrades.append(row.id)

    def check(self, context, check_id):
        self.checks.append(check_id)


class FakeServers:
    """Implements ports.ServerDirectory: every server is ACTIVE unless told otherwise; silent when
    told so.
    """

    def __init__(self):
        self.statuses = {}
        self.missing = set()
        self.addresses = (compute.Address('10.1.0.62', 'private', 'net-1'),)
        self.is_silent = False
        self.calls = 0

    def servers(self, instances):
        self.calls += 1
        if self.is_silent:
            raise exceptions.ComputeUnavailable(what='its servers', found='no answer within 2 s')
        return {
            row.server_id: compute.ServerSummary(
                self.statuses.get(row.server_id, 'ACTIVE'), self.addresses
            )
            for row in instances
            if row.server_id not in self.missing
        }


class FakeAuth:
    """Stands where authtoken stands: says who asks, unless the test sends no caller."""

    def __init__(self, application):
        self._application = application

    def __call__(self, environ, start_response):
        token = environ.pop('HTTP_X_AUTH_TOKEN', '')
        if token:
            project_id, roles = token.split(':')
            environ.update(
                {
                    'keystone.token_info': {'token': {}},
                    'HTTP_X_IDENTITY_STATUS': 'Confirmed',
                    'HTTP_X_USER_ID': USER,
                    'HTTP_X_PROJECT_ID': project_id,
                    'HTTP_X_ROLES': roles,
                }
            )
        return self._application(environ, start_response)


def token(roles=MEMBER, project_id=database.PROJECT):
    return f'{project_id}:{roles}'


def private_conf(**overrides):
    conf = cfg.ConfigOpts()
    our_conf.register_opts(conf)
    conf([], project='trove-upgrade', default_config_files=[], default_config_dirs=[])
    for name, value in overrides.items():
        conf.set_override(name, value, group=our_conf.GROUP)
    return conf


class ApiTestCase(base.TestCase):
    """`self.app` asks the API with a member's token unless told otherwise."""

    url = 'sqlite://'

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase(self.database_url()))
        self.taskmanager = FakeTaskManager()
        self.servers = FakeServers()
        self.conf = private_conf()
        self.app = self.new_app()

    def database_url(self):
        return self.url

    def new_services(self, **changes):
        settings = services.Settings(
            page_size=1000, max_body_bytes=65536, public_endpoint=None, region='RegionOne'
        )
        arguments = {
            'repos': self.db.repositories,
            'taskmanager': self.taskmanager,
            'servers': self.servers,
            'rules': versions.Rules.load(),
            'enforcer': policies.new_enforcer(self.conf),
            'settings': settings,
        }
        return services.Services(**{**arguments, **changes})

    def new_app(self, **changes):
        made = self.new_services(**changes)
        return webtest.TestApp(FakeAuth(application.Application(lambda: made)), lint=False)

    def ask(
        self,
        method,
        path,
        body=None,
        *,
        roles=MEMBER,
        project_id=database.PROJECT,
        headers=None,
        raw=None,
        content_type='application/json',
    ):
        """Any status is fine: the test looks at it."""
        request = webtest.TestRequest.blank(f'/{project_id}{path}', method=method)
        request.headers['X-Auth-Token'] = token(roles, project_id)
        content = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        if content is not None:
            request.body = content
            request.content_type = content_type
        request.headers.update(headers or {})
        return self.app.do_request(request, expect_errors=True)

    def patch(self, version, instance_id=database.INSTANCE, **options):
        return self.ask(
            'PATCH',
            f'/instances/{instance_id}',
            {'instance': {'datastore_version': version}},
            **options,
        )

    def assert_refused(self, response, status, error_code):
        """In Trove's form, with our code, and a sentence in the message."""
        self.assertEqual(
            (status, error_code),
            (response.status_int, self.fault(response)['error_code']),
            response.text,
        )
        self.assertEqual(status, self.fault(response)['code'])
        self.assertRegex(self.fault(response)['message'], rf'^[A-Z].*\. \({error_code}\)$')
        self.assertEqual('application/json', response.content_type)

    def fault(self, response):
        return next(iter(response.json.values()))


def in_threads(count, work):
    """Run `work(number)` in `count` threads that begin together; the results in any order."""
    barrier = threading.Barrier(count)
    results = []

    def run(number):
        barrier.wait(30)
        results.append(work(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results
