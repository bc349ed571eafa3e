# SPDX-License-Identifier: Apache-2.0
"""The Glance adapter against HTTP on loopback."""

from trove_upgrade.clients.glance import Glance
from trove_upgrade.domain import compute, exceptions
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.clients import cloud


class TestGlance(base.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(cloud.Cloud())
        self.glance = Glance.from_conf(self.cloud.conf())
        self.image = compute.Image(
            id='image-2', name='new', status='active', min_disk_gb=1, min_ram_mb=256, size_bytes=5
        )

    def test_an_image_is_read_by_id_or_by_tags(self):
        self.assertEqual(self.image, self.glance.image('image-2'))
        self.assertEqual(self.image, self.glance.newest(['trove', 'mariadb']))

    def test_an_image_that_is_not_there_is_not_found(self):
        self.assertRaises(exceptions.ImageNotFound, self.glance.image, 'other')
        self.cloud.images = []
        self.assertRaises(exceptions.ImageNotFound, self.glance.newest, ['trove'])

    def test_a_glance_that_breaks_is_unavailable(self):
        self.cloud.answers[('GET', '/v2/images/image-2')] = (500, {})
        self.assertRaises(exceptions.ComputeUnavailable, self.glance.image, 'image-2')

    def test_a_glance_that_hangs_is_unavailable(self):
        self.cloud.answers[('GET', '/v2/images')] = 'hang'
        impatient = Glance.from_conf(self.cloud.conf(compute_timeout=cloud.IMPATIENT))
        self.assertRaises(exceptions.ComputeUnavailable, impatient.newest, ['trove'])
