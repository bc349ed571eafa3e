# SPDX-License-Identifier: Apache-2.0
"""Which container image is used on another root disk."""

import dataclasses
import pathlib

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.image_reference import ImageReference
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores.mysql_family.container.images import Images
from trove_upgrade.guestagent.datastores.mysql_family.container.record import ImageChoice
from trove_upgrade.guestagent.machine.containers import errors
from trove_upgrade.guestagent.machine.containers.answers import Image
from trove_upgrade.tests import base

FORMER, MOVED = 'sha256:former', 'sha256:moved'
DIGEST = 'sha256:' + 'a' * 64


class RegistryWithAMovedTag:
    """An engine whose registry has the former image under its digest alone."""

    def __init__(self, digest):
        self.digest = digest
        self.here = {}
        self.pulled = []

    def image(self, reference):
        return self.here.get(reference)

    def pull(self, reference, _progress):
        self.pulled.append(reference)
        image_id = FORMER if reference == self.digest else MOVED
        self.here[reference] = Image(
            id=image_id, digests=(self.digest,), labels={}, env={}, created='', config={}
        )


class TestFetchAgain(base.TestCase):
    def fetch_again(self, reference, digest, *, exact):
        images = Images(
            RegistryWithAMovedTag(digest),
            ImageReference.parse(reference).name,
            pathlib.Path(self.id()),
            sleep=lambda _seconds: None,
            monotonic=lambda: 0.0,
        )
        images._require_room = lambda _reference: None
        return images.fetch_again(
            ImageChoice(reference, FORMER, (digest,)), lambda *_: None, exact=exact
        ).image_id

    def test_a_way_back_finds_the_very_image_of_before_however_the_engine_names_it(self):
        for reference in (
            'mariadb:10.11',
            'library/mariadb:10.11',
            'docker.io/mariadb:10.11',
            'docker.io/library/mariadb:10.11',
            'index.docker.io/library/mariadb:10.11',
        ):
            self.assertEqual(
                FORMER, self.fetch_again(reference, f'mariadb@{DIGEST}', exact=True), reference
            )
        self.assertEqual(
            FORMER,
            self.fetch_again(
                'db.example:5000/mariadb:1', f'db.example:5000/mariadb@{DIGEST}', exact=True
            ),
        )

    def test_a_way_back_takes_no_other_image(self):
        error = self.assertRaises(
            errors.ContainerImageNotFound,
            self.fetch_again,
            'db.example/mariadb:1',
            f'mirror.example/mariadb@{DIGEST}',
            exact=True,
        )
        self.assertIn(f'mirror.example/mariadb@{DIGEST}', error.message)

    def test_a_way_forward_takes_what_the_tag_names_now(self):
        self.assertEqual(MOVED, self.fetch_again('mariadb:11.8', f'mariadb@{DIGEST}', exact=False))


class TestDigest(base.TestCase):
    def fetch(self, reference, image):
        class Holding:
            def image(self, _reference):
                return image

        images = Images(
            Holding(), 'registry/mariadb', None, sleep=lambda _seconds: None, monotonic=lambda: 0.0
        )
        return images.fetch(reference, lambda *_: None)

    def image(self, image_id='sha256:id', *digests):
        return Image(id=image_id, digests=digests, labels={}, env={}, created='', config={})

    def test_an_image_whose_digest_is_that_of_its_name_is_taken(self):
        for image in (self.image('sha256:id', f'registry/mariadb@{DIGEST}'), self.image(DIGEST)):
            self.assertEqual(image.id, self.fetch(f'registry/mariadb@{DIGEST}', image).image_id)

    def test_an_image_of_another_digest_is_not_taken_whatever_the_engine_calls_it(self):
        for image in (self.image(), self.image('sha256:id', f'registry/mariadb@{DIGEST[:-1]}b')):
            error = self.assertRaises(
                errors.ImageDiffers, self.fetch, f'registry/mariadb@{DIGEST}', image
            )
            self.assertEqual('CONTAINER_IMAGE_DIFFERS', error.code)


class TestRenewal(base.TestCase):
    def test_an_image_that_the_guest_does_not_take_is_not_asked_for_again(self):
        registry = RegistryWithAMovedTag('unused')
        registry.here['elsewhere/mariadb:1'] = Image(
            id=MOVED, digests=(), labels={}, env={}, created='', config={}
        )
        images = Images(
            registry, 'registry/mariadb', None, sleep=lambda _seconds: None, monotonic=lambda: 0.0
        )
        error = self.assertRaises(
            exceptions.StepRefused,
            images.renew,
            ImageChoice('elsewhere/mariadb:1', MOVED),
            lambda *_: None,
            exact=False,
        )
        self.assertEqual('CONTAINER_REPOSITORY_NOT_ALLOWED', error.code)
        self.assertEqual(['elsewhere/mariadb:1'], list(registry.here))
        self.assertEqual([], registry.pulled)


class TestRoom(base.TestCase):
    def test_room_is_wanted_where_the_engine_writes_its_images(self):
        asked = []

        class Full:
            def image(self, _reference):
                return None

            def is_published(self, _reference):
                return True

            def image_directory(self):
                asked.append('image_directory')
                return pathlib.Path('/proc/nowhere')  # a file system without free blocks

        images = Images(
            Full(), 'registry/mariadb', None, sleep=lambda _seconds: None, monotonic=lambda: 0.0
        )
        found = images.check(TargetFacts(version_number='11.8.6'))
        self.assertEqual(
            ('refused', 'CONTAINER_DISK_SPACE', ['image_directory']),
            (found.outcome, found.code, asked),
        )
        self.assertIn('/proc', found.message)


class TestBring(base.TestCase):
    def images(self, registry):
        images = Images(
            registry,
            'docker.io/library/mariadb',
            pathlib.Path(self.id()),
            sleep=lambda _seconds: None,
            monotonic=lambda: 0.0,
        )
        images._require_room = lambda _reference: None
        return images

    def test_the_targets_image_is_pulled_once_and_not_tried(self):
        registry = RegistryWithAMovedTag('docker.io/library/mariadb@' + DIGEST)
        images = self.images(registry)
        target = TargetFacts(version_number='11.8')
        for _ in range(2):
            self.assertIn('mariadb:11.8 is in the guest', images.bring(target, lambda *_: None))
        self.assertEqual(['docker.io/library/mariadb:11.8'], registry.pulled)

    def test_the_check_tells_that_an_image_without_an_id_is_not_carried(self):
        registry = RegistryWithAMovedTag('docker.io/library/mariadb@' + DIGEST)
        images = self.images(registry)
        target = TargetFacts(version_number='11.8')
        images.bring(target, lambda *_: None)
        named = dataclasses.replace(target, container_image_id=DIGEST)
        self.assertIn('names no container_image_id', images.check(target).message)
        self.assertTrue(images.check(named).message.endswith('is in the guest.'))

    def test_an_image_that_this_guest_does_not_take_is_not_brought(self):
        registry = RegistryWithAMovedTag(DIGEST)
        target = TargetFacts(container_image='evil.example.org/mariadb:11.8')
        self.assertRaises(
            exceptions.StepRefused, self.images(registry).bring, target, lambda *_: None
        )
        self.assertEqual([], registry.pulled)
