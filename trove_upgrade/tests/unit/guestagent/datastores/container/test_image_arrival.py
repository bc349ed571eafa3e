# SPDX-License-Identifier: Apache-2.0
"""The way of the target's image to the next root disk: preloaded, on the volume, or from a
registry.
"""

import contextlib
import dataclasses
import errno
import os
import pathlib

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.image_archive import ImageArchive
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.machine.containers import errors
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import archives
from trove_upgrade.tests.unit.guestagent.datastores.container import fakes
from trove_upgrade.tests.unit.guestagent.datastores.container.fakes import (
    NEW,
    NEW_EXACT,
    NEW_LOADED,
    OLD,
)
from trove_upgrade.tests.unit.guestagent.datastores.container.test_driver import TARGET, quiet

CONTENT = archives.archive()
IMAGE = archives.id_of()
ARCHIVE = ImageArchive(sha256='a' * 64, size_bytes=len(CONTENT), image_id=IMAGE)
EXACT = dataclasses.replace(TARGET, container_image=NEW_EXACT)


class ArrivalTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.guest = fakes.Guest(pathlib.Path(self.useFixture(fixtures.TempDir()).path))
        self.image = dataclasses.replace(fakes.IMAGES[NEW], id=IMAGE)
        self.content = CONTENT
        self.times_opened = 0

    @property
    def engine(self):
        return self.guest.engine

    def publish(self):
        """The registry has the image under its tag and its digest."""
        self.engine.registry.update({NEW: self.image, NEW_EXACT: self.image})

    def stopped(self, target=TARGET):
        self.publish()
        driver = self.guest.driver()
        driver.prepare_target(target, GuestOptions(), quiet)
        self.portable = driver.portable_target()

    def new_root(self):
        """Without any image, and with a registry that is away."""
        self.guest.new_root(())
        self.publish()
        self.engine.registry_is_down = True
        self.engine.loads = dataclasses.replace(self.image, digests=())

    def new_root_before_the_stash(self):
        """Without the record, too, until what is returned is called."""
        record = self.guest.driver().host.records.path
        kept = record.read_bytes()
        record.unlink()
        self.new_root()
        return lambda: record.write_bytes(kept)

    @contextlib.contextmanager
    def opened(self, platform):
        self.times_opened += 1
        yield archives.opened(self.content).image(IMAGE, platform)

    def received(self, **changes):
        driver = self.guest.driver(**changes)
        driver.receive(ARCHIVE, self.opened)
        return driver


