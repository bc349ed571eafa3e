# SPDX-License-Identifier: Apache-2.0
"""The unmodified clients on one real instance of real Trove, with us in its pipeline."""

import json
import urllib.error
import urllib.request

from keystoneauth1 import loading
from keystoneauth1 import session as ksa_session
from troveclient.v1 import client as trove_client

from lab.clients import Clients
from trove_upgrade.tests.functional import waiting
from trove_upgrade.tests.functional.trove import base


class ClientsCase(waiting.Waiting, base.TroveGuestTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.instance = cls.instances.create('clients', cls.former)
        cls.addClassCleanup(cls.instances.delete, cls.instance.id)

    def clients(self, user='demo'):
        return Clients(self.handle.users[user], self.instances.clients._programs)

    def openstack(self, *arguments, user='demo'):
        return json.loads(self.clients(user).run('openstack', *arguments, '-f', 'json'))

    def troveclient(self):
        found = self.handle.users['demo']
        auth = loading.get_plugin_loader('password').load_from_options(
            auth_url=found.auth_url,
            username=found.username,
            password=found.password,
            project_name=found.project_name,
            user_domain_name='Default',
            project_domain_name='Default',
        )
        return trove_client.Client(
            session=ksa_session.Session(auth),
            service_type='database',
            region_name=found.region_name,
        )

    def patch(self, version, user='demo'):
        """(status, text)."""
        request = urllib.request.Request(
            f'{self.instances.base_url}/instances/{self.instance.id}',
            method='PATCH',
            data=json.dumps({'instance': {'datastore_version': version}}).encode(),
            headers={
                'X-Auth-Token': self.session(user).token(),
                'Content-Type': 'application/json',
                'Accept': 'application/json',
            },
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=60
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def version(self):
        """The name that the instance has at this moment: one of the tests changes it."""
        return self.instances.show(self.instance.id)['datastore']['version']
