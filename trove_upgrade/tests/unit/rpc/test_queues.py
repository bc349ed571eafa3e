# SPDX-License-Identifier: Apache-2.0
"""What a broker answers about queues, as errors with a code."""

import amqp.exceptions
import kombu.exceptions
import oslo_messaging

from trove_upgrade.domain import queue_errors
from trove_upgrade.rpc import queues
from trove_upgrade.tests.unit import base


class TestErrorsOfABroker(base.TestCase):
    def fail(self, error):
        with queues.as_ours():
            raise error

    def test_a_refusal_has_a_code_of_its_own_and_names_what_was_refused(self):
        refusal = amqp.exceptions.AccessRefused('configure access to queue q refused', (50, 40))
        error = self.assertRaises(queue_errors.BrokerRefused, self.fail, refusal)
        self.assertEqual('BROKER_REFUSED', error.code)
        self.assertIn('configure access to queue q refused', error.message)

    def test_every_other_end_of_a_connection_is_a_broker_that_cannot_be_asked(self):
        for met in (
            amqp.exceptions.ConnectionForced('broker shut down'),
            amqp.exceptions.ResourceLocked('q is exclusive'),
            kombu.exceptions.OperationalError('gone'),
            oslo_messaging.MessagingException('gone'),
            ConnectionResetError('gone'),
            TimeoutError(),
        ):
            error = self.assertRaises(queue_errors.BrokerUnavailable, self.fail, met)
            self.assertEqual('BROKER_UNAVAILABLE', error.code)

    def test_what_is_no_brokers_stays_as_it_is(self):
        self.assertRaises(ZeroDivisionError, self.fail, ZeroDivisionError())
