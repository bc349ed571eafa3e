# SPDX-License-Identifier: Apache-2.0
"""The target's container image on the volume: saved before the stop, taken by the next root
disk.
"""

import contextlib
import dataclasses
import errno
import hashlib
import os
import threading

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.image_archive import ImageArchive, ImageSource
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores.portable_image import PortableImage
from trove_upgrade.guestagent.machine import identity
from trove_upgrade.guestagent.machine.containers import errors
from trove_upgrade.guestagent.machine.containers.image_documents import NotOneImage
from trove_upgrade.guestagent.upgrade import (
    carried_image,
    finish,
    head_start,
    quiesce,
    restore,
    undo,
    verify,
)
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.tests.unit.guestagent import archives, fakes
from trove_upgrade.tests.unit.guestagent.upgrade.test_flows import FlowTestCase

CARRY = GuestOptions(carry_image=True)
FORMER = archives.archive(b'a former layer' * 1000)
FORMER_IMAGE = archives.id_of(b'a former layer' * 1000)
BOTH = dataclasses.replace(CARRY, former_image_id=FORMER_IMAGE)
CONTENT = archives.archive(b'a layer' * 1000)
IMAGE = archives.id_of(b'a layer' * 1000)
#: What an engine is given of it.
LOADED = archives.rewritten(CONTENT, IMAGE)
TARGET = {'container_image_id': IMAGE}


def aborting(doing, error=exceptions.StepFailed):
    """Progress of a job that is aborted at this."""

    def progress(_percent, message):
        if doing in message:
            raise error('It was aborted.', 'UPGRADE_ABORTED')

    return progress


class Driver(fakes.Driver):
    """A driver whose new server is a container image; `machine.images` are those of its engine."""

    def portable_target(self):
        self._may_fail('portable_target')
        return PortableImage(
            image_id=IMAGE, platform=archives.PLATFORM, size_bytes=len(CONTENT), saved=self._saved
        )

    @contextlib.contextmanager
    def _saved(self, _seconds):
        self.machine.served_while_saving = self.machine.running is not None
        self.machine.named_while_saving = self.machine.kept()
        yield iter(self.machine.pieces)

    def portable_former(self):
        self._may_fail('portable_former')
        return PortableImage(
            image_id=self.machine.former_image,
            platform=archives.PLATFORM,
            size_bytes=self.machine.former_bytes,
            saved=lambda _seconds: contextlib.nullcontext(iter([FORMER])),
        )

    def upgrade_bytes(self, target, options):
        return self.machine.upgrade_bytes

    def receive(self, archive, opened):
        self._may_fail('receive')
        if archive.image_id in self.machine.images:
            return
        try:
            with opened(archives.PLATFORM) as image:
                self.machine.before_load()
                self.machine.images[archive.image_id] = b''.join(image.pieces)
        except NotOneImage as error:
            raise errors.ImageNotLoaded(f'It cannot be loaded: {error}.') from error

    def prefetch(self):
        self.machine.has_asked_registry = True

    def image_source(self):
        return ImageSource.CARRIED if self.machine.images else ImageSource.PULLED


class Machine(fakes.Machine):
    """A guest with a container engine."""

    def __init__(self, directory):
        self.images = {}
        self.pieces = [CONTENT[:1000], CONTENT[1000:]]
        self.former_image, self.former_bytes = FORMER_IMAGE, len(FORMER)
        self.upgrade_bytes = 0
        self.served_while_saving = self.named_while_saving = None
        self.before_load = lambda: None
        self.has_asked_registry = False
        super().__init__(directory)

    def rebuild(self, marker=f'{fakes.UPGRADE}:1'):
        self.images = {}
        super().rebuild(marker)

    def kept(self):
        """Where the image is, with the volume mounted or not."""
        places = self.layout.on_volume, self.volume_directory / '.trove-upgrade'
        return [path for place in places for path in place.glob('container-image*')]

    def guest(self, wire=None):
        driver = Driver(self)
        if wire is not None:
            driver = wire.wrap(driver, 'receive', 'fingerprint_and_stop', 'own_data')
        carried = lambda: identity.read_archive(self.layout.marker)  # noqa: E731 - as the agent reads it
        return dataclasses.replace(super().guest(wire), driver=driver, carried=carried)

    def tell(self, info, name='image_archive'):
        """As user data of the rebuild tells it."""
        archive = ImageArchive.from_wire(info[name])
        with self.layout.marker.open('a') as marker:
            marker.write(f'upgrade_volume_uuid = {info["volume_uuid"]}\n')
            marker.write(f'upgrade_image_archive = {archive.to_option()}\n')


