# SPDX-License-Identifier: Apache-2.0
"""What holds for every route, walked as data."""

import webtest

from trove_upgrade.api import application, policies
from trove_upgrade.api.routes import ROUTES
from trove_upgrade.domain import exceptions
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import stage


def every_route():
    for path, methods in ROUTES.items():
        for method, route in methods.items():
            yield path.replace('{project_id}', database.PROJECT), method, route


class TestEveryRoute(stage.ApiTestCase):
    def test_it_has_a_policy_that_is_registered_and_documented(self):
        documented = {
            rule.name: {(each['method'], each['path']) for each in getattr(rule, 'operations', [])}
            for rule in policies.list_rules()
        }
        for path, methods in ROUTES.items():
            for method, route in methods.items():
                self.assertIn(
                    (method, f'/v1.0{path}'),
                    documented[route.policy],
                    f'{method} {path} has no policy that names it',
                )

    def test_every_documented_operation_has_a_route(self):
        known = {(method, f'/v1.0{path}') for path, methods in ROUTES.items() for method in methods}
        for rule in policies.list_rules():
            for each in getattr(rule, 'operations', []):
                self.assertIn((each['method'], each['path']), known)

    def test_without_a_role_it_is_forbidden(self):
        for path, method, route in every_route():
            response = self.ask(method, path.removeprefix(f'/{database.PROJECT}'), roles='')
            self.assert_refused(response, 403, 'FORBIDDEN')
            self.assertIn(route.policy, self.fault(response)['message'])

    def test_with_the_token_of_another_project_it_is_forbidden_even_for_an_admin(self):
        for path, method, _ in every_route():
            request = webtest.TestRequest.blank(path, method=method)
            request.headers['X-Auth-Token'] = stage.token(stage.ADMIN, database.OTHER_PROJECT)
            self.assert_refused(self.app.do_request(request, expect_errors=True), 403, 'FORBIDDEN')

    def test_without_a_token_it_is_unauthorized(self):
        for path, method, _ in every_route():
            request = webtest.TestRequest.blank(path, method=method)
            self.assert_refused(
                self.app.do_request(request, expect_errors=True), 401, 'NOT_AUTHENTICATED'
            )

    def test_headers_that_a_client_can_send_make_nobody_an_admin(self):
        for path, method, _ in every_route():
            request = webtest.TestRequest.blank(path, method=method)
            request.headers.update(
                {
                    'X-Identity-Status': 'Confirmed',
                    'X-Project-Id': database.PROJECT,
                    'X-Roles': stage.ADMIN,
                }
            )
            self.assert_refused(
                self.app.do_request(request, expect_errors=True), 401, 'NOT_AUTHENTICATED'
            )

    def test_a_method_that_it_does_not_know_is_405_and_says_which_it_does(self):
        for path, methods in ROUTES.items():
            response = self.ask('DELETE', path.replace('{project_id}', '')[1:])
            self.assert_refused(response, 405, 'METHOD_NOT_ALLOWED')
            self.assertEqual(', '.join(sorted(methods)), response.headers['Allow'])

    def test_a_reader_may_only_look(self):
        for path, method, _ in every_route():
            if method != 'GET':
                response = self.ask(
                    method, path.removeprefix(f'/{database.PROJECT}'), {}, roles=stage.READER
                )
                self.assert_refused(response, 403, 'FORBIDDEN')

    def test_no_path_has_a_regular_expression(self):
        self.assertEqual([], [path for path in ROUTES if ':' in path or '(' in path])


class TestElsewhere(stage.ApiTestCase):
    def test_a_path_that_leads_nowhere(self):
        for path in ('', '/', '/flavors', '/instances/a/b', '/upgrades/a/b', '/%ff'):
            self.assert_refused(self.ask('GET', path), 404, 'RESOURCE_NOT_FOUND')

    def test_a_slash_at_the_end_does_not_matter(self):
        self.assertEqual(200, self.ask('GET', '/instances/').status_int)


class TestOurOwnFaults(stage.ApiTestCase):
    def broken_app(self, error):
        def services():
            raise error

        return webtest.TestApp(stage.FakeAuth(application.Application(services)), lint=False)

    def test_an_error_of_ours_is_a_500_that_tells_its_id_and_nothing_else(self):
        for error in (
            RuntimeError('secret'),
            exceptions.LeaseLost(upgrade_id='secret', generation=1),
        ):
            self.app = self.broken_app(error)
            response = self.ask('GET', '/instances')
            self.assertEqual(
                (500, 'INTERNAL_ERROR'),
                (response.status_int, response.json['instanceFault']['error_code']),
            )
            self.assertIn('req-', response.json['instanceFault']['message'])
            self.assertNotIn('secret', response.text)

    def test_a_database_without_an_answer_is_a_503(self):
        from oslo_db import exception

        self.app = self.broken_app(exception.DBConnectionError())
        response = self.ask('GET', '/instances')
        self.assert_refused(response, 503, 'DATABASE_UNAVAILABLE')
        self.assertIn('try again in some seconds', self.fault(response)['message'])
