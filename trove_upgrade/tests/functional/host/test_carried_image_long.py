# SPDX-License-Identifier: Apache-2.0
"""No registry for the whole outage: a guest's image comes on its volume, with a real engine."""

import dataclasses
import io
import json
import tarfile

from lab.containers import recipes
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.image_archive import ImageArchive
from trove_upgrade.guestagent.machine import identity
from trove_upgrade.guestagent.machine.containers import errors
from trove_upgrade.guestagent.upgrade import (
    carried_image,
    finish,
    head_start,
    quiesce,
    restore,
    undo,
    verify,
)
from trove_upgrade.tests.functional.host import trove_guest
from trove_upgrade.tests.functional.host.container_case import ContainerTestCase

CARRY = GuestOptions(carry_image=True)


class CarriedImageTest(ContainerTestCase):
    """The engine of each root disk has a network of its own with nothing in it."""

    def quiesced(self):
        self.seed()
        self.guest.load(recipes.MARIADB_11_8)
        self.tried = self.guest.client().image('mariadb:11.8').id
        self.former = self.guest.client().image('mariadb:10.11').id
        made = self.guest.work(options=dataclasses.replace(CARRY, former_image_id=self.former))
        target = dataclasses.replace(made.call.target, container_image_id=self.tried)
        work = dataclasses.replace(made, call=dataclasses.replace(made.call, target=target))
        return quiesce.quiesce(work).result['upgrade_info']

    def work(self, info, name='image_archive', **changes):
        """On the root disk whose user data tells of the image."""
        told = identity.CarriedArchive(
            volume_uuid=trove_guest.UUID, archive=ImageArchive.from_wire(info[name])
        )
        made = self.guest.work(upgrade_info=info, **changes)
        return dataclasses.replace(
            made, guest=dataclasses.replace(made.guest, carried=lambda: told)
        )

    def on_volume(self):
        return self.guest.layout.on_volume / carried_image.NAME

    def test_a_new_root_disk_without_a_registry_runs_the_image_that_was_tried(self):
        info = self.quiesced()
        self.guest.rebuild()
        work = self.work(info)
        head_start.give(work.guest)
        self.assertEqual(['<none>:<none>'], self.names())

        result = restore.restore(work).result

        self.assertEqual('carried', result['image_source'])
        self.assertEqual(['mariadb:11.8'], self.names())
        after = self.container()
        self.assertEqual(
            ('mariadb:11.8', self.tried, True), (after.image, after.image_id, after.running)
        )
        self.assertEqual([(5000,)], self.guest.sql('SELECT COUNT(*) FROM app.words'))
        self.assertEqual([], list(self.guest.layout.on_volume.glob('container-image*')))
        verify.verify(self.work(info))
        finish.finish(self.work(info))

    def names(self):
        """Names of the engine's images; an image without one counts as one, too."""
        _, found = self.guest.engine.api('GET', '/images/json')
        return [name for image in found for name in image['RepoTags'] or ['<none>:<none>']]

    def test_a_way_back_without_a_registry_runs_the_former_image(self):
        info = self.quiesced()
        self.guest.rebuild()
        back = self.work(info, 'former_image_archive', options=GuestOptions(rollback=True))
        head_start.give(back.guest)

        result = restore.restore(back).result

        self.assertEqual('carried', result['image_source'])
        after = self.container()
        self.assertEqual(
            ('mariadb:10.11', self.former, True), (after.image, after.image_id, after.running)
        )
        self.assertEqual([(5000,)], self.guest.sql('SELECT COUNT(*) FROM app.words'))

    def test_of_an_archive_with_more_an_engine_gets_the_image_alone(self):
        info = self.quiesced()
        self.guest.rebuild()
        self.guest.volume.mount(trove_guest.UUID)
        config = json.dumps({'rootfs': {'type': 'layers', 'diff_ids': []}}).encode()
        listing = [{'Config': 'evil.json', 'RepoTags': ['mariadb:11.8', 'x:1'], 'Layers': []}]
        own = self.on_volume().read_bytes()
        hostile = io.BytesIO()
        with tarfile.open(fileobj=hostile, mode='w') as tar:
            for name, text in (
                ('evil.json', config),
                ('manifest.json', json.dumps(listing).encode()),
                ('repositories', b'{"mariadb": {"11.8": "evil"}}'),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text))
            members = hostile.getvalue()[: tar.offset]
        self.on_volume().write_bytes(members + own)
        archive = {**info['image_archive'], 'size_bytes': self.on_volume().stat().st_size}
        carried_image.load(
            self.work({**info, 'image_archive': archive}).guest, lambda _percent, _message: None
        )
        self.assertEqual(['<none>:<none>'], self.names())
        self.assertIsNotNone(self.guest.client().image(self.tried))

    def test_a_file_that_was_changed_is_never_loaded_and_without_a_registry_the_step_fails(self):
        info = self.quiesced()
        self.guest.rebuild()
        self.guest.volume.mount(trove_guest.UUID)
        with self.on_volume().open('r+b') as file:
            file.seek(100_000_000)
            file.write(b'x')
        self.assertRaises(errors.EngineError, restore.restore, self.work(info))
        self.assertEqual([], self.names())

    def test_an_undo_leaves_nothing_of_it(self):
        self.quiesced()
        undo.abort(self.guest.work())
        self.assertFalse(self.on_volume().exists())
        self.assert_serves_as_before()
