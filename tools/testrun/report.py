# SPDX-License-Identifier: Apache-2.0
"""Reads the subunit stream of a suite while it runs: counts its tests, and shows those that fail.

A test that began and has no end failed: its worker died.  So did one that was to run in that worker
and never began.
"""

import datetime
import pathlib
import re
from typing import Any

import testtools
from testtools import content

from .count import Count
from .lines import say

HEAD = 'Output of '  # trove_upgrade/tests/output.py begins a worker's file so
NAMED = 20  #: of tests that never began, that many are listed
_RETURN_CODE = 'process-returncode'  # stestr's, of a worker that did not end with 0
_OF_CLASS = re.compile(r'(?:setUp|tearDown)(?:Class|Module) \((?P<prefix>[\w.]+)\)')


class Report:
    """Of one suite; takes the events of testtools' StreamResult."""

    def __init__(self, suite: str, *, aloud: bool, skips_fail: bool) -> None:
        """Take note of `skips_fail`: on the cloud a skip means that the machine lacks something."""
        self._suite, self._aloud, self._skips_fail = suite, aloud, skips_fail
        self._tests = testtools.StreamToDict(self._ended)  # type: ignore[arg-type]
        self._passed = self._skipped = 0
        self._failures: list[str] = []
        self._waiting: set[str] = set()
        self._running: dict[str, None] = {}
        self._left_out: list[str] = []
        self._known = 0
        self.broken = False  #: the runner itself failed, not a test alone
        self._stray = bytearray()

    def start(self) -> None:
        """Before the first event."""
        self._tests.startTestRun()

    def status(self, **event: Any) -> None:
        """One event of the stream; a file without a test is what a worker wrote between two
        tests.
        """
        if event.get('test_id') is None:
            self._stray += event.get('file_bytes') or b''
            return
        if event.get('test_status') == 'inprogress':
            self._running[event['test_id']] = None
        self._tests.status(**event)

    def stop(self) -> None:
        """After the last event: tests that have not ended are shown."""
        self._tests.stopTestRun()

    def so_far(self) -> str:
        """Progress in one line."""
        done = self._passed + self._skipped + len(self._failures)
        running = next(reversed(self._running), '')
        return f'{done} of {self._known} tests, {len(self._failures)} failed' + (
            f'; {running.rpartition("tests.")[2]}' if running else ''
        )

    def close(self, folder: pathlib.Path, returncode: int) -> Count:
        """Show what did not end or never began; the count of all.  `folder` holds the files that
        killed workers have left.
        """
        never = sorted(
            test_id for test_id in self._waiting if not test_id.startswith(tuple(self._left_out))
        )
        if never:
            self.broken = True
            more = [] if len(never) <= NAMED else [f'and {len(never) - NAMED} more']
            say(
                f'{self._suite}: {len(never)} tests did not run, which counts as failed',
                '\n'.join(never[:NAMED] + more),
            )
            self._failures += never
        self._show_left(folder)
        if not self._failures and (self.broken or returncode):
            self.broken = True
            self._failures.append(f'{self._suite}: stestr ended with {returncode}')
        if self.broken and self._stray:
            say(
                f'{self._suite}: written outside of tests',
                self._stray.decode(errors='backslashreplace'),
            )
        return Count(self._passed, tuple(self._failures), self._skipped)

    def _ended(self, test: dict[str, Any]) -> None:
        test_id, status = test['id'], test['status']
        if status == 'exists':
            self._waiting.add(test_id)
            self._known += 1
            return
        self._waiting.discard(test_id)
        self._running.pop(test_id, None)
        match status:
            case 'success' | 'xfail':
                self._passed += 1
                if self._aloud:
                    self._show('passed', test)
            case 'skip':
                self._skip(test)
            case _ if test_id == _RETURN_CODE:
                self.broken = True
                self._show('a worker ended early', test)
            case 'fail' | 'uxsuccess':
                self.broken |= _OF_CLASS.match(test_id) is not None
                self._fail('FAILED', test)
            case 'inprogress':
                self.broken = True
                self._fail('FAILED, without an end:', test)

    def _skip(self, test: dict[str, Any]) -> None:
        whole = _OF_CLASS.match(test['id'])
        if whole:
            self._left_out.append(whole['prefix'] + '.')
        if self._skips_fail:
            self._fail('skipped, which counts as failed here:', test)
        else:
            self._skipped += 1
            self._show('skipped', test)

    def _fail(self, how: str, test: dict[str, Any]) -> None:
        self._failures.append(test['id'])
        self._show(how, test)

    def _show(self, how: str, test: dict[str, Any]) -> None:
        say(
            f'{self._suite}: {how} {test["id"]}{_seconds(test["timestamps"])}',
            '\n'.join(_text(*one) for one in test['details'].items()),
        )

    def _show_left(self, folder: pathlib.Path) -> None:
        for path in sorted(folder.glob('*.log')):
            first, _, rest = path.read_text(errors='backslashreplace').partition('\n')
            name = first.removeprefix(HEAD)
            if name in self._failures and rest:
                say(f'{self._suite}: written by {name} before its worker ended', rest)


def _text(name: str, detail: content.Content) -> str:
    data = b''.join(detail.iter_bytes())
    if detail.content_type.type != 'text':
        return f'{name}: {len(data)} bytes of {detail.content_type}'
    return f'{name.partition(":")[0]}:\n{data.decode(errors="backslashreplace")}'.rstrip('\n')


def _seconds(timestamps: list[datetime.datetime | None]) -> str:
    begun, ended = timestamps[0], timestamps[-1]
    return f' after {(ended - begun).total_seconds():.1f} s' if begun and ended else ''
