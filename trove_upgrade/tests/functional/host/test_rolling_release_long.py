# SPDX-License-Identifier: Apache-2.0
"""From release borealis to this one while both run: borealis's own code as processes beside this
release's.

One real database, one real broker.  Nova is a stand-in that keeps directories; each guest's agent
is a process with a real RPC server.
"""

from trove_upgrade.sealing import keys
from trove_upgrade.tests.functional.rolling import world

STEPS = ('precheck', 'quiesce', 'rebuild', 'boot', 'restore', 'verify')


class MixedReleasesTest(world.WorldCase):
    def begin_in_each_step(self):
        """An upgrade that is held in each step: step -> (server, upgrade)."""
        held = {}
        for number, step in enumerate(STEPS):
            image = (world.FORMER, world.FORMER_NEW_AGENT)[number % 2]
            server = self.create(image)
            server.hold(step)
            held[step] = (server, self.upgrade(server))
        for step, (_, upgrade_id) in held.items():
            self.wait_for_step(upgrade_id, step)
        return held

    def test_borealis_alone_upgrades_guests_of_either_release(self):
        servers = [self.create(image) for image in (world.FORMER, world.FORMER_NEW_AGENT)]
        self.start_borealis()
        for server in servers:
            self.assert_completes(self.upgrade(server))

    def test_rows_in_each_step_go_on_under_either_release_and_no_key_is_made(self):
        old = self.start_borealis()
        held = self.begin_in_each_step()
        heard = self.listen(*(server for server, _ in held.values()))
        self.assert_tool(0, 'db', 'expand')
        new = self.start_cygnus()
        for pausing, steps in ((old, STEPS[::2]), (new, STEPS[1::2])):
            self.pause(pausing)
            for step in steps:
                server, upgrade_id = held[step]
                server.let_go(step)
                self.assert_completes(upgrade_id)
            self.go_on(pausing)
        self.assertEqual([], self.keys())
        for server, _ in held.values():
            self.assertNotIn(world.cloud.KEY_FILE, server.rebuilds[-1])
            calls = {one.method for one in heard.heard(self.topic(server))}
            self.assertNotIn(world.SEALED, calls)
            self.assertIn('verify_upgrade', calls)
        self.assertNotIn(world.SEALED, [one.method for one in heard.heard(self.name)])


class Keys(world.WorldCase):
    """What the tests of keys have in common."""

    def mixed(self):
        """Taskmanagers of both releases on the expanded schema."""
        old = self.start_borealis()
        self.assert_tool(0, 'db', 'expand')
        return old, self.start_cygnus()

    def keyed_guest(self):
        """An upgraded guest under its key; only this release's taskmanager is there."""
        server = self.create(world.FORMER)
        self.assert_completes(self.upgrade(server))
        self.assert_keyed(server)
        return server

    def assert_keyed(self, server):
        (key,) = self.keys(server)
        self.assertIsNotNone(key['proven_at'])
        self.assertTrue(server.key_file.exists())
        self.assertEqual(0o600, server.key_file.stat().st_mode & 0o777)

    def assert_sealed_from_the_rebuild_on(self, heard, server):
        """Before it the former guest is called unsealed, and after it none of its methods is called
        by its name.
        """
        calls = [one.method for one in heard.heard(self.topic(server))]
        first = calls.index(world.SEALED)
        self.assertEqual({world.SEALED}, set(calls[first:]))
        self.assertEqual({'check_upgrade', 'pre_upgrade'}, set(calls[:first]))


