# SPDX-License-Identifier: Apache-2.0
"""What a listener on the real broker hears of upgrades: one start, then one end or one error, whole
and in order.
"""

import dataclasses
import threading
from typing import Any

import oslo_messaging
from oslo_config import cfg

from trove_upgrade.rpc import transport
from trove_upgrade.tests.functional.cloud import base

_REBUILD = {'method': 'POST', 'path': '/action$', 'body': '"rebuild"'}
_REFUSAL = '{"forbidden": {"code": 403, "message": "not today"}}'


@dataclasses.dataclass(frozen=True)
class Heard:
    """One notification."""

    queue: str  #: 'info' or 'error'
    publisher_id: str
    event_type: str
    payload: dict[str, Any]


class Listener:
    """An endpoint of oslo.messaging's notification listener, as billing and monitoring have one."""

    def __init__(self):
        self._lock = threading.Lock()
        self._heard = []

    def info(self, _context, publisher_id, event_type, payload, _metadata):
        self._hear(Heard('info', publisher_id, event_type, payload))

    def error(self, _context, publisher_id, event_type, payload, _metadata):
        self._hear(Heard('error', publisher_id, event_type, payload))

    def _hear(self, heard):
        with self._lock:
            self._heard.append(heard)

    def of(self, instance_id):
        """All about this instance; other tests' upgrades come by, too."""
        with self._lock:
            return [
                heard
                for heard in self._heard
                if heard.event_type.startswith('trove.upgrade.')
                and heard.payload['instance']['id'] == instance_id
            ]


class TestNotifications(base.CloudTestCase):
    def setUp(self):
        super().setUp()
        self.listener = Listener()
        conf = cfg.ConfigOpts()
        conf(['--config-file', str(self.product.config_file)])
        server = oslo_messaging.get_notification_listener(
            transport.get_notification_transport(conf),
            [oslo_messaging.Target(topic='notifications')],
            [self.listener],
            executor='threading',
        )
        server.start()
        self.addCleanup(server.wait)
        self.addCleanup(server.stop)

    def heard(self, instance, count):
        self.wait_until(
            lambda: len(self.listener.of(instance.id)) >= count, f'{count} notifications'
        )
        return self.listener.of(instance.id)

    def test_each_upgrade_is_told_about_by_one_start_and_one_end_or_error_and_one_opening(self):
        instance = self.create_instance('notified')
        self.fail_nova(action='refuse', status=403, count=-1, answer=_REFUSAL, **_REBUILD)
        aborted = self.upgrade(instance)
        self.assertEqual('ABORTED', aborted['state'], aborted)
        self.assert_serves(instance, self.former)
        self.heard(instance, 2)
        self._control('DELETE', '/__faults')
        completed = self.upgrade(instance)
        self.assertEqual('COMPLETED', completed['state'], completed)

        heard = self.heard(instance, 5)

        self.assertEqual(
            [
                ('info', 'trove.upgrade.start', aborted['id']),
                ('error', 'trove.upgrade.error', aborted['id']),
                ('info', 'trove.upgrade.start', completed['id']),
                ('info', 'trove.upgrade.open', completed['id']),
                ('info', 'trove.upgrade.end', completed['id']),
            ],
            [(one.queue, one.event_type, one.payload['upgrade_id']) for one in heard],
        )
        self.assertEqual(5, len({one.payload['event_id'] for one in heard}))
        for one in heard:
            self.check_who_and_what(instance, one)
        error, opened, end = heard[1].payload, heard[3].payload, heard[4].payload
        self.assertEqual(
            ('ABORTED', 'rebuild', 'REBUILD_REFUSED'),
            (error['state'], error['step'], error['error_code']),
        )
        told, server = aborted['cause'].split('[id]'), instance.server_id
        self.assertEqual(
            server.join(told), error['cause']
        )  # the operator's bus names the server, which a member is not told of
        self.assertIsNone(error['downtime_seconds'])
        self.assertEqual(
            ('COMPLETED', 'verify', None, None),
            (end['state'], end['step'], end['error_code'], end['cause']),
        )
        self.assertEqual(('RUNNING', end['opened_at']), (opened['state'], opened['opened_at']))
        self.assertGreater(end['downtime_seconds'], 0)
        self.assertGreaterEqual(end['ended_at'], end['created_at'])

    def check_who_and_what(self, instance, one):
        """What is the same in all of them."""
        payload = one.payload
        self.assertTrue(one.publisher_id.startswith('trove-upgrade-taskmanager.'), one.publisher_id)
        self.assertEqual(
            ('1.0', one.event_type.rpartition('.')[2], 1),
            (payload['payload_version'], payload['kind'], payload['attempt']),
        )
        self.assertEqual(
            {'id': instance.id, 'name': 'notified', 'server_id': instance.server_id},
            payload['instance'],
        )
        self.assertEqual(
            (self.project_id, 'mariadb'), (payload['project_id'], payload['datastore_manager'])
        )
        self.assertTrue(payload['request_id'].startswith('req-'), payload['request_id'])
        self.assertTrue(payload['user_id'])
        for which, version in (('former_version', self.former), ('target_version', self.target)):
            self.assertEqual(version.name, payload[which]['name'])
            self.assertEqual(version.name, payload[which]['number'])
        self.assertEqual(self.target.image_id, payload['target_version']['image_id'])
        if payload['kind'] != 'start':
            self.assertEqual(self.former.image_id, payload['former_version']['image_id'])
