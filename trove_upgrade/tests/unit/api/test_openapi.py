# SPDX-License-Identifier: Apache-2.0
"""The API's description against the routes, and against what the API answers.

`openapi_3_1.json` is the OpenAPI Initiative's own schema, under Apache-2.0.
Source: spec.openapis.org/oas/3.1/schema/2022-10-07.
"""

import json
import pathlib
import re

import jsonschema
import webtest

from trove_upgrade.api import app, application, call, errors, policies
from trove_upgrade.api.openapi import answers, operations
from trove_upgrade.api.routes import DESCRIPTION, ROUTES
from trove_upgrade.api.views import upgrades as view
from trove_upgrade.domain import exceptions, refusals
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.api import stage, test_roles
from trove_upgrade.tests.unit.domain import test_downtime

_META = json.loads(pathlib.Path(__file__).with_name('openapi_3_1.json').read_text())
_PAGES = pathlib.Path(__file__).parents[4] / 'doc' / 'source' / 'reference'
_REFERENCE, _CODES = _PAGES / 'api.rst', _PAGES / 'errors.rst'
_OUTSIDE_OF_OPERATIONS = {
    errors.NoSuchResource,  # of no route
    errors.MethodNotAllowed,
    errors.BackupOfFormerVersion,  # of a route of Trove's
}
DOCUMENT = DESCRIPTION.document('https://cloud.example')
_METHODS = {'get', 'post', 'put', 'patch', 'delete'}


def operation(method, path):
    return DOCUMENT['paths'][path][method.lower()]


def strict(form):
    """The same form, in which no field stands that it does not name."""
    if isinstance(form, dict):
        found = {name: strict(inner) for name, inner in form.items()}
        if 'properties' in found:
            found.setdefault('additionalProperties', False)
        return found
    return [strict(inner) for inner in form] if isinstance(form, list) else form


def require_described(method, path, response):
    """The answer is one that the description has, in every field."""
    described = operation(method, path)['responses']
    status = str(response.status_int)
    if status not in described:
        raise AssertionError(f'{method} {path} answers {status}, which is not described')
    found = described[status]
    if 'x-error-codes' in found:
        [fault] = response.json.values()
        if fault['error_code'] not in found['x-error-codes']:
            raise AssertionError(f'{method} {path} answers {fault["error_code"]}')
    if 'content' not in found:
        if response.body:
            raise AssertionError(f'{method} {path} answers with a body')
        return
    form = found['content']['application/json']['schema']
    whole = {**form, 'components': DOCUMENT['components']}
    jsonschema.Draft202012Validator(strict(whole)).validate(response.json)