class CarriedTestCase(FlowTestCase):
    def new_machine(self):
        made = super().new_machine()
        return Machine(made.layout.root.parent / 'other')

    def outcome(self, machine=None, **changes):
        return quiesce.quiesce(
            (machine or self.machine).work(**{'options': CARRY, 'target': TARGET, **changes})
        )

    def quiesced(self, machine=None):
        return self.outcome(machine).result['upgrade_info']

    def rebuilt(self, machine=None):
        machine = machine or self.machine
        info = super().rebuilt(machine)
        if 'image_archive' in info:
            machine.tell(info)
        return info


class SavingTest(CarriedTestCase):
    def assert_not_carried(self, outcome, reason):
        self.assertNotIn('image_archive', outcome.result['upgrade_info'])
        self.assertIn(f'The container image is not carried there: {reason}', outcome.message)
        self.assertEqual([], self.machine.kept())

    def test_it_is_saved_while_the_database_serves_and_has_its_name_after_the_stop(self):
        info = self.quiesced()
        self.assertTrue(self.machine.served_while_saving)
        self.assertEqual([], self.machine.named_while_saving)
        (file,) = self.machine.kept()
        self.assertEqual(CONTENT, file.read_bytes())
        self.assertEqual((0, 0o600), (file.stat().st_uid, file.stat().st_mode & 0o777))
        self.assertEqual(
            {
                'sha256': hashlib.sha256(CONTENT).hexdigest(),
                'size_bytes': len(CONTENT),
                'image_id': IMAGE,
            },
            info['image_archive'],
        )

    def test_another_image_than_the_version_names_is_not_carried(self):
        for named in (f'sha256:{"0" * 64}', ''):
            outcome = self.outcome(target={'container_image_id': named})
            self.assert_not_carried(outcome, 'it has another id than the datastore version names')
            self.machine = self.new_machine()

    def test_the_second_call_answers_the_same(self):
        self.assertEqual(self.quiesced(), self.quiesced())

    def test_a_taskmanager_that_does_not_ask_for_it_gets_what_the_release_before_gives(self):
        outcome = self.outcome(options=GuestOptions())
        self.assertNotIn('image_archive', outcome.result['upgrade_info'])
        self.assertTrue(outcome.message.endswith('the volume is unmounted.'))
        self.assertEqual([], self.machine.kept())

    def test_a_volume_without_room_for_it_carries_none_and_the_upgrade_goes_on(self):
        self.machine.upgrade_bytes = 1 << 40
        self.assert_not_carried(self.outcome(), 'it has 0 MB, and the upgrade leaves 0 MB')
        self.assertIsNone(self.machine.running)

    def test_an_image_that_is_larger_than_the_engine_tells_leaves_the_upgrade_its_room(self):
        free = self.machine.guest().volume.free_bytes()
        slack = self.machine.guest().volume.size_bytes() // 20
        self.machine.upgrade_bytes = free - slack - (64 << 20) - len(CONTENT) - 100_000
        self.machine.pieces = [b'x' * (1 << 20)] * 3
        self.assert_not_carried(self.outcome(), 'what the engine gives cannot be used')

    def test_what_cannot_be_used_is_not_carried(self):
        for pieces in ([CONTENT[:2000]], [b'no archive'], [archives.archive(b'another')]):
            self.machine = self.new_machine()
            self.machine.pieces = pieces
            self.assert_not_carried(self.outcome(), 'what the engine gives cannot be used')

    def test_an_engine_that_does_not_give_it_ends_no_upgrade(self):
        self.machine.fail['portable_target'] = errors.ImageNotLoaded('It cannot be saved.')
        self.assert_not_carried(self.outcome(), 'It cannot be saved.')

    def test_a_volume_that_fails_meanwhile_ends_no_upgrade(self):
        def failing():
            yield CONTENT[:1000]
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        self.machine.pieces = failing()
        self.assert_not_carried(self.outcome(), 'it cannot be written to the volume')

    def test_a_volume_that_fills_meanwhile_is_left_to_the_database(self):
        def filling():
            yield CONTENT[:1000]
            self.machine.fail['free_bytes'] = 100 << 20
            yield b'x' * (8 << 20)
            self.fail('it was written on')

        self.machine.pieces = filling()
        self.assert_not_carried(
            self.outcome(), 'what it leaves of the volume became too little meanwhile'
        )

    def test_an_engine_that_takes_more_than_its_part_of_the_step_ends_no_upgrade(self):
        def slow():
            yield CONTENT[:1000]
            self.machine.clock.move(601)
            yield b'x' * (8 << 20)
            self.fail('it was written on')

        self.machine.pieces = slow()
        outcome = self.outcome(options=BOTH)
        self.assert_not_carried(outcome, 'its part of the time of the step is over')
        self.assertNotIn('former_image_archive', outcome.result['upgrade_info'])

    def test_a_short_step_gives_it_a_quarter_of_what_is_left(self):
        def slow():
            yield CONTENT[:1000]
            self.machine.clock.move(26)
            yield b'x' * (8 << 20)

        self.machine.pieces = slow()
        self.assert_not_carried(
            self.outcome(seconds=100), 'its part of the time of the step is over'
        )

    def test_reading_it_again_is_part_of_that_time(self):
        def progress(_percent, message):
            if 'Reading' in message:
                self.machine.clock.move(601)

        work = dataclasses.replace(
            self.machine.work(options=CARRY, target=TARGET), progress=progress
        )
        self.assert_not_carried(quiesce.quiesce(work), 'its part of the time of the step is over')

    def test_an_abort_while_it_is_saved_ends_the_upgrade_with_the_database_serving(self):
        work = self.machine.work(options=CARRY, target=TARGET)
        for doing in ('Saving', 'Reading'):
            aborted = dataclasses.replace(work, progress=aborting(doing, exceptions.StepRefused))
            error = self.assertRaises(exceptions.StepRefused, quiesce.quiesce, aborted)
            self.assertEqual('UPGRADE_ABORTED', error.code)
            self.assert_serves_as_before(self.machine)
            self.assertEqual([], self.machine.kept())

    def test_one_of_an_earlier_attempt_is_replaced(self):
        self.quiesced()
        undo.abort(self.machine.work())
        self.assertEqual([], self.machine.kept())
        self.machine.layout.on_volume.mkdir(mode=0o700, exist_ok=True)
        (self.machine.layout.on_volume / carried_image.NAME).write_text('left over')
        self.quiesced()
        self.assertEqual(CONTENT, self.machine.kept()[0].read_bytes())

    def test_one_of_an_earlier_attempt_goes_where_none_is_carried_now(self):
        self.machine.layout.on_volume.mkdir(mode=0o700)
        (self.machine.layout.on_volume / carried_image.NAME).write_text('left over')
        self.outcome(options=GuestOptions())
        self.assertEqual([], self.machine.kept())

    def test_a_directory_in_its_place_goes_and_hinders_no_undo(self):
        self.quiesced()
        (file,) = self.machine.kept()
        file.unlink()
        (file / 'a/b').mkdir(parents=True)
        (file / 'a/c').write_text('left over')
        undo.abort(self.machine.work())
        self.assert_serves_as_before(self.machine)
        self.assertEqual([], self.machine.kept())

    def test_an_agent_that_dies_anywhere_leaves_none_or_a_whole_one(self):
        def flow(work):
            return quiesce.quiesce(
                dataclasses.replace(
                    work,
                    call=dataclasses.replace(
                        work.call, options=CARRY, target=TargetFacts.from_wire(TARGET)
                    ),
                )
            )

        for machine, _, story in self._each_death(
            flow, lambda machine: {}, lives=[self.agent_restart, self.reboot]
        ):
            for file in machine.kept():
                self.assertEqual(CONTENT, file.read_bytes(), story)
            info = self.rebuilt(machine)
            self.assertEqual('carried', self.restored(machine, info)['image_source'], story)

    def restored(self, machine, info):
        return restore.restore(machine.work(upgrade_info=info)).result


