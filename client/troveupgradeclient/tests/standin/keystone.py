# SPDX-License-Identifier: Apache-2.0
"""As much of Keystone as a client needs."""

import json

from troveupgradeclient.tests.standin import world as worlds

TOKEN = 'a-token'


class Keystone:
    """Lets everyone in, unless a test has it answer otherwise."""

    def __init__(self):
        self.logins = []  #: statuses of the next answers to a login
        self.expires_at = '2999-01-01T00:00:00.000000Z'  #: of tokens

    def answer(self, base, body):
        """(status, body, headers): of the version, or of a login."""
        if body is None:
            link = [{'rel': 'self', 'href': f'{base}/v3/'}]
            version = {'id': 'v3.14', 'status': 'stable', 'links': link, 'media-types': []}
            return 200, json.dumps({'version': version}).encode(), []
        if self.logins:
            return self.logins.pop(0), b'{"error": {"message": "The login was not let."}}', []
        domain = {'id': 'default', 'name': 'Default'}
        endpoint = {
            'id': 'e',
            'interface': 'public',
            'region': 'RegionOne',
            'region_id': 'RegionOne',
            'url': f'{base}/v1.0/{worlds.PROJECT}',
        }
        token = {
            'methods': ['password'],
            'expires_at': self.expires_at,
            'issued_at': '2026-01-01T00:00:00.000000Z',
            'user': {'id': 'u', 'name': 'demo', 'domain': domain},
            'roles': [{'id': 'r', 'name': 'member'}],
            'project': {'id': worlds.PROJECT, 'name': 'demo', 'domain': domain},
            'catalog': [{'type': 'database', 'name': 'trove', 'id': 's', 'endpoints': [endpoint]}],
        }
        return 201, json.dumps({'token': token}).encode(), [('X-Subject-Token', TOKEN)]
