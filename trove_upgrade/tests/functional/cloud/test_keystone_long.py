# SPDX-License-Identifier: Apache-2.0
"""The lab's Keystone, just after its start."""

import concurrent.futures
import threading

from lab import rest
from lab.cloud import Cloud
from lab.layout import Layout
from lab.services import keystone
from trove_upgrade.tests import base

AT_ONCE = 4  # threads of its process


class TestKeystone(base.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cloud = Cloud(Layout.from_environ())  # a test has a home of its own

    def test_a_keystone_that_is_ready_judges_first_requests_that_come_at_once(self):
        site = self.cloud.settings()
        barrier = threading.Barrier(AT_ONCE)

        def validate():
            session = rest.Session(site.auth_url, 'neutron', site.secrets.service, 'service')
            token = session.token()
            barrier.wait()
            return session.request('GET', f'{site.auth_url}/auth/tokens', subject=token)['token'][
                'user'
            ]['name']

        for _ in range(3):
            self.cloud.restart(keystone.NAME)
            with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                names = [
                    future.result() for future in [pool.submit(validate) for _ in range(AT_ONCE)]
                ]
            self.assertEqual(['neutron'] * AT_ONCE, names)
