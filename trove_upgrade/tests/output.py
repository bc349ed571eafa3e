# SPDX-License-Identifier: Apache-2.0
"""Output of a test: log records, print, warnings, and all that its child processes write, in the
order in which they came.

oslotest's own capture replaces sys.stdout and sys.stderr, which child processes do not see.  So the
descriptors 1 and 2 lead to a file for as long as the test runs.  The runner of the tests uses
descriptor 1 for its stream between two tests.
"""

import atexit
import enum
import os
import pathlib
import sys
import tempfile

import fixtures

#: Which tests' output is kept; tools/run_tests.py --verbose sets it to "all".
MODE = 'TROVE_UPGRADE_TEST_OUTPUT'
#: Folder of one file per process.  A process that is killed leaves its file: the output of the test
#: that it was running.
FOLDER = 'TROVE_UPGRADE_TEST_OUTPUT_DIR'
HEAD = 'Output of '
_STDOUT, _STDERR = 1, 2


class Mode(enum.StrEnum):
    FAILED = 'failed'  #: the default
    ALL = 'all'
    DIRECT = 'direct'  #: none is kept, as a debugger wants it


class Output(fixtures.Fixture):
    """What is written to stdout and stderr from now on, by this process and its children, goes
    to a file of the process.
    """

    def __init__(self, test_id):
        super().__init__()
        self._head = f'{HEAD}{test_id}\n'.encode()

    def _setUp(self):
        self._file = _file_of_process()
        _flush()
        os.ftruncate(self._file, 0)
        os.write(self._file, self._head)
        for number in (_STDOUT, _STDERR):
            kept = os.dup(number)
            self.addCleanup(os.close, kept)
            self.addCleanup(os.dup2, kept, number)
            os.dup2(self._file, number)
        self.addCleanup(_flush)

    def text(self):
        """All so far; bytes that are not UTF-8 are shown as \\xNN."""
        _flush()
        size = os.fstat(self._file).st_size
        return os.pread(self._file, size, len(self._head)).decode(errors='backslashreplace')


def _flush():
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


_files = {}


def _file_of_process():
    """One for all tests: what a child of an earlier test writes late stands in the test that
    runs then.
    """
    process_id = os.getpid()
    if process_id not in _files:
        _files[process_id] = _open(os.environ.get(FOLDER), process_id)
    return _files[process_id]


def _open(folder, process_id):
    if folder:
        path = pathlib.Path(folder) / f'{process_id}.log'
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        atexit.register(_remove, path, process_id)
        return number
    number, path = tempfile.mkstemp()
    os.close(number)
    number = os.open(path, os.O_RDWR | os.O_APPEND)
    pathlib.Path(path).unlink()
    return number


def _remove(path, process_id):
    if os.getpid() == process_id:  # not in a fork
        path.unlink(missing_ok=True)
