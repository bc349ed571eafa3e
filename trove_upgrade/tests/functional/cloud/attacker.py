#!/opt/trove-upgrade/venv/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Root of one guest against the others: runs in that guest, with the account at the broker that
lies there, and with its key.

One act, as JSON, comes by stdin; what came of it goes to stdout, as JSON.  It is copied into the
guest by test_sealed_wire.
"""

import base64
import configparser
import itertools
import json
import os
import pathlib
import sys
import time
import uuid

import amqp

from trove_upgrade.sealing import envelope as envelopes
from trove_upgrade.sealing import messages
from trove_upgrade.sealing.keys import GuestKey, MessageDirection

ACCOUNT = '/etc/trove/conf.d/trove-guestagent.conf'
KEY = '/etc/trove/trove-upgrade-guest.key'
EXCHANGE, TASKMANAGERS = 'trove-upgrade', 'trove-upgrade-taskmanager'
READY, STOP = pathlib.Path('/run/attacker-ready'), pathlib.Path('/run/attacker-stop')
KEPT_MILLISECONDS = 300_000


def queue_of(instance_id):
    """Name and routing key of a guest's queue."""
    return f'guestagent.{instance_id}.guestagent.{instance_id}'


def connect():
    parser = configparser.RawConfigParser(strict=False)
    parser.read(ACCOUNT)
    account, _, place = parser['DEFAULT']['transport_url'].removeprefix('rabbit://').rpartition('@')
    user, _, password = account.partition(':')
    host, _, virtual_host = place.partition('/')
    connection = amqp.Connection(
        host, userid=user, password=password, virtual_host=virtual_host, connect_timeout=5
    )
    connection.connect()
    return connection


def key():
    return GuestKey.from_file(pathlib.Path(KEY).read_bytes(), KEY)


def packed(message):
    """As oslo.messaging packs it, under an id of its own: a repeated one would be taken for a
    second delivery.
    """
    fresh = {**message, '_unique_id': uuid.uuid4().hex}
    return json.dumps({'oslo.version': '2.0', 'oslo.message': json.dumps(fresh)})


def unpacked(body):
    return json.loads(json.loads(body)['oslo.message'])


