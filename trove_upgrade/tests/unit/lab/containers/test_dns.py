# SPDX-License-Identifier: Apache-2.0
import contextlib
import socket
import struct
import threading

from lab.containers import dns
from trove_upgrade.tests.unit import base

QUESTION = b'\x03web\x07example\x00' + struct.pack('!2H', 1, 1)
#: A query for the address of web.example, recursion desired.
QUERY = struct.pack('!6H', 4711, 0x0100, 1, 0, 0, 0) + QUESTION


class AnswerTest(base.TestCase):
    def test_every_name_is_unknown(self):
        answer = dns.answer(QUERY)

        number, flags, questions, answers, authorities, additional = struct.unpack_from(
            '!6H', answer
        )
        self.assertEqual((4711, 1, 0, 0, 0), (number, questions, answers, authorities, additional))
        self.assertEqual(3, flags & 0xF)
        self.assertTrue(flags & 0x8000)
        self.assertEqual(QUESTION, answer[12:])

    def test_what_follows_the_question_is_left_out_of_the_answer(self):
        options = b'\x00' + struct.pack('!2HIH', 41, 1232, 0, 0)
        query = struct.pack('!6H', 4711, 0x0100, 1, 0, 0, 1) + QUESTION + options

        self.assertEqual(QUESTION, dns.answer(query)[12:])

    def test_an_answer_is_not_answered(self):
        self.assertEqual(b'', dns.answer(dns.answer(QUERY)))

    def test_fragments_and_loops_are_not_followed(self):
        self.assertEqual(b'', dns.answer(QUERY[:5]))
        for broken in (
            QUERY[:20],
            QUERY[:12] + b'\xc0\x0c' + QUERY[-4:],
            struct.pack('!6H', 1, 0, 2, 0, 0, 0) + QUESTION,
        ):
            self.assertEqual(1, struct.unpack_from('!6H', dns.answer(broken))[1] & 0xF)

    def test_other_operations_are_not_implemented(self):
        self.assertEqual(
            4,
            struct.unpack_from(
                '!6H', dns.answer(struct.pack('!6H', 1, 0x2800, 1, 0, 0, 0) + QUESTION)
            )[1]
            & 0xF,
        )


class ServerTest(base.TestCase):
    @contextlib.contextmanager
    def serving(self, server_class):
        with server_class(('127.0.0.1', 0)) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
            thread.start()
            try:
                yield server.server_address
            finally:
                server.shutdown()
                thread.join()

    def test_it_answers_over_udp(self):
        with (
            self.serving(dns.DatagramServer) as address,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            client.settimeout(10)
            client.sendto(QUERY, address)

            self.assertEqual(dns.answer(QUERY), client.recv(512))

    def test_it_answers_several_questions_over_one_tcp_connection(self):
        with (
            self.serving(dns.StreamServer) as address,
            socket.create_connection(address, 10) as client,
        ):
            stream = client.makefile('rb')
            for _ in range(2):
                client.sendall(struct.pack('!H', len(QUERY)) + QUERY)
                [length] = struct.unpack('!H', stream.read(2))
                self.assertEqual(dns.answer(QUERY), stream.read(length))
            stream.close()
