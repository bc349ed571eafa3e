# SPDX-License-Identifier: Apache-2.0
"""What fails with its data untouched goes back to the former image, if the operator chose so, or
asks for it.
"""

import dataclasses

from trove_upgrade.db import models
from trove_upgrade.domain import compute, exceptions, guests, holds, instances, states
from trove_upgrade.domain.cloud_init import documents
from trove_upgrade.domain.guests import JobState
from trove_upgrade.taskmanager.healing import Healer, needs_healing
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.guestagent.fakes import Killed, Tripwire
from trove_upgrade.tests.unit.taskmanager import fakes

S, Step = states.UpgradeState, states.Step
BACK_BOOT = 'boot-back'
IMAGE_NEW, IMAGE_OLD = f'sha256:{"b" * 64}', f'sha256:{"e" * 64}'


class Cloud(fakes.FakeNova):
    """A Nova where each image spawns, or does not; guests of those that spawn and have an agent
    report.
    """

    def __init__(self):
        super().__init__()
        self.broken = {}  # image id -> fault
        self.silent = set()  # image ids without an agent

    def rebuild(self, server, image_id, marker, user_data, *, ends_at=None):
        super().rebuild(server, image_id, marker, user_data, ends_at=ends_at)
        fault = self.broken.get(image_id)
        self.change(status='ERROR' if fault else 'ACTIVE', fault=fault)

    def rebuild_result(self, server):
        return (
            compute.RebuildResult.ERROR
            if server.status == 'ERROR'
            else compute.RebuildResult.SUCCESS
        )


class RollbackCase(base.TestCase):
    rolls_back = True

    def setUp(self):
        super().setUp()
        self.new_stage()

    def new_stage(self):
        self.stage = self.useFixture(fakes.Stage())
        self.repos, self.guest = self.stage.repos, self.stage.guest
        self.nova = self.stage.nova = Cloud()
        self.stage.preflight = dataclasses.replace(self.stage.preflight, nova=self.nova)
        self.stage.precheck = dataclasses.replace(
            self.stage.precheck, preflight=self.stage.preflight
        )
        self.stage.rebuild = dataclasses.replace(self.stage.rebuild, nova=self.nova)
        self.back_to_former()

    def back_to_former(self):
        self.guest.says(
            'verify_upgrade',
            fakes.answer(
                boot_id=BACK_BOOT, result={'server_version': '10.11.14-MariaDB-0+deb12u2'}
            ),
        )
        self.guest.says(
            'post_upgrade', fakes.answer(boot_id=BACK_BOOT, server_started_on_data=False)
        )

    def runner(self, wire=None):
        runner = dataclasses.replace(self.stage.runner(), rolls_back=self.rolls_back)
        if wire is not None:
            steps = {**runner.steps}
            held = wire.wrap(self.repos.held_upgrades, 'announce_post', 'tell')
            upgrades = wire.wrap(runner.upgrades, 'claim', 'save', 'end')
            nova = wire.wrap(self.nova, 'rebuild')
            steps[Step.REBUILD] = dataclasses.replace(steps[Step.REBUILD], nova=nova, held=held)
            for step in (Step.RESTORE, Step.VERIFY):
                agent = wire.wrap(steps[step].agent, 'post_upgrade', 'verify_upgrade')
                steps[step] = dataclasses.replace(steps[step], agent=agent)
            endings = dataclasses.replace(runner.endings, held=held, upgrades=upgrades)
            runner = dataclasses.replace(runner, upgrades=upgrades, endings=endings, steps=steps)
        return runner

    def go(self, upgrade_id, wire=None):
        """To the end, with whatever takes over from a taskmanager that dies; what waits for a
        silent guest runs out of time.
        """
        for _ in range(30):
            try:
                self.runner(wire).run(upgrade_id)
            except Killed:
                self.stage.db.pass_time(1000)
            row = self.repos.upgrades.get(upgrade_id)
            if row.ended_at is not None:
                return row
            if row.step is Step.BOOT and self.nova.state.marker == row.marker:
                if self.nova.state.image_id in self.nova.silent:
                    self.stage.clock.pass_time(101)
                else:
                    self.stage.heartbeat(
                        row, boot_id=BACK_BOOT if row.is_rolling_back else fakes.NEW_BOOT
                    )
        raise AssertionError(f'it does not end: {row}')

    def begin(self, wire=None):
        return self.go(self.stage.db.begin().id, wire)

    def rebuilds(self):
        return [(call[1], call[2].partition(':')[2]) for call in self.nova.rebuilds]

    def events(self):
        return sorted(
            (row.attempt, row.position, row.kind)
            for row in self.stage.db.rows(models.upgrade_outbox)
        )

    def assert_rolled_back(self, row, code):
        self.assertEqual((S.ROLLED_BACK, code), (row.state, row.error_code), row)
        self.assertEqual(instances.Task.NONE, self.repos.instances.task(database.INSTANCE))
        found = self.repos.instances.get(database.INSTANCE)
        self.assertEqual(
            (database.MARIADB_10_11, 'healthy'), (found.version.id, found.service_status)
        )


