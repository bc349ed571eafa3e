# SPDX-License-Identifier: Apache-2.0
"""One cloud for all suites that need it.  It comes up while other suites run, and goes down
whatever happens.
"""

import signal
import subprocess
import threading

from .lines import say
from .suites import BIN, ROOT


class Cloud:
    """The one-machine cloud, with the product on it."""

    def __init__(self) -> None:
        """Begin to bring it up.  The lab's own progress is shown; what its programs write is in
        its logs.
        """
        self._lab = str(BIN / 'trove-upgrade-lab')
        self._up = self._start('up', '--product')
        self._relay = _Relay(self._up)

    def is_up(self) -> bool:
        """Wait for it."""
        return self._relay.finish() == 0

    @property
    def last_line(self) -> str:
        """Of what the lab has shown on the way up: where it is not up, the reason."""
        return self._relay.last_line

    def down(self) -> None:
        """Also one that is not up yet: the lab's own clean-up follows its interruption."""
        if self._up.poll() is None:
            self._up.send_signal(signal.SIGTERM)
        self._relay.finish()
        code = _Relay(self._start('down')).finish()
        if code:
            say(f'cloud: trove-upgrade-lab down ended with {code}; see above')

    def _start(self, *words: str) -> 'subprocess.Popen[bytes]':
        return subprocess.Popen(
            [self._lab, *words],
            cwd=ROOT,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


class _Relay:
    """Shows a program's lines as lines of the run."""

    def __init__(self, child: 'subprocess.Popen[bytes]') -> None:
        self._child = child
        self.last_line = 'the lab has shown nothing'
        self._thread = threading.Thread(target=self._show, daemon=True)
        self._thread.start()

    def finish(self) -> int:
        """Wait for the program's end; its exit code."""
        code = self._child.wait()
        self._thread.join(1.0)  # a service that it has started may hold the pipe open
        return code

    def _show(self) -> None:
        assert self._child.stdout is not None  # noqa: S101 - a pipe was asked for
        for line in self._child.stdout:
            text = line.decode(errors='backslashreplace').rstrip()
            self.last_line = text or self.last_line
            say(f'cloud: {text}')
