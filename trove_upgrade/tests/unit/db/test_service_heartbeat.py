# SPDX-License-Identifier: Apache-2.0
import threading

from oslo_config import cfg

from trove_upgrade.conf import database as database_conf
from trove_upgrade.db import errors, service_heartbeat
from trove_upgrade.tests.unit import base, database


class SlowRegistry:
    """Remembers who is registered; a beat waits until it is let go, then writes."""

    def __init__(self):
        self.ids = set()
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        self.error = None

    def beat(self, registration):
        self.has_begun.set()
        self.may_end.wait(30)
        self.ids.add(registration.id)
        if self.error:
            raise self.error

    def remove(self, registration):
        self.ids.discard(registration.id)


class TestPresence(base.TestCase):
    def setUp(self):
        super().setUp()
        self.registry = SlowRegistry()
        self.heartbeat = service_heartbeat.ServiceHeartbeat(
            self.registry, 'api', host='host', version='1.0'
        )

    def test_it_begins_with_the_first_beat_and_ends_with_the_stop(self):
        self.registry.may_end.set()
        self.assertEqual(set(), self.registry.ids)
        self.heartbeat.beat()
        self.assertEqual({self.heartbeat.registration.id}, self.registry.ids)
        self.heartbeat.leave(10)
        self.assertEqual(set(), self.registry.ids)

    def test_a_beat_after_the_stop_writes_nothing(self):
        self.registry.may_end.set()
        self.heartbeat.leave(10)
        self.heartbeat.beat()
        self.assertEqual(set(), self.registry.ids)

    def begin_to_beat(self):
        thread = threading.Thread(target=self.beat_whatever_happens)
        thread.start()
        self.addCleanup(self.registry.may_end.set)
        self.assertTrue(self.registry.has_begun.wait(30))
        return thread

    def beat_whatever_happens(self):
        try:
            self.heartbeat.beat()
        except OSError:
            self.assertIsNotNone(self.registry.error)

    def test_a_stop_waits_for_a_beat_that_is_on_its_way(self):
        beating = self.begin_to_beat()
        stopping = threading.Thread(target=self.heartbeat.leave, args=(30,))
        stopping.start()
        self.registry.may_end.set()
        stopping.join(30)
        beating.join(30)
        self.assertEqual(set(), self.registry.ids)

    def test_a_beat_that_outlasts_the_stop_takes_its_row_back(self):
        beating = self.begin_to_beat()
        self.heartbeat.leave(0)
        self.registry.may_end.set()
        beating.join(30)
        self.assertEqual(set(), self.registry.ids)

    def test_so_does_one_whose_answer_was_lost(self):
        self.registry.error = OSError('lost')
        beating = self.begin_to_beat()
        self.heartbeat.leave(0)
        self.registry.may_end.set()
        beating.join(30)
        self.assertEqual(set(), self.registry.ids)


class TestImpatientRegistry(base.TestCase):
    def conf(self, connection):
        conf = cfg.ConfigOpts()
        database_conf.register_connection_opts(conf)
        conf.set_override('connection', connection, group='database')
        return conf

    def test_a_database_that_services_do_not_take_is_refused(self):
        self.assertRaises(
            errors.DatabaseRefused, service_heartbeat.ImpatientRegistry, self.conf('sqlite://')
        )

    def test_an_option_that_the_driver_does_not_know_is_told_as_one_of_the_configuration(self):
        registry = service_heartbeat.ImpatientRegistry(
            self.conf('mysql+pymysql://user:Secret@127.0.0.1:1/d?frob=1')
        )
        registered = service_heartbeat.ServiceHeartbeat(registry, 'api')
        refused = self.assertRaises(errors.DatabaseRefused, registered.beat)
        self.assertIn("'frob'", refused.message)
        self.assertIn('[database] connection', refused.message)
        self.assertNotIn('Secret', refused.message)

    def test_the_rows_are_those_of_the_services(self):
        db = self.useFixture(database.SampleDatabase(sample=False))
        registered = service_heartbeat.ServiceHeartbeat(
            db.repositories.services, 'api', host='host', version='1.0'
        )
        registered.beat()
        self.assertEqual(
            [registered.registration.id], [one.id for one in db.repositories.services.list()]
        )
        registered.leave(1)
        self.assertEqual([], db.repositories.services.list())