class TestRollsBack(RollbackCase):
    def test_a_rebuild_that_failed_goes_back_and_ends_with_its_own_cause(self):
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        row = self.begin()
        self.assert_rolled_back(row, 'REBUILD_FAILED')
        self.assertIn('no space left', row.cause)
        self.assertEqual([(database.IMAGE_11_8, '1'), (database.IMAGE_10_11, '2')], self.rebuilds())
        self.assertEqual(
            [
                (Step.REBUILD, 'failed'),
                (Step.REBUILD, 'done'),
                (Step.BOOT, 'done'),
                (Step.RESTORE, 'done'),
                (Step.VERIFY, 'done'),
            ],
            [(run.step, run.outcome) for run in row.steps][2:],
        )
        self.assertEqual(
            [(1, 0, 'start'), (1, 50, 'open'), (1, 100, 'error'), (1, 200, 'finish')], self.events()
        )

    def test_the_guest_is_told_that_it_is_a_rollback_to_the_former_version(self):
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        self.begin()
        for method in ('post_upgrade', 'verify_upgrade'):
            call = self.guest.asked(method)[-1]
            self.assertEqual(
                (True, '10.11.14', 'stash-s1'),
                (
                    call.options.rollback,
                    call.target.server_version,
                    call.upgrade_info['stash'],
                ),
            )
        self.assertTrue(all(not call.options.rollback for call in self.guest.asked('pre_upgrade')))

    def told_of_images(self, *, of_former):
        """What both rebuilds tell; `of_former` is the id that is recorded with the version."""
        info = {
            'stash': 'stash-s1',
            'image_archive': {'sha256': 'a' * 64, 'size_bytes': 7, 'image_id': IMAGE_NEW},
            'former_image_archive': {'sha256': 'c' * 64, 'size_bytes': 8, 'image_id': IMAGE_OLD},
        }
        versions = self.stage.repos.datastores
        versions.save_target_facts(database.MARIADB_11_8, {'container_image_id': IMAGE_NEW})
        versions.save_target_facts(database.MARIADB_10_11, {'container_image_id': of_former})
        self.guest.says('pre_upgrade', fakes.answer(result={'upgrade_info': info}))
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        self.begin()
        return (str(documents.files(call[3])) for call in self.nova.rebuilds)

    def test_each_way_is_told_of_the_container_image_on_the_volume_that_it_is_to_run(self):
        forward, back = self.told_of_images(of_former=IMAGE_OLD)
        self.assertIn(f'upgrade_image_archive = {"a" * 64} 7 {IMAGE_NEW}', forward)
        self.assertIn(f'upgrade_image_archive = {"c" * 64} 8 {IMAGE_OLD}', back)
        [call, *_] = self.guest.asked('pre_upgrade')
        self.assertEqual(IMAGE_OLD, call.options.former_image_id)

    def test_the_way_back_is_told_of_no_image_that_the_former_version_does_not_name(self):
        for recorded in ('', f'sha256:{"d" * 64}'):
            self.new_stage()
            forward, back = self.told_of_images(of_former=recorded)
            self.assertIn('upgrade_image_archive', forward)
            self.assertNotIn('upgrade_image_archive', back)

    def test_a_boot_that_never_comes_goes_back(self):
        self.nova.silent.add(database.IMAGE_11_8)
        self.assert_rolled_back(self.begin(), 'BOOT_TIMEOUT')
        self.assertEqual([(database.IMAGE_11_8, '1'), (database.IMAGE_10_11, '2')], self.rebuilds())

    def test_a_restore_that_says_that_no_server_was_started_goes_back(self):
        self.guest.says(
            'post_upgrade',
            *[
                fakes.answer(
                    JobState.FAILED,
                    boot_id=fakes.NEW_BOOT,
                    code='CONFIGURATION_REFUSED',
                    message='unknown variable',
                    server_started_on_data=False,
                )
            ]
            * 2,
            fakes.answer(boot_id=BACK_BOOT, server_started_on_data=False),
        )
        row = self.begin()
        self.assert_rolled_back(row, 'CONFIGURATION_REFUSED')
        self.assertEqual('unknown variable', row.cause)

    def test_a_lost_answer_of_a_rebuild_that_then_failed_goes_back_too(self):
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        self.nova.answers = [fakes.lost_answer(accepted=True)]
        upgrade_id = self.stage.db.begin().id
        self.runner().run(upgrade_id)
        self.nova.change(status='ERROR', fault='no space left')
        self.assert_rolled_back(self.go(upgrade_id), 'REBUILD_FAILED')

    def test_a_late_agent_of_the_new_image_is_not_taken_for_the_former_one(self):
        self.nova.silent.add(database.IMAGE_11_8)
        row = self.stage.until_boot()
        self.stage.clock.pass_time(101)
        self.runner().run(row.id)
        self.stage.heartbeat(row, boot_id=fakes.NEW_BOOT)
        self.runner().run(row.id)
        back = self.repos.upgrades.get(row.id)
        self.assertEqual((Step.BOOT, []), (back.step, self.guest.asked('post_upgrade')))

    def test_every_taskmanager_that_dies_on_the_way_back_is_followed_by_one_that_goes_on(self):
        """After whatever it writes or asks, which is before the next one; one rebuild each way all
        the same.
        """
        counting = Tripwire()
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        self.begin(counting)
        first = 12  # before that it is on its way forward
        self.assertGreater(counting.count, 25)
        for kill_at, after in (
            (first, False),
            *((number, True) for number in range(first, counting.count + 1)),
        ):
            with self.subTest(kill_at=kill_at, after=after):
                self.new_stage()
                self.nova.broken[database.IMAGE_11_8] = 'no space left'
                self.assert_rolled_back(self.begin(Tripwire(kill_at, after)), 'REBUILD_FAILED')
                self.assertEqual(
                    [(database.IMAGE_11_8, '1'), (database.IMAGE_10_11, '2')], self.rebuilds()
                )
                self.assertEqual(
                    [(1, 0, 'start'), (1, 50, 'open'), (1, 100, 'error'), (1, 200, 'finish')],
                    self.events(),
                )

    def test_a_guest_that_was_rebuilt_once_more_afterwards_is_healed_on_the_former_image(self):
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        row = self.begin()
        self.stage.heartbeat(row, boot_id='boot-again')
        self.assertTrue(needs_healing(row, self.repos.guests.heartbeat(row.instance_id)))
        Healer(
            upgrades=self.repos.upgrades,
            guests=self.repos.guests,
            agent=self.guest,
            calls=self.stage.calls,
            timeout_seconds=100,
        ).run(row.id)
        self.assertTrue(self.guest.asked('post_upgrade')[-1].options.rollback)