class FormerTest(CarriedTestCase):
    """The image that runs is saved beside the target's, for a way back."""

    def archives(self, outcome):
        info = outcome.result['upgrade_info']
        return [
            info[name]['image_id'] if name in info else None
            for name in ('image_archive', 'former_image_archive')
        ]

    def contents(self):
        return {path.read_bytes() for path in self.machine.kept()}

    def test_both_have_their_names_after_the_stop(self):
        outcome = self.outcome(options=BOTH)
        self.assertEqual([IMAGE, FORMER_IMAGE], self.archives(outcome))
        self.assertEqual({CONTENT, FORMER}, self.contents())
        self.assertIn('The former container image of', outcome.message)

    def test_one_that_the_former_version_does_not_name_is_not_saved(self):
        self.machine.former_image = f'sha256:{"0" * 64}'
        outcome = self.outcome(options=BOTH)
        self.assertEqual([IMAGE, None], self.archives(outcome))
        self.assertEqual({CONTENT}, self.contents())
        self.assertIn('The former container image is not carried there: it has', outcome.message)

    def test_one_that_both_versions_have_is_saved_once(self):
        outcome = self.outcome(options=dataclasses.replace(CARRY, former_image_id=IMAGE))
        self.assertEqual([IMAGE, None], self.archives(outcome))
        self.assertNotIn('former', outcome.message)

    def test_without_room_for_both_the_targets_is_carried(self):
        self.machine.former_bytes = 1 << 40
        outcome = self.outcome(options=BOTH)
        self.assertEqual([IMAGE, None], self.archives(outcome))
        self.assertIn('The former container image is not carried there: it has', outcome.message)
        self.assertEqual({CONTENT}, self.contents())

    def filled(self, *free_bytes):
        """As the database fills the volume once both are saved; what is free at each look since."""
        looks = iter(free_bytes)

        def progress(_percent, message):
            if 'Reading the former' in message:
                self.machine.fail['free_bytes'] = lambda: next(looks)

        work = self.machine.work(options=BOTH, target=TARGET)
        return quiesce.quiesce(dataclasses.replace(work, progress=progress))

    def test_where_the_database_has_filled_the_volume_the_former_one_is_given_up_first(self):
        outcome = self.filled(100 << 20, 1 << 30)
        self.assertEqual([IMAGE, None], self.archives(outcome))
        self.assertEqual({CONTENT}, self.contents())

    def test_where_the_volume_is_still_full_both_are_given_up(self):
        outcome = self.filled(100 << 20, 100 << 20)
        self.assertEqual([None, None], self.archives(outcome))
        self.assertEqual(set(), self.contents())
        self.assertIn('the database has taken the room', outcome.message)

    def test_the_former_one_is_saved_where_the_target_names_none(self):
        outcome = self.outcome(options=GuestOptions(former_image_id=FORMER_IMAGE), target={})
        self.assertEqual([None, FORMER_IMAGE], self.archives(outcome))
        self.assertEqual({FORMER}, self.contents())

    def test_an_undo_leaves_neither(self):
        self.outcome(options=BOTH)
        undo.abort(self.machine.work())
        self.assertEqual([], self.machine.kept())


