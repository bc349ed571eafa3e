# SPDX-License-Identifier: Apache-2.0
"""What stock Trove's upgrade answers with a wrong version, a lost database or a dead create, asked
of ours in the same Trove.
"""

from lab.containers.recipes import MISSING_11_8
from trove_upgrade.tests.functional.trove import holding


class TestNotStocksFailures(holding.HoldingCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.begun = cls.instances.begin('not-stocks', cls.former)
        cls.addClassCleanup(cls.instances.delete, cls.begun)

    def test_what_cannot_be_done_is_refused_and_nothing_else_happens(self):
        self.in_the_middle_of_a_create()
        instance = self.instances.wait_healthy(self.begun)
        self.fill(instance)
        before = self.container(instance)
        self.a_tag_that_the_registry_does_not_know(instance)
        self.what_the_guest_refuses(instance)
        self.assertEqual(before, self.container(instance))
        self.assert_serves(instance, self.former)

    def in_the_middle_of_a_create(self):
        """Stock: accepted; the create fails and the row has the new version."""
        status, body = self.call(
            'PATCH', f'/instances/{self.begun}', {'instance': {'datastore_version': self.target.id}}
        )
        self.assertEqual(422, status, body)
        self.assertIn('BUILD', str(body))
        self.assertEqual(self.former.id, self.instances.row(self.begun)['datastore_version_id'])

    def a_tag_that_the_registry_does_not_know(self, instance):
        """Stock: the container is removed, every image is removed, then the pull fails."""
        upgrade = self.upgrade(instance, self.register(MISSING_11_8))
        self.assertEqual(('ABORTED', 'precheck'), (upgrade['state'], upgrade['step']), upgrade)
        self.assertIn(MISSING_11_8, upgrade['cause'])
        self.shows_the_former_version(instance)

    def what_the_guest_refuses(self, instance):
        """Stock: the guest refuses, and Trove shows ACTIVE with the new version all the same."""
        guest = self.guest(instance)
        guest.write_file('/etc/mysql/conf.d/90-by-hand.cnf', '[mariadbd]\nmax_tmp_tables = 32\n')
        upgrade = self.upgrade(instance, self.target)
        self.assertEqual(('ABORTED', 'precheck'), (upgrade['state'], upgrade['step']), upgrade)
        self.assertIn('/etc/mysql/conf.d/90-by-hand.cnf:2', upgrade['cause'])
        self.shows_the_former_version(instance)

    def shows_the_former_version(self, instance):
        shown = self.instances.show(instance.id)
        self.assertEqual(
            ('ACTIVE', 'HEALTHY', self.former.name),
            (shown['status'], shown['operating_status'], shown['datastore']['version']),
        )