class TestDescription(base.TestCase):
    def test_it_is_openapi(self):
        jsonschema.Draft202012Validator(_META).validate(json.loads(json.dumps(DOCUMENT)))

    def test_it_has_every_route_and_method_and_no_other(self):
        described = {
            path: {method for method in told if method in _METHODS}
            for path, told in DOCUMENT['paths'].items()
        }
        self.assertEqual(
            {path: {method.lower() for method in methods} for path, methods in ROUTES.items()},
            described,
        )
        self.assertEqual(
            {(path, method) for path in ROUTES for method in ROUTES[path]},
            {(path, method) for path, told in operations.OPERATIONS.items() for method in told},
        )

    def test_every_operation_has_a_sentence_of_its_own_and_its_policy(self):
        known = {rule.name for rule in policies.list_rules()}
        ids, summaries = [], set()
        for path, methods in ROUTES.items():
            for method, route in methods.items():
                told = operation(method, path)
                self.assertRegex(told['summary'], '^[A-Z][^.]{10,}$')
                self.assertEqual(route.policy, told['x-policy']['name'])
                self.assertIn(route.policy, known)
                self.assertEqual(route.schema is not None, 'requestBody' in told)
                ids.append(told['operationId'])
                summaries.add((route.handler, told['summary']))
        self.assertEqual(len(set(ids)), len(ids))
        self.assertEqual(len({text for _, text in summaries}), len(summaries))

    def test_an_operation_has_each_policy_that_names_it_and_tells_when_it_is_asked(self):
        named = {}
        for rule in policies.list_rules():
            for each in getattr(rule, 'operations', ()):
                path = each['path'].removeprefix(call.VERSION_PATH)
                named.setdefault((each['method'], path), set()).add(rule.name)
        for path, methods in ROUTES.items():
            for method, route in methods.items():
                further = {
                    each['name']: each
                    for each in operation(method, path).get('x-further-policies', [])
                }
                self.assertEqual(named[method, path], {route.policy, *further}, f'{method} {path}')
                self.assertNotIn(route.policy, further)
                for each in further.values():
                    self.assertRegex(each['condition'], r'^[A-Za-z].*\.$')
                    self.assertEqual({'name', 'default', 'description', 'condition'}, set(each))

    def test_an_action_names_the_policy_that_refuses_it(self):
        told = operation('POST', '/{project_id}/upgrades/{upgrade_id}/action')
        self.assertEqual(
            {
                'abort': 'rule:trove_upgrade:instances:upgrade',
                'proceed': 'rule:trove_upgrade:instances:upgrade',
                'retry': 'rule:trove_upgrade:admin',
                'rollback': 'rule:trove_upgrade:admin',
            },
            {
                each['name'].rpartition(':')[2]: each['default']
                for each in told['x-further-policies']
            },
        )

    def test_no_description_of_a_policy_leads_to_what_stands_elsewhere_in_the_sample(self):
        for rule in policies.list_rules():
            self.assertNotRegex(rule.description, r'\b(next|above|below|following)\b')

    def test_every_variable_of_a_path_is_described(self):
        for path, told in DOCUMENT['paths'].items():
            self.assertEqual(
                re.findall(r'{(\w+)}', path), [each['name'] for each in told['parameters']]
            )

    def test_every_reference_leads_to_a_form_and_every_form_is_used(self):
        named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
        self.assertEqual(set(answers.FORMS), named)

    def test_bodies_that_the_api_takes_are_taken_by_the_description(self):
        told = operation('PATCH', '/{project_id}/instances/{instance_id}')['requestBody']
        form = told['content']['application/json']['schema']
        pattern = form['properties']['instance']['properties']['datastore_version']['pattern']
        self.assertRegex(pattern, r'^\^.*\$$')
        self.assertNotIn('\\A', pattern)
        validator = jsonschema.Draft202012Validator(form)
        validator.validate({'instance': {'datastore_version': '11.8.6'}})
        for refused in ({}, {'instance': {}}, {'instance': {'datastore_version': ' '}}):
            self.assertFalse(validator.is_valid(refused))

    def test_every_refusal_stands_in_the_reference_of_the_api(self):
        described = {
            code
            for told in DOCUMENT['paths'].values()
            for method in _METHODS & told.keys()
            for found in told[method]['responses'].values()
            for code in found.get('x-error-codes', [])
        }
        text = _REFERENCE.read_text()
        self.assertEqual([], sorted(code for code in described if f'``{code}``' not in text))

    def test_the_page_of_codes_has_the_statuses_with_which_the_api_answers_each(self):
        kinds = {*operations.OF_ALL, *operations.OF_BODIES, *_OUTSIDE_OF_OPERATIONS}
        for methods in operations.OPERATIONS.values():
            for told in methods.values():
                kinds |= set(told.refusals)
        answered = {
            str(kind.code): {
                str(errors.status_of_kind(other)) for other in kinds if other.code == kind.code
            }
            for kind in kinds
        }
        rows = re.findall(r'^   \* - ``(\w+)``\n     - (.*)$', _CODES.read_text(), re.MULTILINE)
        documented = {
            code: statuses
            for code, where in rows
            if (statuses := set(re.findall(r'API (\d{3})', where)))
        }
        self.assertEqual(answered, documented)

    def test_the_fields_that_a_long_row_leaves_out_of_a_list_stand_in_the_reference(self):
        [told] = re.findall(
            r'^In a list (.*) are null where the row', _REFERENCE.read_text(), re.MULTILINE
        )
        self.assertEqual(list(view._OF_DATA), re.findall(r'``(\w+)``', told))

    def test_every_refusal_of_the_api_is_described(self):
        found = {
            kind
            for first in (errors.RequestError, *errors.STATUSES)
            for kind in _kinds(first)
            if kind is not errors.RequestError
        }
        self.assertIn(refusals.InstanceHeld, found)
        described = {
            str(kind.code)
            for methods in operations.OPERATIONS.values()
            for told in methods.values()
            for kind in (*operations.OF_ALL, *operations.OF_BODIES, *told.refusals)
        }
        lacking = sorted(
            kind.__name__
            for kind in found - _OUTSIDE_OF_OPERATIONS
            if str(kind.code) not in described
        )
        self.assertEqual([], lacking)

    def test_a_start_is_told_each_way_in_which_an_instance_is_busy(self):
        for method, path in (
            ('PATCH', '/{project_id}/instances/{instance_id}'),
            ('PUT', '/{project_id}/instances/{instance_id}'),
            ('POST', '/{project_id}/upgrades'),
        ):
            codes = operation(method, path)['responses']['422']['x-error-codes']
            wanted = {str(kind.code) for kind in _kinds(exceptions.InstanceBusy)}
            self.assertEqual(set(), wanted - set(codes))

    def test_the_statuses_of_refusals_are_those_of_their_kinds(self):
        for kind in (*operations.OF_ALL, *operations.OF_BODIES):
            self.assertIn(errors.status_of_kind(kind), {400, 401, 403, 413, 415, 500, 503})


