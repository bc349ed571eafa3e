# SPDX-License-Identifier: Apache-2.0

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.db import drift, models
from trove_upgrade.domain import compute, exceptions
from trove_upgrade.domain.drift import CurrentImages, Standing
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.tests.unit import base, database

OLD, NEW = database.IMAGE_10_11, database.IMAGE_11_8


class Glance:
    """Implements ports.Images: newest images by their tags."""

    def __init__(self, **newest):
        self.newest_of = newest
        self.asked = []
        self.is_away = False

    def newest(self, tags):
        self.asked.append(tuple(tags))
        if self.is_away:
            raise exceptions.ComputeUnavailable(what='images', found='no answer')
        if tags[0] not in self.newest_of:
            raise exceptions.ImageNotFound(image_id=f'with tags {tags}')
        return compute.Image(
            id=self.newest_of[tags[0]],
            name='',
            status='active',
            min_disk_gb=0,
            min_ram_mb=0,
            size_bytes=0,
        )


class DriftTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.repos = self.db.repositories
        self.drift = self.repos.drift

    def figures(self, images=None, **query):
        page = self.drift.projects(images, limit=query.pop('limit', 100), **query)
        return {one.project_id: (one.instances, one.drifted, one.unknown) for one in page.items}

    def listed(self, images=None, project_id=database.PROJECT, **query):
        page = self.drift.instances(images, project_id, limit=query.pop('limit', 100), **query)
        return [(one.instance_id, one.booted_image_id, one.current_image_id) for one in page.items]


class TestFigures(DriftTestCase):
    def test_an_instance_whose_image_nobody_has_told_is_unknown_and_never_good(self):
        self.assertEqual(
            {database.PROJECT: (1, 0, 1), database.OTHER_PROJECT: (1, 0, 1)}, self.figures()
        )
        self.assertEqual([(database.INSTANCE, None, OLD)], self.listed())

    def test_one_on_its_versions_image_has_not_drifted_and_is_not_listed(self):
        self.db.set_image(OLD)
        self.assertEqual((1, 0, 0), self.figures()[database.PROJECT])
        self.assertEqual([], self.listed())

    def test_one_on_another_image_has_drifted_since_its_creation(self):
        self.db.set_image('older')
        self.assertEqual((1, 1, 0), self.figures()[database.PROJECT])
        self.assertEqual([(database.INSTANCE, 'older', OLD)], self.listed())
        [found] = self.drift.projects(None, limit=9, project_id=database.PROJECT).items
        self.assertEqual(database.CREATED, found.oldest)

    def test_after_an_upgrade_of_ours_it_has_drifted_since_the_end_of_that(self):
        held = self.repos.upgrades.claim(self.db.begin().id, 'me', 60)
        ended = self.repos.upgrades.end(held, UpgradeState.COMPLETED).upgrade
        self.assertEqual((1, 0, 0), self.figures()[database.PROJECT])
        self.db.update_version(database.MARIADB_11_8, image_id='mended')
        self.assertEqual([(database.INSTANCE, NEW, 'mended')], self.listed())
        [found] = self.drift.instances(None, database.PROJECT, limit=9).items
        self.assertEqual(ended.ended_at, found.since)
        self.assertEqual('11.8.6', found.version.number)

    def test_one_whose_newest_upgrade_may_have_rebuilt_it_is_unknown_until_that_is_mended(self):
        self.db.set_image(OLD)
        held = self.repos.upgrades.claim(self.db.begin().id, 'me', 60)
        held = self.repos.upgrades.save(held.evolve(rebuild_attempt=1))
        self.assertEqual((1, 0, 1), self.figures()[database.PROJECT])
        self.repos.upgrades.end(held, UpgradeState.FAILED, cause='x', error_code='Y')
        self.assertEqual((1, 0, 1), self.figures()[database.PROJECT])
        self.assertIsNone(self.drift.booted_image(database.INSTANCE))
        again = self.repos.upgrades.claim(self.repos.upgrades.retry(held.id).id, 'me', 60)
        self.repos.upgrades.end(again, UpgradeState.COMPLETED)
        self.assertEqual((1, 0, 0), self.figures()[database.PROJECT])
        self.assertEqual(NEW, self.drift.booted_image(database.INSTANCE))

    def test_a_failed_upgrade_that_a_later_one_has_followed_counts_no_more(self):
        self.db.set_image(OLD)
        held = self.repos.upgrades.claim(self.db.begin().id, 'me', 60)
        held = self.repos.upgrades.save(held.evolve(rebuild_attempt=1))
        self.repos.upgrades.end(held, UpgradeState.FAILED, cause='x', error_code='Y')
        self.db.update_instance(task_id=1)
        later = self.repos.upgrades.claim(self.db.begin().id, 'me', 60)
        self.repos.upgrades.end(later, UpgradeState.COMPLETED)
        self.assertEqual((1, 0, 0), self.figures()[database.PROJECT])

    def test_deleted_instances_do_not_count(self):
        self.db.update_instance(deleted=True)
        self.assertEqual([database.OTHER_PROJECT], list(self.figures()))


