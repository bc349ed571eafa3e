# SPDX-License-Identifier: Apache-2.0
"""How long an upgrade takes beyond what Nova and the guest need: from the PATCH's commit to
COMPLETED, less their work.

Trove's API with our filter, its database, rows and broker are real; the taskmanager is ours with
stand-ins that take known times (`stand_in`).  Stock Trove loses 5 s polls in the same place.  The
times are the database's, of the upgrade's own row.
"""

import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from benchmarks.trove import copies as copies_module
from lab import errors, rest
from lab.services import trove
from lab.trove.stage import OUR_QUEUE, TroveStage
from trove_upgrade.waiting import wait_until

UPGRADES = 12
REQUIRED_SECONDS = 0.5
#: upgrades that run while others look at instances, each on a copy that is upgraded again and
#: again: no list grows
AT_ONCE = 3
ENDS_SECONDS = 120.0
READY_SECONDS = 60.0
_ROOT = pathlib.Path(__file__).resolve().parents[2]


class Upgrades:
    """Starts upgrades of copies over the API and waits for their ends."""

    def __init__(self, stage: TroveStage, copies: copies_module.Copies) -> None:
        self._stage = stage
        self._copies = copies
        self._work = stage.layout.run_dir / 'bench-work.jsonl'
        demo = stage.handle.users['demo']
        self._session = rest.Session.of(demo)
        self._session.token()  # before threads share it
        self.ended = 0

    @contextlib.contextmanager
    def taskmanager(self) -> Iterator[None]:
        """The one with stand-ins, as a process of its own."""
        self._work.unlink(missing_ok=True)
        self._work.touch()
        log = self._stage.layout.logs_dir / 'bench-stand-in.log'
        argv = [
            sys.executable,
            '-m',
            'benchmarks.trove.stand_in',
            '--work-file',
            str(self._work),
            '--config-file',
            str(self._stage.side.conf_path),
        ]
        with (
            log.open('wb') as sink,
            subprocess.Popen(
                argv, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
            ) as process,
        ):
            try:
                settings = self._stage.side.settings
                known = wait_until(
                    lambda: process.poll() is not None or trove.consumes(settings, OUR_QUEUE),
                    READY_SECONDS,
                    interval_seconds=0.2,
                )
                if not known or process.poll() is not None:
                    raise errors.NotReady(
                        f'The taskmanager with stand-ins does not listen; see {log}.'
                    )
                yield
            finally:
                process.terminate()

    def upgrade(self, instance_id: str) -> dict[str, Any]:
        """PATCH one, and wait for its end: the row's id, state, created_at, ended_at."""
        self._session.request(
            'PATCH',
            f'{self._stage.instances.base_url}/instances/{instance_id}',
            {'instance': {'datastore_version': self._stage.target.name}},
        )
        with contextlib.closing(copies_module.connect(self._stage)) as connection:

            def row() -> dict[str, Any]:
                with connection.cursor() as cursor:
                    cursor.execute(
                        'SELECT id, state, created_at, ended_at, cause FROM instance_upgrades '
                        'WHERE instance_id = %s',
                        (instance_id,),
                    )
                    return cursor.fetchone() or {}

            if wait_until(lambda: row().get('ended_at'), ENDS_SECONDS, interval_seconds=0.25):
                return row()
            raise errors.NotReady(
                f'The upgrade of copy {instance_id} did not end within {ENDS_SECONDS:.0f} s: '
                f'{row()}'
            )

    def work(self) -> dict[str, float]:
        """Upgrade -> seconds that Nova and the guest have worked on it."""
        return {
            entry['upgrade']: entry['work']
            for entry in map(json.loads, self._work.read_text().splitlines())
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Some upgrades at any time, as long as the context lasts."""
        stopping, lock = threading.Event(), threading.Lock()
        self.ended = 0

        def go_on(one: str) -> None:
            while not stopping.is_set():
                self.upgrade(one)
                self._copies.renew(one)
                with lock:
                    self.ended += 1

        with self.taskmanager():
            threads = [
                threading.Thread(target=go_on, args=(one,), daemon=True)
                for one in self._copies.make(AT_ONCE, with_servers=True)
            ]
            for thread in threads:
                thread.start()
            try:
                yield
            finally:
                stopping.set()
                for thread in threads:
                    thread.join(ENDS_SECONDS)


def measure(upgrades: Upgrades, copies: copies_module.Copies) -> dict[str, Any]:
    """One after the other."""
    with upgrades.taskmanager():
        upgrades.upgrade(copies.make(1, with_servers=True)[0])  # the first connects
        rows = [upgrades.upgrade(one) for one in copies.make(UPGRADES, with_servers=True)]
        work = upgrades.work()
    failed = [row for row in rows if row['state'] != 'COMPLETED']
    if failed:
        raise errors.LabError(
            f'{len(failed)} of {UPGRADES} upgrades with stand-ins did not complete: {failed[0]}',
            code='bench_upgrade_failed',
        )
    beyond = sorted(
        (row['ended_at'] - row['created_at']).total_seconds() - work[row['id']] for row in rows
    )
    middle = statistics.median(beyond)
    print(
        f'\norchestration of {len(beyond)} upgrades: median {middle:.2f} s, least {beyond[0]:.2f} '
        f's, most {beyond[-1]:.2f} s beyond the work of Nova and the guest (required: less than '
        f'{REQUIRED_SECONDS} s)',
        flush=True,
    )
    return {'median_seconds': middle, 'seconds': beyond, 'holds': middle < REQUIRED_SECONDS}
