# SPDX-License-Identifier: Apache-2.0
"""A place whose programs answer what the test has written down."""

from trove_upgrade.bridge.reach import errors


class Stream:
    """Implements Relayed."""

    def __init__(self, content, complaint=''):
        self.content, self.said, self.closed, self.seconds = content, complaint, False, None

    def send(self, data, /):
        return len(data)

    def recv(self, size, /):
        if self.content is None:
            raise TimeoutError('timed out')
        found, self.content = self.content[:size], self.content[size:]
        return found

    def settimeout(self, seconds, /):
        self.seconds = seconds

    def complaint(self):
        return self.said

    def close(self):
        self.closed = True


class Place:
    """Implements Place: `answers` are the outputs of its programs, in their order."""

    def __init__(self, name='on node-1', namespaces=(), answers=(), complaint='', error=None):
        self.name, self.namespaces, self.error = name, set(namespaces), error
        self.host = name.removeprefix('on ')
        self.answers, self.complaint = list(answers), complaint
        self.streams, self.started, self.looks = [], [], []

    def has(self, namespace):
        self.looks.append(namespace)
        if self.error is not None:
            raise self.error
        return namespace in self.namespaces

    def start(self, argv):
        self.started.append(argv)
        self.streams.append(Stream(self.answers.pop(0), self.complaint))
        return self.streams[-1]


def lost(host='node-2'):
    return errors.ConnectionLost(address=host, port=22, route='directly', found='gone')