class TestPages(DriftTestCase):
    def test_figures_come_in_pages_by_project(self):
        page = self.drift.projects(None, limit=1)
        self.assertEqual([database.PROJECT], [one.project_id for one in page.items])
        rest = self.drift.projects(None, limit=1, marker=page.next_marker)
        self.assertEqual([database.OTHER_PROJECT], [one.project_id for one in rest.items])
        self.assertIsNone(rest.next_marker)

    def test_every_instance_is_counted_once_whatever_the_sizes_of_batches(self):
        # neither a multiple nor a part of the lists of ids
        self.drift = drift.Drift(self.db.database, rows=700)
        for number in range(1401):
            self.db.add_instance(project_id=f'p{number % 3}', status=None)
        found = self.figures()
        self.assertEqual(1403, sum(counts[0] for counts in found.values()))
        self.assertEqual(5, len(found))
        pages, marker = [], None
        while True:
            page = self.drift.instances(None, 'p0', limit=100, marker=marker)
            pages += [one.instance_id for one in page.items]
            marker = page.next_marker
            if marker is None:
                break
        self.assertEqual(found['p0'][0], len(pages))
        self.assertEqual(sorted(set(pages)), pages)

    def test_a_project_that_is_not_there_has_no_figures(self):
        self.assertEqual({}, self.figures(project_id='none'))
        self.assertEqual([], self.listed(project_id='none'))


class TestTags(DriftTestCase):
    """Versions that name image tags and no image."""

    def setUp(self):
        super().setUp()
        self.db.update_version(database.MARIADB_10_11, image_id='', image_tags='trove,mariadb')
        self.db.set_image(OLD)

    def test_the_newest_image_with_the_tags_is_the_current_one(self):
        glance = Glance(trove=OLD)
        self.assertEqual((1, 0, 0), self.figures(glance)[database.PROJECT])
        self.assertEqual([('trove', 'mariadb')], glance.asked)
        self.assertEqual((1, 1, 0), self.figures(Glance(trove='newer'))[database.PROJECT])

    def test_without_glance_and_without_such_an_image_it_is_unknown(self):
        self.assertEqual((1, 0, 1), self.figures()[database.PROJECT])
        self.assertEqual((1, 0, 1), self.figures(Glance())[database.PROJECT])

    def test_a_glance_that_is_away_is_asked_once(self):
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        self.db.update_version(database.MARIADB_11_8, image_id=None, image_tags='other')
        glance = Glance(trove=OLD)
        glance.is_away = True
        self.assertEqual((1, 0, 1), self.figures(glance)[database.PROJECT])
        self.assertEqual(1, len(glance.asked))
        self.assertIn('count as unknown', log.output)


class TestLearning(DriftTestCase):
    def test_images_that_nova_tells_are_kept_where_none_is_known(self):
        other = self.repos.instances.get(database.OTHER_INSTANCE).server_id
        self.db.set_image('known', database.OTHER_INSTANCE)
        told = {database.SERVER: 'told', other: 'told', 'of-no-instance': 'told'}
        self.assertEqual(1, self.drift.learn(told))
        self.assertEqual('told', self.repos.guests.image(database.INSTANCE))
        self.assertEqual('known', self.repos.guests.image(database.OTHER_INSTANCE))
        self.assertEqual(0, self.drift.learn(told))

    def test_an_image_that_an_upgrade_may_take_back_is_not_kept(self):
        held = self.repos.upgrades.claim(self.db.begin().id, 'me', 60)
        held = self.repos.upgrades.save(held.evolve(rebuild_attempt=1, former_image_id='former'))
        self.assertEqual(0, self.drift.learn({database.SERVER: NEW}))
        self.assertIsNone(self.repos.guests.image(database.INSTANCE))
        self.repos.upgrades.end(held, UpgradeState.FAILED, cause='x', error_code='Y')
        self.assertEqual(0, self.drift.learn({database.SERVER: NEW}))

    def test_a_rollback_tells_the_image_that_it_has_brought_back(self):
        for known in (None, NEW):
            with self.subTest(known=known):
                if known is not None:
                    self.db.set_image(known)
                held = self.repos.upgrades.claim(self.db.begin().id, 'me', 60)
                held = held.evolve(rebuild_attempt=1, former_image_id='former')
                self.repos.upgrades.end(self.repos.upgrades.save(held), UpgradeState.ROLLED_BACK)
                self.assertEqual([(database.INSTANCE, 'former', OLD)], self.listed())

    def test_a_rollback_to_an_image_that_was_not_told_leaves_what_is_known(self):
        self.db.set_image(OLD)
        held = self.repos.upgrades.claim(self.db.begin().id, 'me', 60)
        self.repos.upgrades.end(held, UpgradeState.ROLLED_BACK)
        self.assertEqual(OLD, self.repos.guests.image(database.INSTANCE))

    def test_what_a_guest_has_told_besides_stays(self):
        self.db.insert(
            models.upgrade_guests, instance_id=database.INSTANCE, boot_id='b', agent_version='1'
        )
        self.assertEqual(1, self.drift.learn({database.SERVER: 'told'}))
        self.assertEqual('told', self.repos.guests.image(database.INSTANCE))
        [row] = self.db.rows(models.upgrade_guests)
        self.assertEqual(('b', '1'), (row.boot_id, row.agent_version))


class TestStanding(base.TestCase):
    @given(st.none() | st.sampled_from('ab'), st.none() | st.sampled_from('ab'), st.booleans())
    def test_it_is_known_only_where_both_images_are(self, booted, current, is_version_known):
        found = CurrentImages({}, {'v': current}).standing('v' if is_version_known else 'w', booted)
        if booted is None or current is None or not is_version_known:
            self.assertIs(Standing.UNKNOWN, found)
        else:
            self.assertIs(Standing.CURRENT if booted == current else Standing.DRIFTED, found)
