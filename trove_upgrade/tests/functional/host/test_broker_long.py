# SPDX-License-Identifier: Apache-2.0
"""Policies and lines of the pages at a real broker, and quorum queues, which take longer."""

import functools

from trove_upgrade.rpc import transport
from trove_upgrade.tests.functional.host.broker_case import BrokerCase


class TestQueues(BrokerCase):
    def test_unread_messages_vanish_from_a_quorum_queue(self):
        self.assert_unread_messages_vanish(self.conf(quorum=True, taskmanager_message_ttl=5))

    def test_a_message_without_an_end_holds_back_all_behind_it_in_a_quorum_queue(self):
        self.assert_held_back(self.conf(quorum=True, taskmanager_message_ttl=1))

    def test_the_policy_of_the_page_ends_a_message_that_has_no_end(self):
        self.set_policy('beside-trove.rst', '3600000', '1000')
        for quorum in (False, True):
            topic = f'trove-upgrade-mixed-{quorum}'
            conf = self.conf(quorum=quorum, taskmanager_topic=topic, rpc_exchange=topic)
            self.declare_as_before(conf)
            self.send_as_before(conf)
            self.send(conf, 3)
            self.wait_until(functools.partial(self.is_empty, topic), 'the end of all')

    def test_the_policy_of_an_installation_alone_ends_queues_of_guests_too(self):
        conf = self.conf(taskmanager_topic='guestagent.gone', rpc_exchange='e-alone')
        self.declare_as_before(conf)
        self.assertIn('guestagent.gone', self.queues_at_the_broker())
        self.set_policy('install.rst', '86400000', '1000')
        self.wait_until(lambda: 'guestagent.gone' not in self.queues_at_the_broker(), 'its end')

    def test_a_quorum_queue_of_the_release_before_is_taken_over_with_what_waits_in_it(self):
        self.assert_heard(self.conf(quorum=True))

    def test_the_policy_of_the_page_ends_queues_that_were_made_before_it(self):
        """Both kinds; sooner than the page has it."""
        for quorum in (False, True):
            self.declare_as_before(
                self.conf(
                    quorum=quorum,
                    taskmanager_topic=f'trove-upgrade-{quorum}',
                    rpc_exchange=f'e-{quorum}',
                )
            )
        self.assertEqual(
            4,
            len(
                [name for name in self.queues_at_the_broker() if name.startswith('trove-upgrade-')]
            ),
        )
        self.set_policy('beside-trove.rst', '86400000', '1000')
        self.wait_until(
            lambda: (
                not [
                    name
                    for name in self.queues_at_the_broker()
                    if name.startswith('trove-upgrade-')
                ]
            ),
            'the end of all',
        )

    def test_the_line_of_the_page_deletes_what_is_left_and_not_what_is_listened_on(self):
        gone = self.conf(taskmanager_topic='trove-upgrade-gone', rpc_exchange='e-gone')
        self.declare_as_before(gone)
        self.send(gone, 3)
        used = self.conf(taskmanager_topic='trove-upgrade-used', rpc_exchange='e-used')
        server, _ = self.listen(used, transport.get_transport(used))
        self.addCleanup(self.end, server, used)
        foreign = self.conf()
        self.declare_as_before(foreign)
        self.broker.shell(self.page_line('remove.rst', 'xargs'))
        left = self.queues_at_the_broker()
        self.assertIn('trove-upgrade-used', left)
        self.assertIn(self.id(), left)
        self.assertNotIn('trove-upgrade-gone', left)
