# SPDX-License-Identifier: Apache-2.0
"""Stands in for the programs of the host."""

from lab import errors
from lab.commands import Outcome


class Commands:
    """Remembers what was run, and answers with what the test has laid down for the beginning of a
    command line.
    """

    def __init__(self):
        self.ran = []
        self.launched = []
        self._answers = {}

    def answer(self, beginning, output='', returncode=0):
        self._answers[beginning] = Outcome(returncode, output, '')

    def run(self, argv, *, check=True, input_text=None, timeout_seconds=120, env=None):
        line = ' '.join(argv)
        self.ran.append(line)
        for beginning, outcome in self._answers.items():
            if line.startswith(beginning):
                if check and outcome.returncode:
                    raise errors.ProgramFailed(list(argv), outcome.returncode, outcome.output)
                return outcome
        return Outcome(0, '', '')

    def follow(self, argv, on_line, *, env=None):
        for line in self.run(argv, env=env).output.splitlines():
            on_line(line)

    def launch(self, argv, log_path, env):
        self.launched.append(' '.join(argv))

    def ran_beginning(self, beginning):
        return [line for line in self.ran if line.startswith(beginning)]