class KeysBeginTest(Keys):
    """Borealis goes; from then on each rebuild brings its guest a key."""

    def test_the_next_rebuild_mints_once_borealis_has_stopped(self):
        old, _ = self.mixed()
        former = self.create(world.FORMER)
        self.assert_completes(self.upgrade(former))
        self.assertEqual([], self.keys())
        self.assertEqual(0, old.stop())
        server = self.create(world.FORMER)
        heard = self.listen(server)
        self.assert_completes(self.upgrade(server))
        self.assert_keyed(server)
        self.assert_sealed_from_the_rebuild_on(heard, server)
        self.assertEqual([], self.keys(former))

    def test_a_killed_borealis_holds_keys_back_until_an_operator_forgets_it(self):
        old, _ = self.mixed()
        old.kill()
        server = self.create(world.FORMER)
        self.assert_completes(self.upgrade(server))
        self.assertEqual([], self.keys())
        self.assertNotIn(world.cloud.KEY_FILE, server.rebuilds[-1])
        self.assertIn(world.BOREALIS_HOST, self.status())
        (left,) = [one for one in self.services() if one.release == 'borealis']
        self.assert_tool(0, 'service', 'forget', left.id, '--force')
        other = self.create(world.FORMER)
        self.assert_completes(self.upgrade(other))
        self.assert_keyed(other)

    def test_a_boot_ends_only_by_the_word_of_the_guest_that_has_the_key(self):
        old, _ = self.mixed()
        self.assertEqual(0, old.stop())
        server = self.create(world.FORMER)
        server.hold('boot')
        upgrade_id = self.upgrade(server)
        row = self.wait_for_step(upgrade_id, 'boot')
        self.assertIn(world.cloud.KEY_FILE, server.rebuilds[-1])
        self.say_unsealed(server, row.marker)
        self.wait_until(lambda: self.dropped(server), 'the count of what was dropped')
        self.assertEqual('boot', str(self.row(upgrade_id).step))
        server.let_go('boot')
        self.assert_completes(upgrade_id)

    def test_an_upgrade_that_was_rebuilt_without_a_key_ends_without_one(self):
        """Borealis goes while the new guest boots: what was rendered before is what counts."""
        old, _ = self.mixed()
        server = self.create(world.FORMER)
        server.hold('boot')
        upgrade_id = self.upgrade(server)
        self.wait_for_step(upgrade_id, 'boot')
        self.assertEqual(0, old.stop())
        server.let_go('boot')
        self.assert_completes(upgrade_id)
        self.assertEqual([], self.keys(server))
        self.assertFalse(server.key_file.exists())

    def test_the_contract_waits_for_borealis_and_comes_last(self):
        old, _ = self.mixed()
        refused = self.assert_tool(6, 'db', 'contract')
        self.assertIn(world.BOREALIS_HOST, refused)
        self.assertNotIn(world.CYGNUS_HOST, refused)
        self.assertEqual(0, old.stop())
        server = self.keyed_guest()
        self.assert_tool(0, 'db', 'contract')
        self.assert_tool(0, 'db', 'check')
        self.assert_completes(self.upgrade_again(server))