class TakingTest(CarriedTestCase):
    def restored(self, info):
        return restore.restore(self.machine.work(upgrade_info=info)).result

    def assert_other_way(self, result, reason):
        self.assertEqual({}, self.machine.images)
        self.assertEqual('pulled', result['image_source'])
        self.assertIn(reason, result['image_not_carried'])
        self.assert_upgraded(self.machine)

    def file(self):
        return self.machine.volume_directory / '.trove-upgrade' / carried_image.NAME

    def test_the_next_root_disk_takes_it(self):
        result = self.restored(self.rebuilt())
        self.assertEqual({IMAGE: LOADED}, self.machine.images)
        self.assertEqual('carried', result['image_source'])
        self.assertNotIn('image_not_carried', result)

    def test_a_repeated_call_tells_the_same(self):
        info = self.rebuilt()
        self.assertEqual(self.restored(info), self.restored(info))

    def test_a_file_that_was_changed_is_not_taken(self):
        for change in (
            lambda file: file.write_bytes(CONTENT.replace(b'a layer', b'a liar!', 1)),
            lambda file: file.write_bytes(CONTENT[:5000]),
            lambda file: file.write_bytes(archives.archive(b'another' * 1000)),
            lambda file: file.write_bytes(b''),
        ):
            self.machine = self.new_machine()
            info = self.rebuilt()
            change(self.file())
            self.assert_other_way(self.restored(info), 'It cannot be loaded')

    def test_of_a_file_that_has_more_the_image_alone_is_taken(self):
        more = (f'{"b" * 64}/layer.tar', b'of others'), ('manifest.json', b'[{"RepoTags": ["a"]}]')
        self.machine.pieces = [archives.archive(b'a layer' * 1000, more=more)]
        self.assertEqual('carried', self.restored(self.rebuilt())['image_source'])
        self.assertEqual({IMAGE: LOADED}, self.machine.images)

    def test_a_file_that_grows_without_end_is_not_read_to_its_end(self):
        info = self.rebuilt()
        large = archives.archive(b'a layer' * 1000, more=[(f'{"b" * 64}/layer.tar', b'x' * 90_000)])
        self.file().write_bytes(large)
        self.assert_other_way(self.restored(info), 'longer than was told')

    def test_an_abort_while_it_is_taken_ends_the_step(self):
        info = self.rebuilt()
        for doing in ('Looking at the container image', 'Loading the container image'):
            work = dataclasses.replace(
                self.machine.work(upgrade_info=info), progress=aborting(doing)
            )
            error = self.assertRaises(exceptions.StepFailed, restore.restore, work)
            self.assertEqual('UPGRADE_ABORTED', error.code)
        self.assertEqual('carried', self.restored(info)['image_source'])

    def test_what_is_no_plain_file_is_not_opened(self):
        for change in (
            lambda file: file.symlink_to('/etc/passwd'),
            os.mkfifo,
            os.mkdir,
            lambda _file: None,
        ):
            self.machine = self.new_machine()
            info = self.rebuilt()
            self.file().unlink()
            change(self.file())
            self.assert_other_way(self.restored(info), 'the volume does not have it')

    def test_a_file_that_becomes_another_one_while_it_is_read_is_not_taken(self):
        info = self.rebuilt()
        self.machine.before_load = lambda: (
            self.machine.layout.on_volume / carried_image.NAME
        ).write_bytes(CONTENT.replace(b'a layer', b'a liar!', 1))
        self.assert_other_way(self.restored(info), 'another one than it is to be')

    def test_it_takes_no_room_of_the_root_disk(self):
        self.restored(self.rebuilt())
        self.assertEqual([], list(self.machine.layout.state.glob('*image*')))

    def test_an_engine_that_does_not_take_it_gets_it_in_another_way(self):
        info = self.rebuilt()
        self.machine.fail['receive'] = errors.ImageNotLoaded('The engine has no room.')
        self.assert_other_way(self.restored(info), 'The engine has no room')

    def test_a_root_disk_that_user_data_tells_nothing_takes_nothing(self):
        info = FlowTestCase.rebuilt(self)
        self.assertEqual('pulled', self.restored(info)['image_source'])
        self.assertEqual({}, self.machine.images)

    def test_user_data_of_another_form_tells_nothing(self):
        info = FlowTestCase.rebuilt(self)
        for lines in (
            'upgrade_image_archive = x\n',
            f'upgrade_volume_uuid = {fakes.UUID}\nupgrade_image_archive = x 1 sha256:x\n',
            f'upgrade_volume_uuid = x\nupgrade_image_archive = {"a" * 64} 1 sha256:{"a" * 64}\n',
        ):
            self.machine.layout.marker.write_text(f'[trove_upgrade]\n{lines}')
            self.assertIsNone(self.machine.guest().carried(), lines)
        self.restored(info)

    def test_a_way_back_takes_the_former_one(self):
        info = self.outcome(options=BOTH).result['upgrade_info']
        self.machine.target = '10.11.14-MariaDB'
        self.machine.rebuild(f'{fakes.UPGRADE}:2')
        self.machine.tell(info, 'former_image_archive')
        back = self.machine.work(upgrade_info=info, options=GuestOptions(rollback=True))
        self.assertEqual('carried', restore.restore(back).result['image_source'])
        self.assertEqual(
            {FORMER_IMAGE: archives.rewritten(FORMER, FORMER_IMAGE)}, self.machine.images
        )

    def booted_with_both(self):
        info = self.outcome(options=BOTH).result['upgrade_info']
        self.machine.rebuild()
        self.machine.tell(info)
        self.assertEqual(2, len(self.machine.kept()))
        return info

    def names(self):
        return [path.name for path in self.machine.kept()]

    def test_the_former_one_goes_once_the_new_server_was_started(self):
        info = self.booted_with_both()
        self.machine.fail['upgrade_data'] = exceptions.StepFailed('It failed.', 'X')
        self.assertRaises(exceptions.StepFailed, self.restored, info)
        self.assertEqual([carried_image.NAME], self.names())

    def test_both_stay_as_long_as_there_is_a_way_back(self):
        info = self.booted_with_both()
        self.machine.fail['own_data'] = exceptions.StepFailed('It failed.', 'X')
        self.assertRaises(exceptions.StepFailed, self.restored, info)
        self.assertEqual(2, len(self.machine.kept()))

    def test_none_is_left_once_clients_are_served_and_the_stash_stays(self):
        self.restored(self.booted_with_both())
        self.assertEqual([], self.machine.kept())
        self.assertNotEqual([], list(self.machine.layout.on_volume.glob('stash-*')))

    def test_a_root_disk_that_is_lost_before_clients_are_served_gets_it_from_the_volume(self):
        def prepare(machine):
            return {'upgrade_info': self.rebuilt(machine)}

        def lost(machine):
            machine.had_opened = machine.guest().marks.has(Mark.OPENED, fakes.UPGRADE)
            machine.rebuild(f'{fakes.UPGRADE}:2')

        for machine, changes, story in self._each_death(restore.restore, prepare, lives=[lost]):
            machine.tell(changes['upgrade_info'])
            result = restore.restore(machine.work(**changes)).result
            if not machine.had_opened:
                self.assertEqual('carried', result['image_source'], story)
            self.assert_upgraded(machine)

    def test_what_an_earlier_release_has_left_goes_when_the_upgrade_has_ended(self):
        self.machine.agent_marker = f'{fakes.UPGRADE}:1'
        info = self.booted_with_both()
        self.restored(info)
        (self.machine.layout.on_volume / carried_image.NAME).write_bytes(CONTENT)
        verify.verify(self.machine.work(upgrade_info=info))
        finish.finish(self.machine.work(upgrade_info=info))
        self.assertEqual([], self.machine.kept())
        self.assertNotEqual([], list(self.machine.layout.on_volume.glob('stash-*')))