class TestDoesNotRollBack(RollbackCase):
    def fails_at_restore(self, **answer):
        self.guest.says(
            'post_upgrade',
            fakes.answer(JobState.FAILED, **{'boot_id': fakes.NEW_BOOT, 'code': 'X', **answer}),
        )
        row = self.begin()
        self.assertEqual((S.FAILED, False), (row.state, row.is_rolling_back))
        self.assertEqual(1, len(self.nova.rebuilds))
        return row

    def test_a_server_that_was_started_on_the_data_is_past_the_point_of_no_return(self):
        self.fails_at_restore(server_started_on_data=True)

    def test_a_guest_that_cannot_tell_counts_as_past_it(self):
        row = self.fails_at_restore(server_started_on_data=None)
        error = self.assertRaises(exceptions.RollbackRefused, self.repos.upgrades.rollback, row.id)
        self.assertIn('may have been started', error.message)

    def test_a_guest_that_never_answered_counts_as_past_it(self):
        self.guest.says('post_upgrade', fakes.silent('post_upgrade'))
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        self.runner().run(row.id)
        self.stage.clock.pass_time(101)
        self.assertEqual((S.FAILED, 'RESTORE_TIMEOUT'), self.ended(row))

    def test_a_job_that_still_runs_says_nothing_for_good(self):
        self.guest.says(
            'post_upgrade',
            fakes.answer(JobState.RUNNING, boot_id=fakes.NEW_BOOT, server_started_on_data=False),
        )
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        self.runner().run(row.id)
        self.stage.clock.pass_time(101)
        self.assertEqual((S.FAILED, 'RESTORE_TIMEOUT'), self.ended(row))

    def ended(self, row):
        row = self.go(row.id)
        self.assertEqual(1, len(self.nova.rebuilds))
        return row.state, row.error_code

    def test_a_job_that_runs_again_takes_back_what_was_said_before(self):
        refused = fakes.answer(
            JobState.FAILED, boot_id=fakes.NEW_BOOT, code='X', server_started_on_data=False
        )
        self.guest.says(
            'post_upgrade', refused, fakes.answer(JobState.RUNNING, server_started_on_data=True)
        )
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        self.runner().run(row.id)
        self.assertTrue(self.repos.upgrades.get(row.id).no_return)

    def test_a_wrong_server_found_by_verify_has_been_started(self):
        self.guest.says(
            'post_upgrade', fakes.answer(boot_id=fakes.NEW_BOOT, server_started_on_data=True)
        )
        row = self.begin()
        self.assertEqual(
            (S.FAILED, 'SERVER_VERSION_DIFFERS', 1),
            (row.state, row.error_code, len(self.nova.rebuilds)),
        )

    def test_what_nova_refused_is_undone_and_not_rolled_back(self):
        self.nova.answers = [exceptions.RebuildRefused(server_id=database.SERVER, found='quota')]
        row = self.begin()
        self.assertEqual((S.ABORTED, 1), (row.state, len(self.guest.asked('abort_upgrade'))))

    def test_a_root_on_a_volume_has_no_former_image_to_go_back_to(self):
        self.nova.change(image_id=None)
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        row = self.begin()
        self.assertEqual((S.FAILED, 1), (row.state, len(self.nova.rebuilds)))


