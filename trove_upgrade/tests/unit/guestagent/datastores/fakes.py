# SPDX-License-Identifier: Apache-2.0
"""A server that answers by rule, services without processes, programs that only say what they were
asked.
"""

import re

from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.guestagent.machine.boot_links import BootLinks
from trove_upgrade.guestagent.machine.finished import Finished


class Session:
    """`connection.Session`: the first rule whose pattern is found in the statement answers; an
    exception is raised.
    """

    def __init__(self, *rules):
        self.rules = [(re.compile(pattern, re.IGNORECASE), answer) for pattern, answer in rules]
        self.statements = []
        self.closed = False

    def rows(self, statement, arguments=()):
        self.statements.append(statement)
        for pattern, answer in self.rules:
            if pattern.search(statement):
                found = answer() if callable(answer) else answer
                if isinstance(found, Exception):
                    raise found
                return found
        return []

    def close(self):
        self.closed = True


def refusal(number, text='no'):
    return connection.SessionError('a statement', number, text)


class Service:
    """`ServicePort` in memory."""

    def __init__(
        self, known=('trove-upgrade-database', 'mariadb'), enabled=('mariadb',), running='mariadb'
    ):
        self.known, self.enabled, self.running = set(known), set(enabled), running

    def exists(self, name):
        return name in self.known

    def start(self, name):
        self.running = name

    def stop(self, name):
        self.running = None

    def status(self, name):
        return self.running == name

    def enable(self, name):
        self.enabled.add(name)

    def disable(self, name):
        self.enabled.discard(name)

    def is_enabled(self, name):
        return name in self.enabled

    def boot_links(self, name):
        return BootLinks({'rc2.d/S01' + name: 'on'} if name in self.enabled else {})

    def put_boot_links(self, name, links):
        (self.enabled.add if links.targets else self.enabled.discard)(name)


class Programs:
    """`programs.Programs`: every program is there and ends as it was told."""

    def __init__(self, *finished, installed=True, lines=()):
        self.finished = list(finished)
        self.installed = installed
        self.lines = lines
        self.calls = []
        self.users = []  #: of each call, as numbers; None: root

    def find(self, *names):
        return f'/usr/sbin/{names[0]}' if self.installed else None

    def run(self, arguments, *, timeout_seconds, environment=None, on_line=None, as_user=None):
        self.users.append(as_user)
        self.calls.append((list(arguments), dict(environment or {})))
        for line in self.lines:
            if on_line:
                on_line(line)
        return self.finished.pop(0) if self.finished else Finished(0, '')


class Clock:
    """A monotonic clock that only moves when told."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds
