# SPDX-License-Identifier: Apache-2.0
import dataclasses
import logging
import subprocess
import threading

import fixtures
import webtest

from trove_upgrade.api import service_heartbeat
from trove_upgrade.db import engine, errors, services
from trove_upgrade.db.process_table import TABLE
from trove_upgrade.db.service_heartbeat import ServiceHeartbeat
from trove_upgrade.tests.unit import base


class Registry:
    """Counts the beats of each registration; refuses while told so."""

    def __init__(self):
        self.beats = {}
        self.error = None

    def beat(self, registration):
        if self.error:
            raise self.error
        self.beats[registration.id] = self.beats.get(registration.id, 0) + 1

    def remove(self, registration):
        if self.error:
            raise self.error
        self.beats.pop(registration.id, None)


class Master:
    """uWSGI, before it has forked."""

    def __init__(self, worker_id=0):
        self._worker_id = worker_id

    def worker_id(self):
        return self._worker_id


class Answer:
    """Closed when the server has sent it."""

    def __init__(self, seen):
        self._seen = seen

    def __iter__(self):
        return iter([b'hello'])

    def close(self):
        self._seen.append('closed')


class SignsTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.registry = Registry()
        self.now = 1000.0
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.WARNING))

    def new_signs(self, **options):
        return service_heartbeat.ProcessHeartbeats(
            lambda: ServiceHeartbeat(self.registry, 'api', host='host', version='1.0'),
            10.0,
            monotonic=lambda: self.now,
            **options,
        )

    @property
    def beats(self):
        return list(self.registry.beats.values())


class TestSignsOfLife(SignsTestCase):
    def test_it_registers_when_it_starts_and_is_gone_when_it_stops(self):
        signs = self.new_signs()
        signs.start()
        self.assertEqual([1], self.beats)
        signs.stop()
        self.assertEqual([], self.beats)

    def test_nothing_is_stopped_that_has_not_begun(self):
        self.new_signs().stop()
        self.assertEqual('', self.log.output)

    def test_answers_bring_a_sign_of_life_at_most_once_in_an_interval(self):
        signs = self.new_signs()
        signs.start()
        app = webtest.TestApp(service_heartbeat.WithHeartbeats(self.answer, signs), lint=False)
        for _ in range(3):
            self.assertEqual('hello', app.get('/').text)
        self.assertEqual([1], self.beats)
        self.now += 11
        for _ in range(3):
            self.assertEqual('hello', app.get('/').text)
        self.assertEqual([2], self.beats)

    def answer(self, environ, start_response):
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return Answer([])

    def test_it_comes_after_the_answer_was_sent_and_closed(self):
        seen = []
        self.registry.beat = lambda registration: seen.append('beat')
        answer = self.new_signs().after(Answer(seen))
        self.assertEqual([b'hello'], list(answer))
        self.assertEqual([], seen)
        answer.close()
        self.assertEqual(['closed', 'beat'], seen)

    def test_what_is_not_due_costs_an_answer_nothing(self):
        signs, answer = self.new_signs(), Answer([])
        signs.start()
        self.assertIs(answer, signs.after(answer))

    def test_a_database_that_refuses_fails_nothing_is_logged_once_and_tried_again(self):
        signs = self.new_signs()
        self.registry.error = OSError('away')
        signs.start()
        for _ in range(3):
            self.now += 11
            signs.after([]).close()
        self.assertEqual(1, self.log.output.count('away'))
        self.registry.error = None
        self.now += 11
        signs.after([]).close()
        self.assertEqual([1], self.beats)

    def test_what_a_database_refuses_is_one_line_that_ends_once(self):
        signs = self.new_signs()
        self.registry.error = errors.DatabaseRefused(
            service='The API', found='its driver does not take it'
        )
        signs.start()
        [line] = self.log.output.splitlines()
        self.assertIn('its driver does not take it', line)
        self.assertNotIn('..', line.replace('...', ''))

    def test_tables_that_are_not_there_are_one_line_with_the_advice(self):
        empty = engine.Database.from_url('sqlite://')
        self.addCleanup(empty.dispose)
        service_heartbeat.ProcessHeartbeats(
            lambda: ServiceHeartbeat(services.Services(empty), 'api', host='host', version='1.0'),
            10.0,
        ).start()
        [line] = self.log.output.splitlines()
        self.assertIn(errors.MAKE_TABLES, line)
        self.assertEqual(1, line.count('upgrade_services is missing'))
        self.assertNotIn('OperationalError', line)

    def test_a_stop_without_a_database_says_what_to_do_and_fails_nothing(self):
        signs = self.new_signs()
        signs.start()
        self.registry.error = OSError('away')
        signs.stop()
        self.assertIn('service forget', self.log.output)

    def test_a_configuration_without_a_database_fails_nothing(self):
        def refuse():
            raise OSError('no database')

        signs = service_heartbeat.ProcessHeartbeats(refuse, 10.0)
        signs.start()
        signs.stop()
        self.assertIn('no database', self.log.output)

    def test_a_process_that_outlives_the_one_that_has_loaded_gets_a_row_of_its_own(self):
        loader = subprocess.Popen(['sleep', '1000'])
        made = [
            self.heartbeat_of(loader),
            ServiceHeartbeat(self.registry, 'api', host='host', version='1.0'),
        ]
        signs = service_heartbeat.ProcessHeartbeats(
            iter(made).__next__, 10.0, monotonic=lambda: self.now
        )
        signs.start()
        self.beat_later(signs)
        self.assertEqual({made[0].registration.id: 2}, self.registry.beats)
        loader.kill()
        loader.wait()
        self.beat_later(signs)
        self.assertEqual(1, self.registry.beats[made[1].registration.id])
        signs.stop()
        self.assertNotIn(made[1].registration.id, self.registry.beats)

    def heartbeat_of(self, process):
        """As a process has it that was forked from `process`."""
        found = ServiceHeartbeat(self.registry, 'api', host='host', version='1.0')
        found.registration = dataclasses.replace(
            found.registration, pid=process.pid, birth=TABLE.birth_of(process.pid)
        )
        return found

    def beat_later(self, signs):
        self.now += 11
        signs.after([]).close()


