# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage` and `trove-upgrade-status` as processes: what they print on which stream,
and how they end.

Loading the programs takes a second of CPU, and an operator has more commands than a test run has
seconds.  So most runs are forked from a process that has loaded them and done nothing else;
`script` starts the installed program itself.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import pathlib
import subprocess
import sys
import time
from multiprocessing import forkserver

#: A command that does not end by then hangs.
_SECONDS = 60
MANAGE, STATUS = 'trove-upgrade-manage', 'trove-upgrade-status'

_server = multiprocessing.get_context('forkserver')
# with what the tests' runners import: multiprocessing makes each process execute the runner's main
# module
_server.set_forkserver_preload(
    ['testtools', 'stestr.subunit_runner.program', 'trove_upgrade.cmd.manage', __name__]
)


def load():
    """Start the process that is forked from; it ends with ours.  Outside of a test, whose temporary
    folder goes with it.
    """
    forkserver.ensure_running()


@dataclasses.dataclass(frozen=True)
class Ended:
    """A process that has come to its end."""

    words: tuple
    code: int  #: negative: the signal that ended it
    out: str
    err: str
    seconds: float

    def __str__(self):
        return (
            f'{" ".join(self.words)} ended with {self.code} after {self.seconds:.1f} s\nstdout: '
            f'{self.out}\nstderr: {self.err}'
        )


class Commands:
    """Runs commands with one configuration file each."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._count = 0

    def configuration(self, url, more=''):
        """A file that names this database."""
        return self._file(f'[database]\nconnection = {url}\n{more}\n')

    def _file(self, text):
        self._count += 1
        path = self._folder / f'{self._count}.conf'
        path.write_text(text)
        return path

    def run_with(self, text, *words):
        """One command, to its end, with this configuration."""
        return self._forked(self._file(text), words)

    def run(self, url, *words, more=''):
        """One command, to its end."""
        return self.all([(url, words)], more=more)[0]

    def all(self, runs, *, at_once=2, more=''):
        """Pairs of a URL and words, `at_once` at a time; in their order."""
        made = [(self.configuration(url, more), tuple(words)) for url, words in runs]
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda one: self._forked(*one), made))

    def _forked(self, configuration, words):
        out, err, code = (configuration.with_suffix(suffix) for suffix in ('.out', '.err', '.code'))
        process = _server.Process(
            target=_run,
            args=(('--config-file', str(configuration), *words), str(out), str(err), str(code)),
        )
        began_at = time.monotonic()
        process.start()
        process.join(_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
            raise AssertionError(
                f'{" ".join(words)} has not ended within {_SECONDS} '
                f's:\n{out.read_text()}\n{err.read_text()}'
            )
        # With two threads multiprocessing can read one end twice, and takes the second for 255: a
        # start looks at all children.
        ended = int(code.read_text()) if code.exists() else process.exitcode
        return Ended(words, ended, out.read_text(), err.read_text(), time.monotonic() - began_at)

    def script(self, url, *words, program=MANAGE, more='', **options):
        """The installed program; `options` as Popen takes them."""
        options = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True} | options
        argv = [
            str(pathlib.Path(sys.executable).with_name(program)),
            '--config-file',
            str(self.configuration(url, more)),
            *words,
        ]
        return subprocess.Popen(argv, **options)

    def run_script(self, url, *words, program=MANAGE, more=''):
        """One command of the installed program, to its end."""
        return self.finish(self.script(url, *words, program=program, more=more))

    @staticmethod
    def finish(process):
        """Wait for a `script`."""
        began_at = time.monotonic()
        out, err = process.communicate(timeout=_SECONDS)
        return Ended(
            tuple(process.args[3:]), process.returncode, out, err, time.monotonic() - began_at
        )


def _run(arguments, out, err, code):
    """In the fork: become the program."""
    for number, path in ((1, out), (2, err)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    # the runner of the tests had streams of its own
    sys.stdout, sys.stderr = os.fdopen(1, 'w', closefd=False), os.fdopen(2, 'w', closefd=False)
    from trove_upgrade.cmd import manage

    sys.argv = [MANAGE, *arguments]
    ended = _ended(manage.main)
    pathlib.Path(code).write_text(str(ended))
    sys.exit(ended)


def _ended(main):
    """The exit code, whichever way `main` ends in order."""
    try:
        return main() or 0
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