def _kinds(first):
    """A kind of errors and all of those below it."""
    yield first
    for kind in first.__subclasses__():
        yield from _kinds(kind)


class TestAnswers(test_roles.RolesTestCase):
    """Every route as every kind of caller, with objects that are there and that are not."""

    def answer(self, method, path, caller, **changes):
        names = {
            'project_id': caller.address,
            'instance_id': database.INSTANCE,
            'drift_project_id': database.PROJECT,
            'upgrade_id': self.upgrade_id,
            'check_id': self.check_id,
            'datastore': 'mariadb',
            'version': '11.8.6',
            'version_id': database.MARIADB_11_8,
        }
        query = changes.pop('query', '')
        body = changes.pop('body', None)
        if method in {'PATCH', 'PUT', 'POST'}:
            sent = {**names, **changes}
            content = json.dumps(test_roles._body(path, sent['instance_id']))
            body = (content if body is None else body).encode()
        address = path.format(**{**names, **changes}) + query
        request = webtest.TestRequest.blank(address, method=method, body=body or b'')
        request.content_type = 'application/json'
        request.environ.update(caller.environ())
        return self.app.do_request(request, expect_errors=True)

    def every(self):
        for path, methods in ROUTES.items():
            for method in methods:
                yield method, path

    def test_every_answer_to_every_role_is_described(self):
        for method, path in self.every():
            for caller in filter(None, test_roles.CALLERS.values()):
                require_described(method, path, self.answer(method, path, caller))

    def test_of_what_is_not_there_too(self):
        admin = test_roles.CALLERS['admin of the project']
        for method, path in self.every():
            for name in re.findall(r'{(\w+)}', path):
                if name not in {'project_id', 'drift_project_id'}:
                    response = self.answer(method, path, admin, **{name: 'none'})
                    require_described(method, path, response)
                    self.assertEqual(404, response.status_int, path)

    def test_refused_bodies_and_queries_too(self):
        admin = test_roles.CALLERS['admin of the project']
        for method, path in self.every():
            told = operation(method, path)
            if 'requestBody' in told:
                for body in ('{', '{}', '{"instance": 1, "instance": 1}'):
                    response = self.answer(method, path, admin, body=body)
                    self.assertEqual(400, response.status_int)
                    require_described(method, path, response)
            for each in told['parameters']:
                response = self.answer(method, path, admin, query=f'?{each["name"]}=%01')
                require_described(method, path, response)

    def test_an_upgrade_that_has_all_its_fields_is_described(self):
        upgrades = self.db.repositories.upgrades
        held = upgrades.claim(self.upgrade_id, 'me', 60)
        whole = stored.adding(held.evolve(steps=test_downtime.runs()), **test_downtime.told())
        upgrades.end(whole, UpgradeState.COMPLETED)
        admin = test_roles.CALLERS['admin of the project']
        shown = self.answer('GET', '/{project_id}/upgrades/{upgrade_id}', admin)
        self.assertIsNotNone(shown.json['upgrade']['downtime'])
        require_described('GET', '/{project_id}/upgrades/{upgrade_id}', shown)
        fields = answers.FORMS['UpgradeInFull']['properties']
        self.assertEqual(set(fields), set(shown.json['upgrade']))


class TestServed(stage.ApiTestCase):
    def root(self):
        def pipeline(environ, start_response):
            return application.Application(self.new_services)(environ, start_response)

        return webtest.TestApp(app.Root(pipeline, None, self.conf), lint=False)

    def test_alone_it_needs_no_token_and_names_the_address_of_the_request(self):
        shown = self.root().get('/openapi.json')
        self.assertEqual('application/json', shown.content_type)
        self.assertEqual([{'url': 'http://localhost/v1.0'}], shown.json['servers'])
        self.conf.set_override('public_endpoint', 'https://cloud.example:8779/', 'trove_upgrade')
        shown = self.root().get('/openapi.json')
        self.assertEqual('https://cloud.example:8779/v1.0', shown.json['servers'][0]['url'])

    def test_below_a_project_it_needs_a_token_and_is_the_same(self):
        self.assert_refused(self.ask('GET', '/upgrade-openapi', roles=''), 403, 'FORBIDDEN')
        shown = self.ask('GET', '/upgrade-openapi', roles=stage.READER)
        self.assertEqual(json.loads(json.dumps(DOCUMENT['paths'])), shown.json['paths'])
