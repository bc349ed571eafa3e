# SPDX-License-Identifier: Apache-2.0
"""Lines of the run.  Suites run side by side, so each line carries the time and its suite's
name, and is written whole.
"""

import io
import sys
import textwrap
import threading
import time

_lock = threading.Lock()


def say(text: str, more: str = '') -> None:
    """One line with the time, and below it an indented text."""
    below = textwrap.indent(more.rstrip(), '    ', lambda _line: True)
    block = f'[{time.strftime("%H:%M:%S")}] {text}\n{below}'.rstrip('\n') + '\n'
    with _lock:
        sys.stdout.buffer.write(block.encode(errors='backslashreplace'))
        sys.stdout.flush()


class Lines(io.StringIO):
    """Stream of whole lines for the lab's Progress: no terminal, since two suites cannot share a
    line that is redrawn.
    """

    def write(self, text: str) -> int:
        """Show `text`, which ends with a line's end."""
        for line in text.splitlines():
            say(line)
        return len(text)
