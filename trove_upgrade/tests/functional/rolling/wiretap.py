# SPDX-License-Identifier: Apache-2.0
"""A copy of each message that goes to some topics of a broker: what every account of it could
read.
"""

import contextlib
import dataclasses
import functools
import json
import threading

import fixtures
from kombu import Exchange, Queue
from kombu import connection as kombu_connection

_LOOK_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class Heard:
    """A call, or a cast."""

    topic: str
    method: str
    version: str


class Wiretap(fixtures.Fixture):
    """Listens from its set-up on; `heard` has all of it so far.

    A thread reads at once: the messages have an end, those of calls after the time-out of the call.
    """

    def __init__(self, url, exchange, topics):
        super().__init__()
        self._url = url.replace('rabbit://', 'amqp://')
        self._exchange = Exchange(exchange, type='topic', durable=False, auto_delete=False)
        self._topics = topics
        self._heard = []
        self._ending = threading.Event()

    def _setUp(self):
        connection = kombu_connection.Connection(self._url)
        self.addCleanup(connection.release)
        channel = connection.channel()
        self._exchange.bind(channel).declare()
        for topic in self._topics:
            queue = Queue(exclusive=True).bind(channel)
            queue.declare()
            for key in (topic, f'{topic}.{topic}'):
                channel.queue_bind(queue.name, self._exchange.name, key)
            queue.consume(callback=functools.partial(self._hear, topic), no_ack=True)
        reader = threading.Thread(
            target=self._read, args=(connection,), name='wiretap', daemon=True
        )
        self.addCleanup(reader.join)
        self.addCleanup(self._ending.set)
        reader.start()

    def _read(self, connection):
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                connection.drain_events(timeout=_LOOK_SECONDS)

    def _hear(self, topic, message):
        body = json.loads(json.loads(message.body)['oslo.message'])
        self._heard.append(Heard(topic, body['method'], body.get('version', '1.0')))

    def heard(self, topic):
        """In the order in which it came."""
        return [one for one in list(self._heard) if one.topic == topic]