class TestUnderUwsgi(SignsTestCase):
    def test_a_master_does_not_register_its_workers_do_when_they_begin(self):
        seen, server = [], Master()
        server.post_fork_hook = lambda: seen.append('of another module')
        self.new_signs(uwsgi=server).start()
        self.assertEqual([], self.beats)
        server.post_fork_hook()
        self.assertEqual(([1], ['of another module']), (self.beats, seen))

    def test_a_worker_that_loads_by_itself_registers_at_once(self):
        self.new_signs(uwsgi=Master(worker_id=2)).start()
        self.assertEqual([1], self.beats)

    def test_its_own_hook_removes_the_row_once_and_in_another_thread(self):
        """The thread that ends a worker has lost what greenlet keeps of it."""
        seen, server, removed = [], Master(worker_id=1), []
        server.atexit = lambda: seen.append('of another module')
        remove = self.registry.remove
        self.registry.remove = lambda registration: (
            removed.append(threading.get_ident()),
            remove(registration),
        )
        signs = self.new_signs(uwsgi=server)
        signs.start()
        server.atexit()
        signs.stop()  # by Python's, later
        self.assertEqual(([], ['of another module'], 1), (self.beats, seen, len(removed)))
        self.assertNotEqual(threading.get_ident(), removed[0])

    def test_a_master_that_ends_has_nothing_to_remove(self):
        server = Master()
        self.new_signs(uwsgi=server).start()
        server.atexit()
        self.assertEqual('', self.log.output)

    def test_no_other_process_has_a_module_of_uwsgi(self):
        self.assertIsNone(service_heartbeat.find_uwsgi())
