# SPDX-License-Identifier: Apache-2.0
"""Clouds for the suites that need one, one at a time.  Each goes down whatever happens."""

import signal
import subprocess
import threading

from .lines import say
from .suites import BIN, ROOT


class Cloud:
    """The one-machine cloud, with what the lab's option puts on it."""

    def __init__(self, option: str) -> None:
        """Begin to bring it up.  The lab's own progress is shown; what its programs write is in
        its logs.
        """
        self._lab = str(BIN / 'trove-upgrade-lab')
        self._up = self._start('up', option)
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


class Clouds:
    """The cloud that is up.  The first one comes up while suites run that need none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cloud: Cloud | None = None
        self._is_over = False

    def begin(self, option: str) -> Cloud | None:
        """Begin to bring one up, after `down` of an earlier one; None: the run is to end."""
        with self._lock:
            self._cloud = None if self._is_over else Cloud(option)
            return self._cloud

    def down(self) -> None:
        """End the one that is up, if there is one."""
        with self._lock:
            cloud, self._cloud = self._cloud, None
        if cloud is not None:
            cloud.down()

    def end(self) -> None:
        """End it, and let none come up any more."""
        with self._lock:
            self._is_over = True
        self.down()


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
