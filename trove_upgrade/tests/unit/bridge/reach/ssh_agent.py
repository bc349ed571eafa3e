# SPDX-License-Identifier: Apache-2.0
"""SSH agent of the test's own on a socket, which lists keys and signs nothing."""

import pathlib
import socketserver
import threading

import fixtures
import paramiko

#: Source: draft-ietf-sshm-ssh-agent, "Protocol numbers".
_FAILURE, _KEYS = 5, 12


class _Listing(socketserver.StreamRequestHandler):
    def handle(self):
        self.rfile.read(5)  # a length, and the one request
        self.wfile.write(self.server.answer)


class SshAgent(fixtures.Fixture):
    """`keys` None: it refuses to list any."""

    def __init__(self, keys):
        super().__init__()
        self.keys = keys

    def _setUp(self):
        path = str(pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'agent'))
        server = socketserver.UnixStreamServer(path, _Listing)
        server.answer = self._answer()
        self.addCleanup(server.server_close)
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.useFixture(fixtures.EnvironmentVariable('SSH_AUTH_SOCK', path))

    def _answer(self):
        answer = paramiko.Message()
        if self.keys is None:
            answer.add_byte(bytes([_FAILURE]))
        else:
            answer.add_byte(bytes([_KEYS]))
            answer.add_int(len(self.keys))
            for key in self.keys:
                answer.add_string(key.asbytes())
                answer.add_string('a key of this test')
        content = answer.asbytes()
        return len(content).to_bytes(4) + content