class HeadStartTest(CarriedTestCase):
    def booted(self):
        info = self.rebuilt()
        self.machine.agent_marker = f'{fakes.UPGRADE}:1'
        return info

    def test_it_is_loaded_before_the_restore_is_asked_for(self):
        info = self.booted()
        awake = []
        self.machine.before_load = lambda: awake.append(self.machine.awake)
        head_start.give(self.machine.guest())
        self.assertEqual(({IMAGE: LOADED}, [1]), (self.machine.images, awake))
        self.machine.before_load = lambda: self.fail('it was loaded twice')
        result = restore.restore(self.machine.work(upgrade_info=info)).result
        self.assertEqual('carried', result['image_source'])

    def test_a_restore_that_waits_for_it_tells_so_and_can_be_aborted(self):
        info = self.booted()
        begun, told = threading.Event(), threading.Event()

        def slow():
            begun.set()
            told.wait(30)

        def progress(_percent, message):
            if 'is being loaded' in message:
                told.set()
                raise exceptions.StepFailed('It was aborted.', 'UPGRADE_ABORTED')

        self.machine.before_load = slow
        thread = head_start.begin(self.machine.guest())
        self.addCleanup(thread.join)
        self.addCleanup(told.set)
        self.assertTrue(begun.wait(30))
        work = dataclasses.replace(self.machine.work(upgrade_info=info), progress=progress)
        error = self.assertRaises(exceptions.StepFailed, restore.restore, work)
        self.assertEqual('UPGRADE_ABORTED', error.code)
        thread.join()
        self.assertEqual({IMAGE: LOADED}, self.machine.images)

    def test_the_root_disk_that_stopped_the_database_mounts_nothing(self):
        info = self.quiesced()
        self.machine.layout.marker.write_text('[trove_upgrade]\n')
        self.machine.tell(info)
        self.machine.agent_marker = f'{fakes.UPGRADE}:1'
        head_start.give(self.machine.guest())
        self.assertFalse(self.machine.mounted)
        self.assertEqual({}, self.machine.images)

    def test_a_volume_that_is_not_there_is_left_to_the_restore_and_a_registry_is_asked(self):
        info = self.booted()
        text = self.machine.layout.marker.read_text()
        self.machine.layout.marker.write_text(
            text.replace(fakes.UUID, f'{"0" * 8}{fakes.UUID[8:]}')
        )
        head_start.give(self.machine.guest())
        self.assertFalse(self.machine.mounted)
        self.assertTrue(self.machine.has_asked_registry)
        restore.restore(self.machine.work(upgrade_info=info))
        self.assert_upgraded(self.machine)

    def test_a_volume_that_comes_late_is_waited_for_and_no_registry_is_asked_beside_it(self):
        self.booted()
        self.machine.volume_late_seconds = 59
        asked, looks = [], []
        self.machine.on_late_volume = looks.append
        self.machine.before_load = lambda: asked.append(self.machine.has_asked_registry)
        head_start.give(self.machine.guest())
        self.assertEqual(({IMAGE: LOADED}, [False]), (self.machine.images, asked))
        self.assertEqual(59, len(looks))  # the restore comes in between

    def test_a_root_disk_that_is_restored_takes_nothing(self):
        info = self.booted()
        restore.restore(self.machine.work(upgrade_info=info))
        self.machine.images.clear()
        self.assertTrue(self.machine.guest().marks.has(Mark.RESTORED, fakes.UPGRADE))
        head_start.give(self.machine.guest())
        self.assertEqual({}, self.machine.images)
