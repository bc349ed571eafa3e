# SPDX-License-Identifier: Apache-2.0
"""A copy of the checkout in which modules are changed, and runs of tests there."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence

_NOT_COPIED = shutil.ignore_patterns('.*', '*.egg-info', 'build', 'results')


@contextlib.contextmanager
def copy(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder with the files of `root`, committed or not; it goes with the block."""
    with tempfile.TemporaryDirectory(prefix='mutants-') as folder:
        place = pathlib.Path(folder, 'checkout')
        shutil.copytree(root, place, symlinks=True, ignore=_NOT_COPIED)
        yield place


@contextlib.contextmanager
def containing(path: pathlib.Path, text: str) -> Iterator[None]:
    """The file has this text inside of the block."""
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


class Tests:
    """Runs tests of a checkout, until the first that fails."""

    def __init__(self, python: pathlib.Path, folder: pathlib.Path) -> None:
        """`python` has the product's libraries; the product itself comes from `folder`."""
        self._python = python
        self._folder = folder

    def passed(self, names: Sequence[str], seconds: float, output: int | None = None) -> bool:
        """Return whether all of them pass.

        No bytecode is kept: two texts of one module could be taken for each other.

        :param output: of the tests; None: it is shown.
        :raises TimeoutError: they had not ended after so many seconds, and were ended.
        """
        with subprocess.Popen(
            [self._python, '-B', '-m', 'testtools.run', '--failfast', *names],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        ) as child:
            try:
                return child.wait(seconds) == 0
            except subprocess.TimeoutExpired:
                raise TimeoutError from None
            finally:
                with contextlib.suppress(ProcessLookupError):  # whatever it has started, too
                    os.killpg(child.pid, signal.SIGKILL)
