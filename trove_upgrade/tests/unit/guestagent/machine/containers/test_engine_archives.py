# SPDX-License-Identifier: Apache-2.0
"""Archives of images, from and to an engine that answers oddly."""

import itertools
import json
import socket

from trove_upgrade.clock import SystemClock
from trove_upgrade.guestagent.machine.containers import docker_engine, errors, http
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.machine.containers.test_engine import (
    EngineTestCase,
    answer,
)

ID = f'sha256:{"1" * 64}'
_CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'


def may_exceed_the_limit_of_users():
    """Whether the kernel lets these tests have a large buffer for what is sent: see socket(7)."""
    with socket.socket(socket.AF_UNIX) as made:
        try:
            made.setsockopt(socket.SOL_SOCKET, http._SO_SNDBUFFORCE, 4 << 20)
        except PermissionError:
            return False
    return True


class SavedTest(EngineTestCase):
    def saved(self, raw, seconds=5, **kwargs):
        engine = self.engine({f'GET /images/{ID}/get': raw}, **kwargs)
        with engine.saved(ID, seconds) as pieces:
            return b''.join(pieces)

    def test_it_comes_piece_by_piece(self):
        self.assertEqual(b'onetwo', self.saved(_CHUNKED + b'3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n'))

    def test_one_that_ends_too_early_is_an_error(self):
        self.assertRaises(errors.EngineNotAnswering, self.saved, _CHUNKED + b'3\r\none\r\n3\r\ntw')

    def test_an_engine_that_refuses_tells_why(self):
        error = self.assertRaises(
            errors.ImageNotLoaded,
            self.saved,
            answer({'message': 'no space left on device'}, '500 Internal Server Error'),
        )
        self.assertIn('no space left on device', error.message)

    def test_an_engine_that_hangs_costs_the_time_that_was_given(self):
        self.assertRaises(errors.ImageNotLoaded, self.saved, None, limits={'archive': 0.2})
        self.assertRaises(errors.ImageNotLoaded, self.saved, None, seconds=0.2)


class LoadTest(EngineTestCase):
    def load(self, raw, content=b'an archive', **kwargs):
        engine = self.engine({'POST /images/load': raw}, **kwargs)
        engine.load(iter([content[:1000], content[1000:]]), len(content))

    def test_it_is_sent_as_it_is(self):
        content = b'x' * 300_000
        self.load(answer({'stream': 'Loaded image ID: sha256:1\n'}), content)
        self.assertEqual(content, self.fake.bodies[-1])

    def test_a_large_piece_is_on_its_way_before_the_engine_has_read_it(self):
        size = (1 << 20) if may_exceed_the_limit_of_users() else 1 << 10
        pieces = iter([b'x' * size] * 2)
        engine = self.engine({'POST /images/load': None}, limits={'archive': 0.2})
        self.fake.reads_bodies = False
        self.assertRaises(errors.ImageNotLoaded, engine.load, pieces, 2 * size)
        self.assertIsNone(next(pieces, None))

    def test_an_error_in_the_middle_of_an_answer_that_began_well_is_an_error(self):
        lines = [{'stream': 'Loading'}, {'errorDetail': {'message': 'invalid tar header'}}]
        for text in (
            '\r\n'.join(json.dumps(line) for line in lines),
            json.dumps({'error': 'invalid tar header'}),
        ):
            error = self.assertRaises(errors.ImageNotLoaded, self.load, answer(text.encode()))
            self.assertIn('invalid tar header', error.message)

    def test_what_cannot_be_understood_is_an_error(self):
        for text in (b'x', b'[]', b'{"errorDetail": 1}'):
            self.assertRaises(errors.ImageNotLoaded, self.load, answer(text))

    def test_an_engine_that_refuses_tells_why(self):
        error = self.assertRaises(
            errors.ImageNotLoaded,
            self.load,
            answer({'message': 'no space left'}, '500 Internal Server Error'),
        )
        self.assertIn('no space left', error.message)

    def test_an_engine_that_refuses_in_the_middle_and_closes_tells_why(self):
        raw = answer({'message': 'no space left'}, '500 Internal Server Error')
        engine = self.engine({'POST /images/load': raw})
        self.fake.reads_bodies = False
        piece = b'x' * (1 << 16)
        error = self.assertRaises(
            errors.ImageNotLoaded, engine.load, itertools.repeat(piece, 1000), 1000 * len(piece)
        )
        self.assertIn('no space left', error.message)

    def test_an_engine_that_closes_in_the_middle_without_a_word_is_an_error(self):
        engine = self.engine({'POST /images/load': b''})
        self.fake.reads_bodies = False
        piece = b'x' * (1 << 16)
        error = self.assertRaises(
            errors.EngineNotAnswering, engine.load, itertools.repeat(piece, 1000), 1000 * len(piece)
        )
        self.assertIn('BrokenPipeError', error.message)

    def test_an_engine_that_hangs_costs_the_time_that_was_given(self):
        self.assertRaises(errors.ImageNotLoaded, self.load, None, limits={'archive': 0.2})


class SilentTransport:
    """`Transport` to an engine that takes all the time that it is given."""

    def stream(self, method, path, *, seconds, **_more):
        raise TimeoutError


class LoadLimitTest(base.TestCase):
    """A load lasts as long as the database is down."""

    def test_it_has_a_minute_and_what_a_slow_disk_takes_and_the_limit_of_all_archives(self):
        engine = docker_engine.DockerEngine(SilentTransport(), SystemClock())
        for size_bytes, seconds in ((1, 60), (10**9, 110), (10**11, 900)):
            error = self.assertRaises(errors.ImageNotLoaded, engine.load, iter([]), size_bytes)
            self.assertIn(f'not there after {seconds} s', error.message)


class TagTest(EngineTestCase):
    def test_a_registry_with_a_port_stays_in_the_name(self):
        engine = self.engine({f'POST /images/{ID}/tag': answer(b'', '201 Created')})
        engine.tag(ID, 'r:5000/team/mariadb:11.8')
        self.assertEqual([f'POST /images/{ID}/tag'], self.fake.asked)

    def test_an_image_that_has_gone_is_an_error(self):
        engine = self.engine({})
        self.assertRaises(errors.ContainerImageNotFound, engine.tag, ID, 'mariadb:11.8')
