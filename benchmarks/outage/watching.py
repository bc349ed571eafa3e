# SPDX-License-Identifier: Apache-2.0
"""An upgrade while its client writes: its time, what the API tells, what the client sees."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from lab import errors, following
from lab.demo import application, writer

ENDS_SECONDS = 1800.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watched:
    """An upgrade that has ended."""

    told: Mapping[str, Any]  #: by the API at the end, or by the script of one by hand
    seen: writer.Downtime
    whole_seconds: float  #: from the request until the instance is let go


def watch(
    client: application.Database, folder: pathlib.Path, upgrade: Callable[[], Mapping[str, Any]]
) -> Watched:
    """Carry out an upgrade under a writing client, until that one writes again.

    :raises NotReady: it does not.
    """
    with application.writing(client, folder) as written:
        started = time.monotonic()
        told = upgrade()
        whole = time.monotonic() - started
        application.wait_for_writes(written, application.SETTLE_WRITES)
    return Watched(told=told, seen=writer.measure(writer.read(written)), whole_seconds=whole)


def until_completed(
    get: Callable[[str], Any], instance_id: str, logs: pathlib.Path
) -> dict[str, Any]:
    """Follow the newest upgrade of an instance; return what the API tells at its end, with a
    `timeline` of what it told before.

    :raises LabError: it ended otherwise; the message names the directory of the logs.
    """
    timeline: list[str] = []
    started = time.monotonic()
    follower = following.Follower(
        get, lambda line: timeline.append(f'{time.monotonic() - started:>8.1f}  {line.strip()}')
    )
    ended = follower.until_ended(instance_id, ENDS_SECONDS)
    if ended['state'] != 'COMPLETED':
        raise errors.LabError(
            f'The upgrade ended {ended["state"]}: {ended.get("cause")} '
            f'({ended.get("error_code")}). See the logs in {logs}.',
            code='bench_upgrade_failed',
        )
    return {**ended, 'timeline': timeline}


def seconds(act: Callable[[], object]) -> float:
    """Return how long an act takes."""
    started = time.monotonic()
    act()
    return round(time.monotonic() - started, 2)
