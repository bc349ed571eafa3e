# SPDX-License-Identifier: Apache-2.0
"""The operator's choices as a guest's driver takes them."""

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.taskmanager import guest_options
from trove_upgrade.tests.unit import base


class TestGuestOptions(base.TestCase):
    def setUp(self):
        super().setUp()
        self.conf = cfg.ConfigOpts()
        our_conf.register_opts(self.conf)
        self.conf([])

    def sent(self, **changes):
        for name, value in changes.items():
            self.conf.set_override(name, value, our_conf.GROUP)
        return guest_options.from_conf(self.conf[our_conf.GROUP])

    def test_values_are_those_of_the_configuration_in_the_driver_s_units(self):
        self.assertEqual(
            GuestOptions(
                fingerprint_seconds=5.0,
                lock_seconds=7.0,
                shutdown_seconds=9.0,
                allow_replication=True,
                keep_changed_defaults=True,
                min_free_bytes=3 << 20,
                carry_image=True,
            ),
            self.sent(
                fingerprint_budget_seconds=5.0,
                database_lock_seconds=7.0,
                database_shutdown_seconds=9.0,
                allow_replication=True,
                keep_changed_defaults=True,
                database_min_free_mb=3,
                carry_container_image=True,
            ),
        )

    def test_an_operator_who_chooses_nothing_takes_no_risk(self):
        sent = self.sent()
        self.assertFalse(sent.allow_replication)
        self.assertEqual(0, sent.min_free_bytes)

    def test_a_container_image_is_carried_unless_the_operator_says_no(self):
        self.assertTrue(self.sent().carry_image)
        self.assertFalse(self.sent(carry_container_image=False).carry_image)

    def test_nothing_is_sent_of_what_was_not_chosen(self):
        self.assertEqual({}, GuestOptions().to_wire())
        self.assertEqual(
            {'fingerprint_seconds': 0.0}, GuestOptions(fingerprint_seconds=0.0).to_wire()
        )

    def test_options_of_a_newer_taskmanager_are_dropped(self):
        chosen = GuestOptions(rollback=True, lock_seconds=7.0)
        self.assertEqual(chosen, GuestOptions.from_wire({**chosen.to_wire(), 'novelty': 1}))