class Attacker:
    def __init__(self):
        self.connection = connect()
        self.channel = self.connection.channel()

    # --- what the account can do
    # -----------------------------------------------------------------------------

    def publish(self, message, routing_key, exchange=EXCHANGE):
        body = message if isinstance(message, str) else packed(message)
        content = amqp.Message(body, content_type='application/json', content_encoding='utf-8')
        self.channel.basic_publish(content, exchange=exchange, routing_key=routing_key)

    def collect(self, queue, count, seconds, take=None, *, afterwards=None):
        """Consume before every other consumer; returns the bodies.

        `take` gets each at once, `afterwards` each when nothing is consumed any more: what it sends
        to the same queue goes to its owner.
        """
        found = []

        def came(message):
            found.append(message.body)
            if take:
                take(message.body)

        tag = uuid.uuid4().hex
        self.channel.basic_consume(
            queue, tag, no_ack=True, callback=came, arguments={'x-priority': 100}
        )
        READY.touch()
        deadline = time.monotonic() + seconds
        while len(found) < count and not STOP.exists() and time.monotonic() < deadline:
            try:
                self.connection.drain_events(timeout=0.2)
            except TimeoutError:
                continue
        self.channel.basic_cancel(tag)
        for body in found if afterwards else ():
            afterwards(body)
        return found

    def ask(self, message, routing_key, seconds, exchange=EXCHANGE):
        """Call; returns what was answered, or None."""
        reply = self.channel.queue_declare(exclusive=True).queue
        wanted = uuid.uuid4().hex
        self.publish({**message, '_msg_id': wanted, '_reply_q': reply}, routing_key, exchange)
        for body in self.collect(reply, 1, seconds):
            answer = unpacked(body)
            failure = json.loads(answer['failure']) if answer.get('failure') else None
            return {
                'result': answer.get('result'),
                'failure': failure and failure['class'],
                'words': failure and failure['message'],
            }
        return None

    # --- acts
    # ----------------------------------------------------------------------------------------------

    def call(self, instance_id, method, version, arguments, seconds=5, directly=False):
        message = {'method': method, 'args': arguments, 'version': version}
        return self.ask(message, queue_of(instance_id), seconds, '' if directly else EXCHANGE)

    def call_sealed(self, instance_id, victims_key_id, method, arguments, seconds=5):
        """Under the attacker's key: as itself, in the victim's name, and under the id of the
        victim's key.
        """
        mine = key()
        request = messages.Request(
            method=method,
            session=messages.NO_SESSION,
            number=2**40,
            latest=2**40,
            arguments=arguments,
        ).to_bytes()
        names = [
            mine,
            GuestKey(mine.id, instance_id, mine.secret),
            GuestKey(victims_key_id, instance_id, mine.secret),
        ]
        return [
            self.call(
                instance_id,
                'sealed',
                '1.2',
                {'envelope': envelopes.seal(name, MessageDirection.TO_GUEST, request).to_wire()},
                seconds,
            )
            for name in names
        ]

    def cast(self, method, version, arguments, directly=False):
        message = {'method': method, 'args': arguments, 'version': version}
        self.publish(message, TASKMANAGERS, '' if directly else EXCHANGE)

    def report_sealed(self, instance_id, victims_key_id, heartbeat):
        """Under the attacker's key: its own envelope about the victim, in the victim's name, under
        the victim's key's id.
        """
        mine = key()
        report = messages.Report(
            messages.new_session(os.urandom), 2**40, {**heartbeat, 'instance_id': instance_id}
        )
        for name in (
            mine,
            GuestKey(mine.id, instance_id, mine.secret),
            GuestKey(victims_key_id, instance_id, mine.secret),
        ):
            sealed = envelopes.seal(name, MessageDirection.TO_TASKMANAGER, report.to_bytes())
            self.cast('sealed', '1.2', {'envelope': sealed.to_wire()})
        return 3

    def listen(self, queue, routing_key):
        """A queue of the attacker's that gets a copy of all that is sent to `routing_key`."""
        self.channel.queue_declare(
            queue, auto_delete=False, arguments={'x-expires': KEPT_MILLISECONDS}
        )
        self.channel.queue_bind(queue, exchange=EXCHANGE, routing_key=routing_key)

    def heard(self, queue, count=1000, seconds=0.5):
        return self.collect(queue, count, seconds)

    def forget(self, queue):
        self.channel.queue_delete(queue)

    def replay(self, instance_id, bodies, seconds=3):
        """Send recorded requests again, with answers to the attacker."""
        return [self.ask(unpacked(body), queue_of(instance_id), seconds) for body in bodies]

    def replay_reports(self, bodies):
        for body in bodies:
            self.publish(unpacked(body), TASKMANAGERS)

    def cross_bind(self, mine, victim):
        """The victim's requests into the attacker's queue, the taskmanagers' reports into the
        victim's; declare what is there anew.
        """
        self.channel.queue_bind(queue_of(mine), exchange=EXCHANGE, routing_key=queue_of(victim))
        self.channel.queue_bind(queue_of(victim), exchange=EXCHANGE, routing_key=TASKMANAGERS)
        try:
            self.connection.channel().exchange_declare(
                EXCHANGE, 'fanout', durable=False, auto_delete=False
            )
        except amqp.PreconditionFailed:
            return 'PRECONDITION_FAILED'
        return 'declared'

    def cross_unbind(self, mine, victim):
        self.channel.queue_unbind(queue_of(mine), exchange=EXCHANGE, routing_key=queue_of(victim))
        self.channel.queue_unbind(queue_of(victim), exchange=EXCHANGE, routing_key=TASKMANAGERS)

    def steal(self, instance_id, count, seconds):
        """Take the victim's requests away."""
        return len(self.collect(queue_of(instance_id), count, seconds))

    def answer(self, instance_id, forged, count, seconds):
        """Take the victim's requests, and answer each as `forged` says: a result, a failure, or an
        envelope under the attacker's key.
        """

        def take(body):
            request = unpacked(body)
            reply = {'result': None, 'failure': None, 'ending': True, '_msg_id': request['_msg_id']}
            reply |= {
                'result': {'result': forged.get('result')},
                'failure': {'failure': json.dumps(forged.get('failure'))},
                'sealed': {'result': self._forged(request, forged.get('content'))},
            }[forged['kind']]
            self.publish(reply, request['_reply_q'], '')

        return len(self.collect(queue_of(instance_id), count, seconds, take))

    def _forged(self, request, content):
        """A sealed answer to this very request, under the id of the victim's key and the attacker's
        secret.
        """
        asked = envelopes.Envelope.from_wire(request['args']['envelope'])
        answer = messages.Answer(
            request=asked.digest,
            session=messages.new_session(os.urandom),
            highest=1,
            moment=1,
            refused=None,
            content=content,
        ).to_bytes()
        name = GuestKey(asked.key_id, asked.instance_id, key().secret)
        return envelopes.seal(name, MessageDirection.TO_TASKMANAGER, answer).to_wire()

    def flip(self, instance_id, seconds):
        """Take one request, change one bit of it, and send it on: in the box, the nonce, the
        names.
        """

        def take(body):
            for field in ('box', 'nonce', 'key_id'):
                request = unpacked(body)
                request['args']['envelope'][field] = _flipped(
                    request['args']['envelope'][field], is_text=field == 'key_id'
                )
                self.publish(request, queue_of(instance_id), '')

        return len(self.collect(queue_of(instance_id), 1, seconds, afterwards=take))

    def redirect(self, instance_id, mine, seconds):
        """Take one request of the victim's and send it to the attacker's own agent."""
        return len(
            self.collect(
                queue_of(instance_id),
                1,
                seconds,
                lambda body: self.publish(unpacked(body), queue_of(mine), ''),
            )
        )

    def reply_to(self, bodies, result):
        """Answer recorded requests late, and send answers to calls that were never made, straight
        into the reply queues.
        """
        for request in map(unpacked, bodies):
            for wanted in (request['_msg_id'], uuid.uuid4().hex):
                reply = {'result': result, 'failure': None, 'ending': True, '_msg_id': wanted}
                self.publish(reply, request['_reply_q'], '')

    def flood(self, instance_id, victims_key_id, heartbeat, requests, reports, per_second, seconds):
        """All of it, in turns, until it is stopped."""
        mine, garbage = key(), {'envelope': {'instance_id': instance_id}}
        name = GuestKey(victims_key_id, instance_id, mine.secret)
        box = envelopes.seal(name, MessageDirection.TO_GUEST, b'{}').to_wire()
        queue = queue_of(instance_id)
        forged = {**heartbeat, 'instance_id': instance_id}
        acts = [
            lambda: self.publish({'method': 'pre_upgrade', 'args': {}, 'version': '1.0'}, queue),
            lambda: self.publish(
                {'method': 'abort_upgrade', 'args': heartbeat, 'version': '1.1'}, queue
            ),
            lambda: self.publish({'method': 'sealed', 'args': garbage, 'version': '1.2'}, queue),
            lambda: self.publish(
                {'method': 'sealed', 'args': {'envelope': box}, 'version': '1.2'}, queue, ''
            ),
            lambda: self.cast('heartbeat', '1.1', {'heartbeat': forged}),
            lambda: self.report_sealed(instance_id, victims_key_id, heartbeat),
            lambda: self.replay_reports(reports),
            lambda: [self.publish(unpacked(body), queue) for body in requests],
            lambda: self.reply_to(requests, {'state': 'DONE'}),
        ]
        deadline = time.monotonic() + seconds
        READY.touch()
        for sent, act in enumerate(itertools.cycle(acts)):
            if STOP.exists() or time.monotonic() > deadline:
                return sent
            act()
            time.sleep(1 / per_second)
        return None


def _flipped(text, *, is_text):
    if is_text:
        return ('0' if text[0] != '0' else '1') + text[1:]
    content = bytearray(base64.b64decode(text))
    content[-1] ^= 1
    return base64.b64encode(bytes(content)).decode()


def main():
    act = json.load(sys.stdin)
    READY.unlink(missing_ok=True)
    STOP.unlink(missing_ok=True)
    json.dump(getattr(Attacker(), act.pop('act'))(**act), sys.stdout)


if __name__ == '__main__':
    main()