class BorealisByMistakeTest(Keys):
    """It is started again when guests have keys: it can do nothing with them, and damages
    nothing.
    """

    def test_a_keyed_guest_is_not_upgraded_beside_it_and_the_status_check_names_it(self):
        self.configure(precheck_timeout=30)
        self.assert_tool(0, 'db', 'expand')
        self.start_cygnus()
        server = self.keyed_guest()
        rebuilds = len(server.rebuilds)
        old = self.start_borealis()
        self.assertIn(world.BOREALIS_HOST, self.status())
        row = self.wait_for_end(self.upgrade_again(server))
        self.assertNotEqual('COMPLETED', str(row.state))
        self.assertEqual(rebuilds, len(server.rebuilds))
        self.assert_free(server)
        self.assertEqual(0, old.stop())
        self.assert_completes(self.upgrade_again(server))

    def test_a_keyed_guest_that_has_stopped_for_its_upgrade_waits_before_its_rebuild(self):
        """Until borealis is gone: another rebuild could not bring the guest a key."""
        self.assert_tool(0, 'db', 'expand')
        self.start_cygnus()
        server = self.keyed_guest()
        rebuilds = len(server.rebuilds)
        server.hold('quiesce')
        upgrade_id = self.upgrade_again(server)
        self.wait_for_step(upgrade_id, 'quiesce')
        old = self.start_borealis()
        self.pause(old)
        server.let_go('quiesce')
        self.wait_for_step(upgrade_id, 'rebuild')
        self.wait_for_turns(upgrade_id, 3)
        self.assertEqual('rebuild', str(self.row(upgrade_id).step))
        self.assertEqual(rebuilds, len(server.rebuilds))
        self.go_on(old)
        self.assertEqual(0, old.stop())
        self.assert_completes(upgrade_id)
        self.assert_keyed(server)

    def test_a_row_that_it_takes_waits_and_goes_on_under_this_release(self):
        """In each step in which a guest with a key is called."""
        self.assert_tool(0, 'db', 'expand')
        new = self.start_cygnus()
        for step in ('quiesce', 'restore', 'verify'):
            with self.subTest(step=step):
                server = self.keyed_guest()
                server.hold(step)
                upgrade_id = self.upgrade_again(server)
                self.wait_for_step(upgrade_id, step)
                self.pause(new)
                old = self.start_borealis()
                self.wait_for_turns(upgrade_id, 2)
                server.let_go(step)
                self.assertIsNone(self.row(upgrade_id).ended_at)
                self.assertEqual(0, old.stop())
                self.go_on(new)
                self.assert_completes(upgrade_id)
                self.assert_keyed(server)

    def test_a_guest_that_takes_sealed_calls_alone_fails_no_row_of_borealis(self):
        """It gives borealis no answer at all: any error that it could return would end the upgrade
        FAILED.
        """
        self.start_borealis()
        for step in ('quiesce', 'restore', 'verify'):
            with self.subTest(step=step):
                server = self.create(world.FORMER_NEW_AGENT)
                server.hold(step)
                upgrade_id = self.upgrade(server)
                self.wait_for_step(upgrade_id, step)
                server.give_key(keys.GuestKey.new(server.instance_id).to_file())
                self.wait_for_turns(upgrade_id, 4)

    def test_it_cannot_end_the_boot_of_a_guest_by_words_of_others(self):
        """It believes the forged word, which it records; the guest with the key is waited for all
        the same.
        """
        self.assert_tool(0, 'db', 'expand')
        new = self.start_cygnus()
        server = self.create(world.FORMER)
        server.hold('boot')
        upgrade_id = self.upgrade(server)
        row = self.wait_for_step(upgrade_id, 'boot')
        self.pause(new)
        old = self.start_borealis()
        for _ in range(4):  # the broker gives each other one to the taskmanager that is paused
            self.say_unsealed(server, row.marker)
        self.wait_until(
            lambda: self.repositories.guests.heartbeat(server.instance_id).marker == row.marker,
            'the forged word in its row',
        )
        self.assertEqual(0, old.stop())
        self.go_on(new)
        self.assertIsNone(self.row(upgrade_id).ended_at)
        server.let_go('boot')
        self.assert_completes(upgrade_id)
        self.assert_keyed(server)


class NewAgentsTest(Keys):
    """Guests of the new image that Trove has made: with a key that Trove's own gives, or with
    none.
    """

    TROVES_KEY = 'Y5RG1bXvr8cHBx0IQXcyrDsQUwSo6Ofa'

    def guests(self):
        more = f'instance_rpc_encr_key = {self.TROVES_KEY}'
        encrypted = world.as_trove_encrypts(self.TROVES_KEY)
        return (
            self.create(world.FORMER_NEW_AGENT),
            self.create(world.FORMER_NEW_AGENT, more, encrypted_key=encrypted),
        )

    def test_borealis_hears_and_calls_them(self):
        servers = self.guests()
        heard = self.listen(*servers)
        self.start_borealis()
        for server in servers:
            self.assert_completes(self.upgrade(server))
            self.assertNotIn(world.SEALED, {one.method for one in heard.heard(self.topic(server))})

    def test_borealis_still_calls_them_beside_this_release(self):
        """Whichever taskmanager has a row: no guest may be out of the reach of one of them."""
        servers = self.guests()
        old, new = self.mixed()
        for server in servers:
            self.wait_until(
                lambda of=server: self.repositories.guests.heartbeat(of.instance_id), 'its word'
            )
        self.pause(new)
        for server in servers:
            self.assert_completes(self.upgrade(server))
        self.go_on(new)
        self.assertTrue(old.running)
        self.assertEqual([], self.keys())

    def test_the_key_that_troves_own_gives_is_used_once_borealis_has_gone(self):
        _, derived = self.guests()
        old, _ = self.mixed()
        self.assertEqual(0, old.stop())
        self.wait_until(
            lambda: [key for key in self.keys(derived) if key['proven_at']], 'its proof'
        )
        heard = self.listen(derived)
        self.assert_completes(self.upgrade(derived))
        self.assertEqual({world.SEALED}, {one.method for one in heard.heard(self.topic(derived))})
        self.assert_keyed(derived)
