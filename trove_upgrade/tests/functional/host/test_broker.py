# SPDX-License-Identifier: Apache-2.0
"""Queues at a real broker that no taskmanager reads, made by this release or by the one before."""

from trove_upgrade.rpc import queues, transport
from trove_upgrade.tests.functional.host.broker_case import BrokerCase


class TestBroker(BrokerCase):
    def test_unread_messages_vanish(self):
        self.assert_unread_messages_vanish(self.conf(taskmanager_message_ttl=5))

    def test_a_message_without_an_end_holds_back_all_behind_it_until_the_queue_is_deleted(self):
        self.assert_held_back(self.conf(taskmanager_message_ttl=1))

    def test_a_queue_of_the_release_before_is_taken_over_with_what_waits_in_it(self):
        self.assert_heard(self.conf())

    def test_what_is_sent_after_the_queue_has_gone_makes_none(self):
        conf = self.conf()
        self.declare_as_before(conf)
        self.send(conf)
        removed = queues.remove(conf, [self.id(), queues.of_host(conf, 'host-1'), 'never-made'], 10)
        self.assertEqual(
            [queues.Queue(self.id(), 1, 0), queues.Queue(f'{self.id()}.host-1', 0, 0)], removed
        )
        self.send(conf)
        self.assertEqual([], queues.find(conf, [self.id()], 10))

    def test_a_queue_that_is_listened_on_stays(self):
        for quorum in (False, True):
            conf = self.conf(quorum=quorum)
            self.addCleanup(self.delete_queues, conf)
            server, _ = self.listen(conf, transport.get_transport(conf))
            self.assertEqual([], queues.remove(conf, [self.id()], 10))
            self.assertEqual([queues.Queue(self.id(), 0, 1)], queues.find(conf, [self.id()], 10))
            self.assertFalse(queues.remove_exchange(conf, 10))
            self.end(server, conf)
            self.delete_queues(conf)
            self.assertTrue(queues.remove_exchange(conf, 10))
            self.assertTrue(queues.remove_exchange(conf, 10))

    def test_an_operator_deletes_what_is_left(self):
        conf = self.conf()
        server, _ = self.listen(conf, transport.get_transport(conf))
        code, _, refused = self.run_tool('queue', 'remove', '--host', 'host-1')
        self.assertEqual((1, True), (code, 'ERROR QUEUES_IN_USE' in refused), refused)
        self.end(server, conf)
        self.send(conf, 2)
        self.assertRegex(
            self.run_tool('queue', 'list', '--host', 'host-1')[1],
            rf'{self.id()} +2 +0\n{self.id()}\.host-1 +0 +0\n',
        )
        code, told, _ = self.run_tool('queue', 'remove', '--host', 'host-1', '--host', 'hots-2')
        self.assertEqual(
            (0, True, True, True),
            (
                code,
                f'Queue {self.id()} is deleted; messages in it: 2.' in told,
                f'Queue {self.id()}.hots-2 is not there.' in told,
                'The exchange is deleted.' in told,
            ),
            told,
        )
        self.assertEqual([], queues.find(conf, queues.of_taskmanagers(conf, ['host-1']), 10))

    def test_a_broker_that_refuses_the_user_is_one_line_and_nothing_is_deleted(self):
        conf = self.conf()
        self.declare_as_before(conf)
        url = self.without_rights()
        code, _, refused = self.run_tool('queue', 'remove', '--host', 'host-1', url=url)
        self.assertEqual(1, code)
        self.assertRegex(refused, r'\AERROR BROKER_REFUSED: [^\n]*403[^\n]*\n\Z')
        self.assertNotIn('s3cret-XYZ', refused)
        self.assertEqual(2, len(queues.find(conf, [self.id(), f'{self.id()}.host-1'], 10)))
        self.delete_queues(conf)
        code, _, refused = self.run_tool('queue', 'remove', url=url)
        self.assertEqual((1, True), (code, 'ERROR BROKER_REFUSED' in refused), refused)
