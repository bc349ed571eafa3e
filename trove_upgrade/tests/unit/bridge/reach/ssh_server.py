# SPDX-License-Identifier: Apache-2.0
"""SSH server of the test's own on a pair of sockets, which does what no sshd would."""

import contextlib
import socket
import threading

import fixtures
import paramiko

from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.reach.session import Limits, Peer, Session
from trove_upgrade.bridge.reach.shell import SshShell
from trove_upgrade.clock import SystemClock

PASSWORD = 'a secret of this test'
_SECONDS = 20


#: Source: RFC 4254, 9, Summary of Message Numbers.
_CHANNEL_SUCCESS = 99


class _Answering(paramiko.Transport):
    """Counts the requests that it has answered well."""

    def __init__(self, sock, answered):
        super().__init__(sock)
        self._answered = answered

    def _send_user_message(self, data):
        super()._send_user_message(data)
        if data.asbytes()[0] == _CHANNEL_SUCCESS:
            self._answered.release()


class _Accepting(paramiko.ServerInterface):
    def __init__(self, behave):
        self.behave = behave
        self.answered = threading.Semaphore(0)
        self.threads, self.commands, self.passwords = [], [], []

    def get_allowed_auths(self, username):
        return 'password'

    def check_auth_password(self, username, password):
        self.passwords.append(password)
        return paramiko.AUTH_SUCCESSFUL if password == PASSWORD else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        self.commands.append(command.decode())

        def work():
            self.answered.acquire(timeout=_SECONDS)  # else it could close before its answer
            with contextlib.suppress(OSError, EOFError):
                self.behave(channel)

        self.threads.append(threading.Thread(target=work, daemon=True))
        self.threads[-1].start()
        return True


class Server(fixtures.Fixture):
    """`behave` gets the channel of each command, in a thread."""

    def __init__(self, behave, user='root', **limits):
        super().__init__()
        self.interface = _Accepting(behave)
        self.user, self.limits = user, limits

    def _setUp(self):
        ours, theirs = socket.socketpair()
        server = _Answering(theirs, self.interface.answered)
        server.add_server_key(paramiko.ECDSAKey.generate())
        server.start_server(event=threading.Event(), server=self.interface)
        self.addCleanup(self._stop, server)
        peer = Peer(server_id='server-1', address='10.0.0.5', port=22, route='through a test')
        self.session = Session.begin(
            ours, peer, [], limits=Limits(**self.limits), clock=SystemClock()
        )
        self.addCleanup(self.session.close)
        login = Login(user=self.user, password=PASSWORD)
        self.session.log_in(login)
        self.shell = SshShell(self.session, login)

    def _stop(self, server):
        server.close()
        server.packetizer.complete_handshake()
        for thread in (server, *self.interface.threads):
            thread.join(_SECONDS)