class TestArrival(ArrivalTestCase):
    def chosen(self, driver):
        self.assertEqual('ok', driver.check_configuration(GuestOptions()).outcome)
        return driver.host.records.require().chosen

    def test_the_image_that_was_tried_is_given_without_a_name(self):
        self.stopped()
        self.assertEqual(IMAGE, self.portable.image_id)
        with self.portable.saved(5):
            self.assertIn(('save', IMAGE), self.engine.asked)

    def test_the_root_disk_that_the_database_serves_from_is_never_filled_up(self):
        self.stopped()
        driver = self.guest.driver()
        _, free = driver.host.images.room()
        self.engine.images[NEW] = dataclasses.replace(self.image, size_bytes=free - (100 << 20))
        error = self.assertRaises(errors.ImageNotLoaded, driver.portable_target)
        self.assertIn('cannot be saved', error.message)

    def test_an_image_from_the_volume_runs_under_the_name_that_was_tried_and_no_registry_is_asked(
        self,
    ):
        self.stopped()
        self.new_root()
        driver = self.received()
        self.assertEqual((NEW, IMAGE), self.named(self.chosen(driver)))
        self.assertEqual('carried', driver.image_source())
        self.assertEqual(['load', 'tag'], self.engine.names())

    def named(self, choice):
        return choice.reference, choice.image_id

    def test_before_the_stash_has_come_it_is_loaded_and_named_later(self):
        self.stopped()
        stash_comes = self.new_root_before_the_stash()
        driver = self.received(number='11.8')
        driver.prefetch()
        self.assertEqual(['load'], self.engine.names())
        stash_comes()
        driver.receive(ARCHIVE, self.opened)
        self.assertEqual((NEW, IMAGE), self.named(self.chosen(driver)))
        self.assertEqual(['load', 'tag'], self.engine.names())

    def test_a_preloaded_image_is_taken_and_nothing_is_opened(self):
        self.stopped()
        self.new_root()
        self.engine.images[NEW] = self.image
        driver = self.received()
        self.assertEqual((NEW, IMAGE), self.named(self.chosen(driver)))
        self.assertEqual(
            ('preloaded', 0, []), (driver.image_source(), self.times_opened, self.engine.names())
        )

    def test_an_older_image_that_is_preloaded_under_its_name_does_not_run(self):
        self.stopped()
        self.new_root()
        self.engine.images[NEW] = fakes.image('older')
        driver = self.received()
        self.assertEqual((NEW, IMAGE), self.named(self.chosen(driver)))
        self.assertEqual(('carried', ['load', 'tag']), (driver.image_source(), self.engine.names()))

    def test_nor_does_it_where_the_head_start_took_it_for_the_one(self):
        self.stopped()
        stash_comes = self.new_root_before_the_stash()
        self.engine.images[NEW] = fakes.image('older')
        driver = self.received(number='11.8')
        driver.prefetch()
        stash_comes()
        driver.receive(ARCHIVE, self.opened)
        self.assertEqual((NEW, IMAGE), self.named(self.chosen(driver)))
        self.assertEqual(['load', 'tag'], self.engine.names())

    def test_a_preloaded_image_of_the_same_digest_is_taken_whatever_its_id(self):
        self.stopped()
        self.new_root()
        self.engine.images[NEW] = dataclasses.replace(self.image, id='sha256:' + 'c' * 64)
        driver = self.received()
        self.chosen(driver)
        self.assertEqual(('preloaded', 0), (driver.image_source(), self.times_opened))

    def test_without_one_on_the_volume_the_registry_gives_it(self):
        self.stopped()
        self.new_root()
        self.engine.registry_is_down = False
        driver = self.guest.driver()
        self.assertEqual((NEW, IMAGE), self.named(self.chosen(driver)))
        self.assertEqual(('pulled', ['pull']), (driver.image_source(), self.engine.names()))

    def test_what_a_head_start_has_pulled_was_not_preloaded(self):
        self.stopped()
        self.new_root()
        self.engine.registry_is_down = False
        driver = self.guest.driver(number='11.8')
        driver.prefetch()
        self.chosen(driver)
        self.assertEqual('pulled', driver.image_source())

    def test_an_image_of_another_id_than_the_one_that_was_tried_does_not_run(self):
        self.stopped()
        self.new_root()
        self.engine.loads = fakes.image('another')
        error = self.assertRaises(errors.ImageNotLoaded, self.received)
        self.assertIn('another id', error.message)
        self.engine.registry_is_down = False
        driver = self.guest.driver()
        self.assertEqual((NEW, IMAGE), self.named(self.chosen(driver)))
        self.assertEqual('pulled', driver.image_source())

    def test_an_archive_with_another_image_is_not_loaded(self):
        self.stopped()
        self.new_root()
        for content in (archives.archive(b'another'), b'none'):
            self.content = content
            self.assertRaises(errors.ImageNotLoaded, self.received)
        self.assertEqual([], self.engine.names())

    def test_an_archive_that_cannot_be_used_is_tried_once_and_the_registry_gives_the_image(self):
        self.stopped()
        self.new_root()
        self.engine.registry_is_down = False
        for content, loads in (
            (archives.archive(b'another'), dataclasses.replace(self.image)),
            (CONTENT, fakes.image('another')),
        ):
            self.content, self.engine.loads, self.times_opened = content, loads, 0
            driver = self.guest.driver()
            first = self.assertRaises(errors.ImageNotLoaded, driver.receive, ARCHIVE, self.opened)
            second = self.assertRaises(errors.ImageNotLoaded, driver.receive, ARCHIVE, self.opened)
            self.assertEqual((1, first.message), (self.times_opened, second.message))
            self.chosen(driver)
            self.assertEqual('pulled', driver.image_source())
            self.engine.images.clear()

    def test_an_engine_that_did_not_answer_is_asked_again(self):
        self.stopped()
        self.new_root()
        driver = self.guest.driver()
        self.engine.down = True
        self.assertRaises(errors.EngineNotAnswering, driver.receive, ARCHIVE, self.opened)
        self.engine.down = False
        driver.receive(ARCHIVE, self.opened)
        self.chosen(driver)
        self.assertEqual('carried', driver.image_source())

    def failing(self, error):
        @contextlib.contextmanager
        def opened(_platform):
            self.times_opened += 1
            raise error
            yield

        return opened

    def test_what_has_failed_once_it_was_begun_is_not_begun_again(self):
        self.stopped()
        for error in (
            errors.EngineNotAnswering('The engine has gone.'),
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        ):
            self.new_root()
            self.times_opened = 0
            driver = self.guest.driver()
            for _ in range(2):
                self.assertIs(
                    error,
                    self.assertRaises(type(error), driver.receive, ARCHIVE, self.failing(error)),
                )
            self.assertEqual(1, self.times_opened)

    def test_an_abort_while_it_is_loaded_is_no_failure_of_the_archive(self):
        self.stopped()
        self.new_root()
        driver = self.guest.driver()
        aborted = exceptions.StepFailed('It was aborted.', 'UPGRADE_ABORTED')
        self.assertRaises(exceptions.StepFailed, driver.receive, ARCHIVE, self.failing(aborted))
        driver.receive(ARCHIVE, self.opened)
        self.assertEqual(2, self.times_opened)

    def test_a_load_that_was_late_and_has_ended_since_counts(self):
        self.stopped()
        self.new_root()
        driver = self.guest.driver()
        late = errors.ImageNotLoaded('It is not there after 60 s.')
        self.assertRaises(errors.ImageNotLoaded, driver.receive, ARCHIVE, self.failing(late))
        self.engine.images[IMAGE] = self.engine.loads
        driver.receive(ARCHIVE, self.opened)
        self.chosen(driver)
        self.assertEqual(('carried', 1), (driver.image_source(), self.times_opened))

    def test_without_room_where_the_engine_writes_nothing_is_opened(self):
        self.stopped()
        self.new_root()
        driver = self.guest.driver()
        _, free = driver.host.images.room()
        large = dataclasses.replace(ARCHIVE, size_bytes=min(free // 2, 1 << 36))
        error = self.assertRaises(errors.ImageNotLoaded, driver.receive, large, self.opened)
        self.assertIn('MiB are wanted', error.message)
        self.assertEqual(0, self.times_opened)

    def test_an_image_that_is_not_the_records_is_left_where_it_is(self):
        self.stopped()
        self.new_root()
        self.engine.registry_is_down = False
        driver = self.received()
        driver.expect(TargetFacts(container_image='registry/mariadb:11.8.7'))
        self.engine.registry['registry/mariadb:11.8.7'] = self.image
        records = driver.host.records
        records.write(
            dataclasses.replace(
                records.require(),
                target=dataclasses.replace(records.require().target, image_id='sha256:other'),
            )
        )
        self.chosen(driver)
        self.assertEqual('pulled', driver.image_source())
        self.assertNotIn('tag', self.engine.names())

    def test_a_mended_image_is_taken_by_a_retry(self):
        self.stopped()
        self.new_root()
        driver = self.received()
        self.chosen(driver)
        self.engine.registry_is_down = False
        self.engine.registry[NEW] = fakes.image('mended')
        driver.check_again(GuestOptions(), quiet)
        self.assertEqual(fakes.image('mended').id, driver.host.records.require().chosen.image_id)

    def test_a_retry_with_the_registry_away_goes_on_with_it(self):
        self.stopped()
        self.new_root()
        driver = self.received()
        self.chosen(driver)
        self.assertIsNone(driver.check_again(GuestOptions(), quiet))

    def started_again(self, container_image_id):
        """The agent's process is another one after the image was chosen."""
        self.stopped()
        self.new_root()
        self.chosen(self.received())
        self.engine.asked.clear()
        self.engine.registry_is_down = False
        self.engine.registry[NEW] = fakes.image('moved')
        driver = self.guest.driver()
        driver.expect(
            dataclasses.replace(TARGET, container_image='', container_image_id=container_image_id)
        )
        return driver.check_again(GuestOptions(), quiet), driver.host.records.require().chosen

    def test_an_agent_that_starts_again_asks_no_registry_for_the_image_that_the_version_names(self):
        again, chosen = self.started_again(IMAGE)
        self.assertIsNone(again)
        self.assertEqual((NEW, IMAGE), self.named(chosen))
        self.assertEqual([], self.engine.names())

    def test_a_version_that_names_another_id_by_now_has_a_mended_image(self):
        _, chosen = self.started_again(fakes.image('moved').id)
        self.assertEqual((NEW, fakes.image('moved').id), self.named(chosen))
        self.assertIn('pull', self.engine.names())


class TestWayBack(ArrivalTestCase):
    """The former image, with the registry away: an upgrade is rolled back on it."""

    def setUp(self):
        super().setUp()
        former = dataclasses.replace(fakes.IMAGES[OLD], id=IMAGE)
        self.engine.images[OLD] = former
        self.engine.containers['database'] = dataclasses.replace(
            self.engine.containers['database'], image_id=IMAGE
        )
        self.image = fakes.IMAGES[NEW]
        self.stopped()
        self.former = self.guest.driver().portable_former()
        self.new_root()
        self.engine.loads = dataclasses.replace(former, digests=())

    def chosen(self, driver):
        options = GuestOptions(rollback=True)
        self.assertEqual('ok', driver.check_configuration(options).outcome)
        return driver.host.records.require().chosen

    def test_the_image_that_runs_is_given_without_a_name(self):
        self.assertEqual(IMAGE, self.former.image_id)

    def test_it_runs_again_under_its_name_and_no_registry_is_asked(self):
        driver = self.received()
        chosen = self.chosen(driver)
        self.assertEqual((OLD, IMAGE), (chosen.reference, chosen.image_id))
        self.assertEqual('carried', driver.image_source())
        self.assertEqual(['load', 'tag'], self.engine.names())
        self.assertIsNone(driver.check_again(GuestOptions(rollback=True), quiet))
        self.assertNotIn('pull', self.engine.names())

    def test_one_that_is_preloaded_is_taken_and_another_one_of_its_name_is_not(self):
        self.engine.images[OLD] = dataclasses.replace(self.engine.loads)
        driver = self.received()
        self.chosen(driver)
        self.assertEqual(('preloaded', 0), (driver.image_source(), self.times_opened))
        self.engine.images = {OLD: fakes.image('mended')}
        driver = self.received()
        self.assertEqual(IMAGE, self.chosen(driver).image_id)
        self.assertEqual(('carried', 1), (driver.image_source(), self.times_opened))


class TestDigest(ArrivalTestCase):
    """The target's facts name a digest, which no loaded image has."""

    def chosen(self):
        self.stopped(EXACT)
        self.new_root()
        driver = self.received()
        driver.expect(EXACT)
        self.assertEqual('ok', driver.check_configuration(GuestOptions()).outcome)
        return driver

    def test_it_runs_under_a_tag_that_stands_for_the_digest(self):
        driver = self.chosen()
        choice = driver.host.records.require().chosen
        self.assertEqual((NEW_LOADED, IMAGE), (choice.reference, choice.image_id))
        driver.start_isolated()
        self.assertIn(('create', 'trove-upgrade-first-start', NEW_LOADED), self.engine.asked)
        self.assertNotIn('pull', self.engine.names())

    def test_a_retry_with_the_registry_away_goes_on_with_it(self):
        self.chosen()
        self.assertIsNone(self.guest.driver().check_again(GuestOptions(), quiet))
        self.assertNotIn('pull', self.engine.names())

    def test_it_comes_from_the_registry_where_it_was_removed(self):
        driver = self.chosen()
        self.engine.images.clear()
        self.engine.registry_is_down = False
        driver.start_isolated()
        self.assertEqual(NEW_EXACT, driver.host.records.require().chosen.reference)

    def test_the_next_upgrade_remembers_the_digest_for_a_way_back(self):
        driver = self.chosen()
        driver.start_isolated()
        driver.open_for_clients()
        self.engine.registry_is_down = False
        driver.prepare_target(TARGET, GuestOptions(), quiet)
        former = driver.host.records.require().former
        self.assertEqual((NEW_LOADED, IMAGE), (former.reference, former.image_id))
        self.assertIn(NEW_EXACT, former.digests)

        self.guest.new_root(())
        self.publish()
        back = self.guest.driver().host.images.fetch_again(former, quiet, exact=True)
        self.assertEqual((NEW_EXACT, IMAGE), (back.reference, back.image_id))
