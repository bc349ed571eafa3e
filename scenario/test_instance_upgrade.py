# SPDX-License-Identifier: Apache-2.0
"""Upgrade one instance of any cloud, as its user sees it: over HTTP and SQL.  See README.rst for
the environment.
"""

import json
import os
import time
import unittest
import urllib.error
import urllib.request

import pymysql

TIMEOUT_SECONDS = float(os.environ.get('SCENARIO_TIMEOUT_SECONDS', '1800'))
POLL_SECONDS = float(os.environ.get('SCENARIO_POLL_SECONDS', '2'))


class Cloud:
    """A token, the catalog's database endpoint, and JSON requests."""

    def __init__(self, environ):
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        domain = {'name': environ.get('OS_USER_DOMAIN_NAME', 'Default')}
        identity = {
            'methods': ['password'],
            'password': {
                'user': {
                    'name': environ['OS_USERNAME'],
                    'domain': domain,
                    'password': environ['OS_PASSWORD'],
                }
            },
        }
        scope = {
            'project': {
                'name': environ['OS_PROJECT_NAME'],
                'domain': {'name': environ.get('OS_PROJECT_DOMAIN_NAME', 'Default')},
            }
        }
        self._token = None
        _, headers, body = self._send(
            'POST',
            f'{environ["OS_AUTH_URL"]}/auth/tokens',
            {'auth': {'identity': identity, 'scope': scope}},
        )
        self._token = headers['X-Subject-Token']
        self._endpoint = next(
            endpoint['url']
            for service in body['token']['catalog']
            if service['type'] == 'database'
            for endpoint in service['endpoints']
            if endpoint['interface'] == 'public'
        )

    def request(self, method, path, body=None):
        """(status, parsed body or None)."""
        status, _, found = self._send(method, self._endpoint + path, body)
        return status, found

    def _send(self, method, url, body=None):
        headers = {'Content-Type': 'application/json', 'Accept': 'application/json'}
        if self._token:
            headers['X-Auth-Token'] = self._token
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            with self._opener.open(request, timeout=60) as answer:
                text = answer.read()
                return answer.status, answer.headers, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            return (
                error.code,
                error.headers,
                json.loads(text) if text.startswith(b'{') else text.decode(errors='replace'),
            )


class TestInstanceUpgrade(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.instance_id = os.environ['SCENARIO_INSTANCE_ID']
        cls.target = os.environ['SCENARIO_TARGET_VERSION']
        cls.cloud = Cloud(os.environ)

    def show(self):
        status, body = self.cloud.request('GET', f'/instances/{self.instance_id}')
        self.assertEqual(200, status, body)
        return body['instance']

    def sql(self, statement, *arguments):
        host = os.environ.get('SCENARIO_SQL_HOST')
        if not host:
            addresses = sorted(
                self.show()['addresses'], key=lambda found: found['type'] != 'public'
            )
            host = addresses[0]['address']
        connection = pymysql.connect(
            host=host,
            port=int(os.environ.get('SCENARIO_SQL_PORT', '3306')),
            user=os.environ['SCENARIO_SQL_USER'],
            password=os.environ['SCENARIO_SQL_PASSWORD'],
            database=os.environ['SCENARIO_SQL_DATABASE'],
            autocommit=True,
            connect_timeout=10,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            return cursor.fetchall()

    def wait_healthy(self):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            instance = self.show()
            if instance['status'] == 'ERROR':
                self.fail(f'the instance went to ERROR: {instance.get("fault")}')
            if (instance['status'], instance['operating_status']) == ('ACTIVE', 'HEALTHY'):
                return instance
            self.assertLess(
                time.monotonic(),
                deadline,
                f'still {instance["status"]} {instance["operating_status"]}',
            )
            time.sleep(POLL_SECONDS)

    def test_a_row_written_before_the_upgrade_is_there_afterwards_and_the_new_version_runs(self):
        before = self.wait_healthy()
        self.sql('CREATE TABLE IF NOT EXISTS Persons (PersonID int, LastName varchar(255))')
        self.sql('DELETE FROM Persons WHERE PersonID = 99')
        self.sql('INSERT INTO Persons VALUES (%s, %s)', 99, 'Upgrade')

        status, body = self.cloud.request(
            'PATCH',
            f'/instances/{self.instance_id}',
            {'instance': {'datastore_version': self.target}},
        )

        self.assertEqual(202, status, body)
        self.assertIsNone(body)
        self.assertEqual('UPGRADE', self.show()['status'])
        after = self.wait_healthy()
        self.assertEqual(self.target, after['datastore']['version'])
        self.assertEqual(before['addresses'], after['addresses'])
        self.assertEqual(before['name'], after['name'])
        # MariaDB 11 has no @@innodb_version any more, which tempest's own test asks for.
        self.assertEqual(self.target, self.sql('SELECT VERSION()')[0][0].split('-')[0])
        self.assertEqual(
            (('Upgrade',),), self.sql('SELECT LastName FROM Persons WHERE PersonID = 99')
        )


if __name__ == '__main__':
    unittest.main()
