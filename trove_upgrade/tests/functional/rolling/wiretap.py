# SPDX-License-Identifier: Apache-2.0
"""A copy of each message that goes to some topics of a broker: what every account of it could read."""

import dataclasses
import json

import fixtures
from kombu import Exchange, Queue
from kombu import connection as kombu_connection


@dataclasses.dataclass(frozen=True)
class Heard:
    """A call, or a cast."""

    topic: str
    method: str
    version: str


class Wiretap(fixtures.Fixture):
    """Listens from its set-up on; `heard` has all of it so far."""

    def __init__(self, url, exchange, topics):
        super().__init__()
        self._url = url.replace('rabbit://', 'amqp://')
        self._exchange = Exchange(exchange, type='topic', durable=False, auto_delete=False)
        self._topics = topics
        self._heard = []

    def _setUp(self):
        connection = kombu_connection.Connection(self._url)
        self.addCleanup(connection.release)
        channel = connection.channel()
        self._queues = []
        for topic in self._topics:
            # a call goes to the topic of a server, a cast to the shared one: both copies tell the topic
            queue = Queue(exclusive=True).bind(channel)
            queue.declare()
            for key in (topic, f'{topic}.{topic}'):
                self._exchange.bind(channel).declare()
                channel.queue_bind(queue.name, self._exchange.name, key)
            self._queues.append((topic, queue))

    def heard(self, topic):
        """In the order in which it came."""
        for name, queue in self._queues:
            while (message := queue.get(no_ack=True)) is not None:
                body = json.loads(json.loads(message.body)['oslo.message'])
                self._heard.append(Heard(name, body['method'], body.get('version', '1.0')))
        return [one for one in self._heard if one.topic == topic]
