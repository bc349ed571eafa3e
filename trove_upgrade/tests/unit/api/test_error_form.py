# SPDX-License-Identifier: Apache-2.0
"""Errors of other parts of the pipeline of the API alone, in the form of ours."""

import json
import logging

import fixtures
import webob
import webtest
from oslo_config import cfg
from oslo_middleware import sizelimit

from trove_upgrade.api import errors
from trove_upgrade.api.error_form import ErrorForm
from trove_upgrade.tests.unit.api import stage


def answering(status, body='<html>x</html>', content_type='text/html', **headers):
    def application(environ, start_response):
        answer = webob.Response(
            status=status, body=body.encode(), content_type=content_type, charset='UTF-8'
        )
        answer.headers.update(headers)
        return answer(environ, start_response)

    return application


class TestErrorForm(stage.ApiTestCase):
    def get(self, inner, method='GET', body=b''):
        return webtest.TestApp(ErrorForm(inner)).request(
            '/p/upgrades', method=method, body=body, expect_errors=True
        )

    def test_each_status_has_its_code(self):
        for status, code in (
            (400, 'REQUEST_REFUSED'),
            (401, 'NOT_AUTHENTICATED'),
            (403, 'FORBIDDEN'),
            (404, 'REQUEST_REFUSED'),
            (413, 'BODY_TOO_LARGE'),
            (429, 'REQUEST_REFUSED'),
            (500, 'INTERNAL_ERROR'),
            (502, 'INTERNAL_ERROR'),
            (503, 'SERVICE_UNAVAILABLE'),
            (504, 'INTERNAL_ERROR'),
        ):
            for body, kind in (
                ('<html>x</html>', 'text/html'),
                ('', 'text/plain'),
                ('{"message": "x"}', 'application/json'),
                ('[1]', 'application/json'),
                ('{"error": {"message": "x"}}', 'application/json'),
                ('{', 'application/json'),
            ):
                self.assert_refused(self.get(answering(status, body, kind)), status, code)

    def test_headers_stay_but_those_of_the_old_body_and_what_clients_die_of(self):
        answer = self.get(
            answering(
                401,
                **{
                    'WWW-Authenticate': 'Keystone uri="x"',
                    'X-Compute-Request-Id': 'req-1',
                    'Retry-After': '5',
                },
            )
        )
        self.assertEqual(
            ('Keystone uri="x"', 'req-1', None),
            tuple(
                answer.headers.get(name)
                for name in ('WWW-Authenticate', 'X-Compute-Request-Id', 'Retry-After')
            ),
        )
        self.assertEqual(len(answer.body), int(answer.headers['Content-Length']))
        self.assertEqual(1, len(answer.headers.getall('Content-Type')))

    def test_our_own_answers_and_what_is_no_error_stay_as_they_are(self):
        for status in (200, 202, 204, 301):
            self.assertEqual(
                b'' if status == 204 else b'<html>x</html>',
                self.get(answering(status, '' if status == 204 else '<html>x</html>')).body,
            )
        ours = errors.response_to(
            errors.MethodNotAllowed(method='GET', path='/', allowed='POST'), 'req-1'
        )
        answer = self.get(ours)
        self.assertEqual((ours.body, 'POST'), (answer.body, answer.headers['Allow']))

    def test_a_bound_of_bodies_before_ours(self):
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[], default_config_dirs=[])
        bound = sizelimit.RequestBodySizeLimiter(answering(200), conf)
        conf.set_override('max_request_body_size', 10, group='oslo_middleware')
        self.assert_refused(self.get(bound, 'POST', b'x' * 11), 413, 'BODY_TOO_LARGE')
        self.assertEqual(200, self.get(bound, 'POST', b'x').status_int)

    def test_an_exception_ends_as_an_internal_error_that_the_log_has(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.ERROR))

        def broken(_environ, _start_response):
            raise LookupError('of a filter')

        answer = self.get(broken)
        self.assert_refused(answer, 500, 'INTERNAL_ERROR')
        self.assertNotIn('of a filter', answer.text)
        self.assertIn('of a filter', log.output)

    def test_a_head_has_no_body(self):
        answer = self.get(answering(503), 'HEAD')
        self.assertEqual(
            (503, b'', 'application/json'), (answer.status_int, answer.body, answer.content_type)
        )

    def test_a_body_that_was_compressed_is_replaced(self):
        answer = self.get(answering(503, **{'Content-Encoding': 'gzip'}))
        self.assertEqual(
            'SERVICE_UNAVAILABLE', next(iter(json.loads(answer.body).values()))['error_code']
        )
        self.assertNotIn('Content-Encoding', answer.headers)
