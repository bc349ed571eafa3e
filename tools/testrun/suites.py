# SPDX-License-Identifier: Apache-2.0
"""Suites: programs that pass or fail as a whole, and folders of tests that stestr runs."""

import dataclasses
import os
import pathlib
import shutil
import sys
import time

import subunit

from lab.progress import Phase, Progress

from .children import Children
from .count import Count
from .lines import Lines, say
from .report import Report

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.executable).parent


@dataclasses.dataclass(frozen=True)
class Runner:
    """Runs one suite after the other, or several in threads."""

    children: Children
    results: pathlib.Path  #: folder of stestr's repositories, and of the output of workers
    aloud: bool = False  #: the output of what passes is shown too
    nice: int = 0  #: added to our niceness for what is started

    def program(self, name: str, argv: list[str]) -> Count:
        """A program of the virtual environment; it counts as one test."""
        with (
            Progress(Lines()).phase(f'{name}: {" ".join(argv)}'),
            self.children.start([str(BIN / argv[0]), *argv[1:]], cwd=ROOT, nice=self.nice) as child,
        ):
            output, _ = child.communicate()
        if child.returncode or self.aloud:
            say(
                f'{name}: {argv[0]} ended with {child.returncode}',
                output.decode(errors='backslashreplace'),
            )
        return Count(failures=(name,)) if child.returncode else Count(passed=1)

    def tests(
        self,
        name: str,
        folder: pathlib.Path,
        *options: str,
        workers: int,
        include: str = '',
        exclude: str = '',
        skips_fail: bool = False,
    ) -> Count:
        """Every test below a folder whose name the expression `include` finds, but those that
        `exclude` finds.
        """
        work = self.results / name
        output = work / 'output'
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        argv = [
            str(BIN / 'stestr'),
            *('--test-path', str(folder), '--top-dir', str(_top(folder))),
            *('--repo-url', str(work), *options),
            *('run', '--subunit', '--concurrency', str(workers)),
            *(['--exclude-regex', exclude] if exclude else []),
            *([include] if include else []),
        ]
        env = self._environment(output)
        report, start, errors = (
            Report(name, aloud=self.aloud, skips_fail=skips_fail),
            time.monotonic(),
            output / 'stderr',
        )
        with (
            errors.open('wb') as sink,
            Progress(Lines()).phase(name) as tell,
            self.children.start(argv, cwd=ROOT, env=env, stderr=sink, nice=self.nice) as child,
        ):
            tell('collecting the tests')
            _read(child.stdout, report, tell)
        counted = report.close(output, child.returncode)
        text = errors.read_text(errors='backslashreplace')
        if text and (report.broken or self.aloud):
            say(f'{name}: written to stderr outside of tests', text)
        say(f'{name}: {counted} in {time.monotonic() - start:.0f} s')
        return counted

    def _environment(self, output: pathlib.Path) -> dict[str, str]:
        """Of stestr and its workers, whose output goes into this folder."""
        return {
            **os.environ,
            'PYTHONUNBUFFERED': '1',  # the last words of a worker that dies are in its file
            'TROVE_UPGRADE_TEST_OUTPUT_DIR': str(output),
            **({'TROVE_UPGRADE_TEST_OUTPUT': 'all'} if self.aloud else {}),
        }


def _read(stream: object, report: Report, tell: Phase) -> None:
    """Until the stream ends."""
    report.start()
    try:
        subunit.ByteStreamToStreamResult(stream, non_subunit_name='stdout').run(
            _Telling(report, tell)
        )
    finally:
        report.stop()


class _Telling:
    """Passes events on, and progress with each."""

    def __init__(self, report: Report, tell: Phase) -> None:
        self._report, self._tell = report, tell

    def status(self, **event: object) -> None:
        self._report.status(**event)
        self._tell(self._report.so_far())


def _top(folder: pathlib.Path) -> pathlib.Path:
    """Folder that the tests' modules are imported from: the first above that is no package."""
    found = folder.resolve()
    while (found / '__init__.py').exists():
        found = found.parent
    return found