class TestRollbackFails(RollbackCase):
    def test_a_second_rebuild_that_fails_keeps_both_causes(self):
        self.nova.broken = {database.IMAGE_11_8: 'no space left', database.IMAGE_10_11: 'no host'}
        row = self.begin()
        self.assertEqual(
            (S.FAILED, 'REBUILD_FAILED', 2), (row.state, row.error_code, len(self.nova.rebuilds))
        )
        self.assertIn('no host', row.cause)
        self.assertIn('no space left', row.cause)
        self.assertEqual(
            instances.Task.UPGRADING_ERROR, self.repos.instances.task(database.INSTANCE)
        )

    def test_a_former_image_that_nova_refuses_fails_and_leaves_the_way_forward_open(self):
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        upgrade_id = self.stage.db.begin().id
        self.nova.answers = [
            None,
            exceptions.RebuildRefused(server_id=database.SERVER, found='no such image'),
        ]
        row = self.go(upgrade_id)
        self.assertEqual((S.FAILED, 'REBUILD_REFUSED'), (row.state, row.error_code))
        self.assertEqual([], self.guest.asked('abort_upgrade'))

        self.nova.broken = {}
        self.guest.says(
            'post_upgrade', fakes.answer(boot_id=fakes.NEW_BOOT, server_started_on_data=True)
        )
        self.guest.says(
            'verify_upgrade',
            fakes.answer(boot_id=fakes.NEW_BOOT, result={'server_version': '11.8.6-MariaDB'}),
        )
        self.repos.upgrades.retry(upgrade_id)
        row = self.go(upgrade_id)
        self.assertEqual(S.COMPLETED, row.state, row)
        self.assertEqual((database.IMAGE_11_8, '3'), self.rebuilds()[-1])

    def test_a_former_image_that_does_not_boot_fails_with_both_causes_and_the_rollback_can_be_tried_again(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        self.nova.silent.add(database.IMAGE_10_11)
        row = self.begin()
        self.assertEqual((S.FAILED, 'BOOT_TIMEOUT'), (row.state, row.error_code))
        self.assertIn('no space left', row.cause)

        self.nova.silent.clear()
        self.repos.upgrades.rollback(row.id)
        row = self.go(row.id)
        self.assert_rolled_back(row, 'REBUILD_FAILED')
        self.assertEqual(
            [(database.IMAGE_11_8, '1'), (database.IMAGE_10_11, '2'), (database.IMAGE_10_11, '3')],
            self.rebuilds(),
        )

    def test_a_guest_that_finds_the_mark_refuses_and_the_retry_goes_forward(self):
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        self.guest.says(
            'post_upgrade',
            fakes.answer(
                JobState.FAILED,
                boot_id=BACK_BOOT,
                code='SERVER_STARTED_ON_DATA',
                message='there is a mark',
                server_started_on_data=True,
            ),
        )
        row = self.begin()
        self.assertEqual((S.FAILED, 'SERVER_STARTED_ON_DATA'), (row.state, row.error_code))
        self.assertIn('no space left', row.cause)
        self.assertRaises(exceptions.RollbackRefused, self.repos.upgrades.rollback, row.id)

        self.nova.broken = {}
        self.guest.says(
            'post_upgrade', fakes.answer(boot_id=fakes.NEW_BOOT, server_started_on_data=True)
        )
        self.guest.says(
            'verify_upgrade',
            fakes.answer(boot_id=fakes.NEW_BOOT, result={'server_version': '11.8.6-MariaDB'}),
        )
        self.repos.upgrades.retry(row.id)
        row = self.go(row.id)
        self.assertEqual((S.COMPLETED, 2), (row.state, row.attempt))
        self.assertFalse(self.guest.asked('post_upgrade')[-1].options.rollback)
        self.assertEqual(
            [database.IMAGE_11_8, database.IMAGE_10_11, database.IMAGE_11_8],
            [image for image, _ in self.rebuilds()],
        )

    def test_a_former_server_that_may_have_served_is_not_taken_forward_again(self):
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        self.guest.says(
            'verify_upgrade',
            fakes.answer(JobState.FAILED, code='WRITE_PROBE_FAILED', message='disk full'),
        )
        row = self.begin()
        self.assertEqual((S.FAILED, 'WRITE_PROBE_FAILED'), (row.state, row.error_code))
        error = self.assertRaises(exceptions.RetryRefused, self.repos.upgrades.retry, row.id)
        self.assertEqual('ROLLBACK_UNFINISHED', error.code)

        self.back_to_former()
        self.repos.upgrades.rollback(row.id)
        row = self.go(row.id)
        self.assert_rolled_back(row, 'REBUILD_FAILED')
        self.assertEqual((2, 2), (row.attempt, len(self.nova.rebuilds)))
        self.assertIn('no space left', row.cause)

    def test_another_version_than_the_former_one_fails(self):
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        self.guest.says(
            'verify_upgrade',
            fakes.answer(boot_id=BACK_BOOT, result={'server_version': '11.8.6-MariaDB'}),
        )
        row = self.begin()
        self.assertEqual((S.FAILED, 'SERVER_VERSION_DIFFERS'), (row.state, row.error_code))

    def test_an_instance_that_somebody_has_taken_is_not_rebuilt_again(self):
        self.nova.silent.add(database.IMAGE_11_8)
        row = self.stage.until_boot()
        self.stage.db.update_instance(task_id=int(instances.Task.RESIZING))
        self.stage.clock.pass_time(101)
        row = self.go(row.id)
        self.assertEqual(
            (S.FAILED, 'INSTANCE_CHANGED', 1), (row.state, row.error_code, len(self.nova.rebuilds))
        )


class TestChoiceOfTheUser(RollbackCase):
    """The choice of the user for this upgrade holds, whatever the operator's option is."""

    def fails(self, on_failure):
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        begun = self.stage.db.begin(choices=holds.Choices(on_failure=on_failure))
        return self.go(begun.id)

    def test_one_goes_back_where_the_option_is_off(self):
        self.rolls_back = False
        self.assert_rolled_back(self.fails(holds.OnFailure.ROLLBACK), 'REBUILD_FAILED')

    def test_one_ends_where_the_option_is_on(self):
        row = self.fails(holds.OnFailure.ERROR)
        self.assertEqual((S.FAILED, 'REBUILD_FAILED'), (row.state, row.error_code))
        self.assertFalse(row.is_rolling_back)


class TestOptionIsOff(RollbackCase):
    rolls_back = False

    def test_all_is_as_before_until_an_operator_says_otherwise(self):
        self.nova.broken[database.IMAGE_11_8] = 'no space left'
        row = self.begin()
        self.assertEqual(
            (S.FAILED, 'REBUILD_FAILED', 1), (row.state, row.error_code, len(self.nova.rebuilds))
        )
        self.assertFalse(row.is_rolling_back)
        self.assertEqual(
            instances.Task.UPGRADING_ERROR, self.repos.instances.task(database.INSTANCE)
        )

        self.repos.upgrades.rollback(row.id)
        row = self.go(row.id)
        self.assert_rolled_back(row, 'REBUILD_FAILED')
        self.assertEqual(2, row.attempt)
        self.assertIn('no space left', row.cause)
        self.assertEqual([(database.IMAGE_11_8, '1'), (database.IMAGE_10_11, '2')], self.rebuilds())
        self.assertEqual(
            [
                (1, 0, 'start'),
                (1, 100, 'error'),
                (2, 0, 'start'),
                (2, 50, 'open'),
                (2, 100, 'error'),
                (2, 200, 'finish'),
            ],
            self.events(),
        )

    def test_a_restore_that_touched_nothing_can_be_rolled_back_by_an_operator(self):
        self.guest.says(
            'post_upgrade',
            fakes.answer(
                JobState.FAILED, boot_id=fakes.NEW_BOOT, code='X', server_started_on_data=False
            ),
        )
        row = self.begin()
        self.assertEqual((S.FAILED, 'X'), (row.state, row.error_code))
        self.back_to_former()
        self.repos.upgrades.rollback(row.id)
        self.assert_rolled_back(self.go(row.id), 'X')

    def test_a_retry_that_was_sent_and_never_answered_closes_the_way_back(self):
        self.guest.says(
            'post_upgrade',
            fakes.answer(
                JobState.FAILED, boot_id=fakes.NEW_BOOT, code='X', server_started_on_data=False
            ),
        )
        row = self.begin()
        self.guest.says('post_upgrade', fakes.silent('post_upgrade'))
        self.repos.upgrades.retry(row.id)
        self.runner().run(row.id)
        self.stage.clock.pass_time(101)
        row = self.go(row.id)
        self.assertEqual('RESTORE_TIMEOUT', row.error_code)
        self.assertRaises(exceptions.RollbackRefused, self.repos.upgrades.rollback, row.id)

    def test_a_guest_of_an_older_release_that_says_nothing_counts_as_past_it(self):
        wire = fakes.answer(JobState.FAILED).to_wire()
        del wire['server_started_on_data']
        self.assertIsNone(guests.GuestAnswer.from_wire(wire).server_started_on_data)
