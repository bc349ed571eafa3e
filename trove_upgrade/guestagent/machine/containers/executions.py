# SPDX-License-Identifier: Apache-2.0
"""Executions: programs that the engine runs in a container which runs already."""

import os
import pathlib
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trove_upgrade.guestagent.machine.containers import answers, definitions, output
from trove_upgrade.guestagent.machine.containers.calls import Calls, quoted, refuse
from trove_upgrade.guestagent.machine.containers.errors import EngineError, EngineNotAnswering
from trove_upgrade.guestagent.machine.finished import Finished


class Executions:
    """Programs run in containers of one engine, with its processes in `processes` (/proc)."""

    def __init__(self, calls: Calls, processes: pathlib.Path) -> None:
        self._calls = calls
        self._processes = processes

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None,
        timeout_seconds: float,
        on_line: Callable[[str], None] | None,
    ) -> Finished:
        """Run a program as `exec` of the port says."""
        body = {
            'Cmd': list(argv),
            'AttachStdout': True,
            'AttachStderr': True,
            'Tty': False,
            'Env': definitions.environment_items(env),
            'User': '',
        }
        what = f'run {argv[0]} in container {name}'
        made = self._calls.ask('POST', f'/containers/{quoted(name)}/exec', what, body=body)
        run = str((made.json() or {}).get('Id', ''))
        tail = output.Tail(output.KEPT_BYTES, on_line)
        try:
            code = self._follow(run, what, tail, timeout_seconds)
        except TimeoutError as error:
            raise TimeoutError(
                f'{argv[0]} did not end within {timeout_seconds:.0f} s in container {name}'
            ) from error
        if code is None:
            raise EngineNotAnswering(
                f'{argv[0]} cannot be followed in container {name}: the engine let go of it before '
                'its end. Look at the log of the container engine.'
            )
        return Finished(int(code), tail.text)

    def _follow(self, run: str, what: str, tail: output.Tail, seconds: float) -> Any:
        """Return the exit code, or None where the engine knows none.  If anything is raised, the
        program is ended first.
        """
        try:
            with self._calls.transport.stream(
                'POST', f'/exec/{run}/start', seconds=seconds, body={'Detach': False, 'Tty': False}
            ) as stream:
                if stream.status >= 400:
                    refuse(what, stream.rest())
                tail.take(answers.frames(stream))
            return self._state(run).get('ExitCode')
        except BaseException:
            self._end(run)
            raise

    def _state(self, run: str) -> Mapping[str, Any]:
        answer = self._calls.ask('GET', f'/exec/{run}/json', 'look at a program in a container')
        found: Mapping[str, Any] = answer.json() or {}
        return found

    def _end(self, run: str) -> None:
        """The API cannot end a program that was brought into a container: its process is killed, if
        it is that container's.
        """
        try:
            state = self._state(run)
        except EngineError:
            return  # the engine has gone, and what made us come here says so
        pid = int(state.get('Pid') or 0)
        if not state.get('Running') or pid <= 1:
            return
        try:
            belongs = str(state.get('ContainerID', '-')) in (
                self._processes / str(pid) / 'cgroup'
            ).read_text(encoding='utf-8')
            if belongs:
                os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            return  # it has ended meanwhile
